// Package xml reads and writes the XML that XMPP allows, RFC 6120, 11: well-formed
// with regard to namespaces, in UTF-8, without comments, processing
// instructions, document types and entities of its own. It builds no tree, and
// on the usual way of a stanza it allocates nothing.
//
// # At the edge
//
// A [Scanner] is where bytes from the world come in. It takes them in any pieces,
// checks every one of them once, keeps to [Limits], and yields [Token]s: the start
// tag of the stream, each complete element in it, and its end. Of an element
// the start tag is there in fields and the content as a slice of the bytes: the
// body. A [Reader] is a Scanner with a connection and a buffer.
//
//	r := xml.NewReader(conn, xml.Limits{})
//	for {
//		tok, err := r.Next()
//		if err != nil {
//			return err
//		}
//		switch tok.Kind {
//		case xml.Open: // the start tag of the stream
//		case xml.Child: // a stanza, or something of the stream itself
//		case xml.Close: // the end
//		}
//	}
//
// # Bodies
//
// A body means the same wherever it is put. It declares all prefixes that it uses,
// and its elements without xmlns are in the namespace of the element that it
// was the content of. The scanner sees to that: it adds the declarations that a
// body borrows from the stream or from its start tag, and takes away the one
// that repeats its namespace. Both are rare; otherwise a body is a slice of
// what was received, so that it can be stored and passed on as it is:
//
//	<message to='a@b'><stream:x/></message>
//	                  <stream:x xmlns:stream='http://etherx.jabber.org/streams'/>
//
// A body that doesn't come from a Scanner is checked with [Check].
//
// Who has to know what is in a body iterates over its elements with [Elements],
// and over the elements in these. An [Element] is a view of the bytes; names are
// compared, values unescaped and texts put together only when it is asked.
// [Element.Append] makes a part of a body a body of its own.
//
// # Writing
//
// The functions that begin with Append add to a slice, with the namespace spelled
// out where one is given, and escape what has to be.
package xml
