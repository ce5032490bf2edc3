// Package xmpp is the root of the XMPP building blocks that the services stand
// on. They know nothing of jabberd and can be used alone, in a client as well
// as in a server. They come in tiers; a package imports only lower tiers, the
// standard library and golang.org/x:
//
//	ns      the names of namespaces
//	jid     addresses                                       RFC 7622
//	xml     the scanner of the XML that XMPP allows         RFC 6120, 11
//	stanza  messages, presences, IQs and their errors       RFC 6120, 8
//	stream  stream headers, features and stream errors      RFC 6120, 4
//
// and above them dial, discover, sasl and session, and one package for each
// extension, named for what it is.
//
// The way of a stanza through them: an [xml.Scanner] finds it among the bytes
// of a connection and yields its start tag in fields and its content as a
// slice of the bytes, a body. Nobody builds a tree of it. Who has to act on a
// payload iterates over the body with [xml.Elements]; who writes one appends to
// a byte slice with [xml.AppendStart] and its siblings.
//
// [xml.Scanner]: https://pkg.go.dev/github.com/jabberii/server/plugins/xmpp/xml#Scanner
// [xml.Elements]: https://pkg.go.dev/github.com/jabberii/server/plugins/xmpp/xml#Elements
// [xml.AppendStart]: https://pkg.go.dev/github.com/jabberii/server/plugins/xmpp/xml#AppendStart
package xmpp
