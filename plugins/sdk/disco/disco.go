// Package disco is how the modules of a chain say together what a host or an
// account offers (XEP-0030).
//
// A request for disco#info or disco#items walks the chain like any packet. A
// module that offers something puts it into the query and passes; the session
// manager, which is last, answers with what the query has brought and what is
// its own.
//
//	func (m *vcard) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
//		if disco.AsksInfo(p) {
//			disco.AddFeature(p, "vcard-temp")
//			return packet.Pass, nil
//		}
//		...
//
// What stood in the query when it came is not ours: the functions here put
// their own start tag in place of the asker's and drop what is behind it, and
// who takes requests from clients calls [Clear] first.
package disco

import (
	"bytes"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Node is what the server calls itself in its entity capabilities (XEP-0115):
// NODE#VERIFICATION is the host as it is.
const Node = "https://github.com/jabberii/server"

// AsksInfo reports whether p asks what a host or an account is. For anything but
// an IQ it costs a comparison.
func AsksInfo(p *packet.Packet) bool { return asks(p, ns.DiscoInfo) }

// AsksItems reports whether p asks what belongs to a host or an account.
func AsksItems(p *packet.Packet) bool { return asks(p, ns.DiscoItems) }

// Commands is the node below which commands are listed (XEP-0050).
const Commands = "http://jabber.org/protocol/commands"

// AsksCommands reports whether p asks for the commands of a host or an account:
// items of which each, added with [AddItem], has its node.
func AsksCommands(p *packet.Packet) bool {
	if !request.Is(p) || p.Type != "get" {
		return false
	}
	el, ok := xml.First(p.Body, ns.Client)
	return ok && el.Is("query", ns.DiscoItems) && el.Attr("node") == Commands
}

// OfHost reports whether p, of which one of the above is true, is about a host
// and not about an account.
func OfHost(p *packet.Packet) bool { return packet.Local(p.To) == "" }

func asks(p *packet.Packet, space string) bool {
	if !request.Is(p) || p.Type != "get" {
		return false
	}
	el, ok := xml.First(p.Body, ns.Client)
	return ok && el.Is("query", space) && IsWhole(el.Attr("node"))
}

// IsWhole reports whether a node stands for all of an address: there is none,
// or it is that of our capabilities.
func IsWhole(node string) bool { return node == "" || strings.HasPrefix(node, Node+"#") }

// AddFeature puts features into a query for information.
func AddFeature(p *packet.Packet, features ...string) {
	var content []byte
	for _, f := range features {
		content = xml.AppendEmpty(content, "feature", "", "var", f)
	}
	add(p, ns.DiscoInfo, content)
}

// AddIdentity puts an identity into a query for information. Name may be empty.
func AddIdentity(p *packet.Packet, category, kind, name string) {
	add(p, ns.DiscoInfo, xml.AppendEmpty(nil, "identity", "", "category", category, "type", kind, "name", name))
}

// AddForm puts a data form of type result (XEP-0128) into a query for
// information: an element x that is whole by itself.
func AddForm(p *packet.Packet, form []byte) { add(p, ns.DiscoInfo, form) }

// AddItem puts an item into a query for items. Node and name may be empty.
func AddItem(p *packet.Packet, jid, node, name string) {
	add(p, ns.DiscoItems, xml.AppendEmpty(nil, "item", "", "jid", jid, "node", node, "name", name))
}

// Clear takes everything out of a query that is not the chain's. Who is handed
// requests from outside calls it before they walk the chain.
func Clear(p *packet.Packet) {
	if p.Name != "iq" || p.Type != "get" {
		return
	}
	el, ok := xml.First(p.Body, ns.Client)
	if !ok || el.Name() != "query" || len(el.Inner()) == 0 {
		return
	}
	if space := el.NS(); space == ns.DiscoInfo || space == ns.DiscoItems {
		p.Body = xml.AppendEmpty(nil, "query", space, "node", el.Attr("node"))
	}
}

// add appends content to the query in p, behind what modules before have put
// there; what the asker has is told from it by the way the tag is written.
func add(p *packet.Packet, space string, content []byte) {
	el, ok := xml.First(p.Body, ns.Client)
	if !ok {
		return
	}
	const end = "</query>"
	body := xml.AppendStart(make([]byte, 0, len(p.Body)+len(content)+len(end)+1), "query", space, "node", el.Attr("node"))
	if bytes.HasPrefix(p.Body, body) && bytes.HasSuffix(p.Body, []byte(end)) {
		body = append(body, p.Body[len(body):len(p.Body)-len(end)]...)
	}
	p.Body = append(append(body, content...), end...)
}
