package disco

import (
	"cmp"
	"slices"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// An Answer is what an address says of itself, put together from several. It is
// the same whatever their order was, so that its hash (XEP-0115) is.
type Answer struct {
	identities []identity
	features   []string
	forms      [][]byte
	items      []item
}

type identity struct{ category, kind, lang, name string }

type item struct{ jid, node, name string }

// Identity adds an identity. Name may be empty.
func (a *Answer) Identity(category, kind, name string) {
	a.identities = append(a.identities, identity{category, kind, "", name})
}

// Feature adds features.
func (a *Answer) Feature(features ...string) { a.features = append(a.features, features...) }

// Item adds what belongs to the address. Node and name may be empty.
func (a *Answer) Item(jid, node, name string) { a.items = append(a.items, item{jid, node, name}) }

// Form adds a data form (XEP-0128), complete.
func (a *Answer) Form(form []byte) { a.forms = append(a.forms, form) }

// Take adds what a query has brought. Of what is none of XEP-0030 and XEP-0128
// nothing is taken.
func (a *Answer) Take(query *xml.Element) {
	space := query.NS()
	for el := range query.Elements() {
		switch {
		case el.Is("feature", space) && el.Attr("var") != "":
			a.features = append(a.features, el.Attr("var"))
		case el.Is("identity", space) && el.Attr("category") != "" && el.Attr("type") != "":
			a.identities = append(a.identities, identity{el.Attr("category"), el.Attr("type"), el.Lang(), el.Attr("name")})
		case el.Is("item", space) && el.Attr("jid") != "":
			a.items = append(a.items, item{el.Attr("jid"), el.Attr("node"), el.Attr("name")})
		case el.Is("x", ns.DataForm):
			a.forms = append(a.forms, el.Append(nil))
		}
	}
}

// AppendInfo appends the answer to a query for information with a node, which
// may be empty.
func (a *Answer) AppendInfo(dst []byte, node string) []byte {
	dst = xml.AppendStart(dst, "query", ns.DiscoInfo, "node", node)
	a.sort()
	for _, i := range a.identities {
		dst = xml.AppendEmpty(dst, "identity", "", "category", i.category, "type", i.kind, "xml:lang", i.lang, "name", i.name)
	}
	for _, f := range a.features {
		dst = xml.AppendEmpty(dst, "feature", "", "var", f)
	}
	slices.SortFunc(a.forms, slices.Compare)
	for _, f := range a.forms {
		dst = append(dst, f...)
	}
	return xml.AppendEnd(dst, "query")
}

// sort puts all in order, without repetition.
func (a *Answer) sort() {
	slices.SortFunc(a.identities, func(x, y identity) int {
		return cmp.Or(cmp.Compare(x.category, y.category), cmp.Compare(x.kind, y.kind), cmp.Compare(x.lang, y.lang), cmp.Compare(x.name, y.name))
	})
	slices.Sort(a.features)
	a.identities, a.features = slices.Compact(a.identities), slices.Compact(a.features)
}

// AppendItems appends the answer to a query for items.
func (a *Answer) AppendItems(dst []byte, node string) []byte {
	if len(a.items) == 0 {
		return xml.AppendEmpty(dst, "query", ns.DiscoItems, "node", node)
	}
	slices.SortFunc(a.items, func(x, y item) int {
		return cmp.Or(cmp.Compare(x.jid, y.jid), cmp.Compare(x.node, y.node), cmp.Compare(x.name, y.name))
	})
	dst = xml.AppendStart(dst, "query", ns.DiscoItems, "node", node)
	for _, i := range slices.Compact(a.items) {
		dst = xml.AppendEmpty(dst, "item", "", "jid", i.jid, "node", i.node, "name", i.name)
	}
	return xml.AppendEnd(dst, "query")
}
