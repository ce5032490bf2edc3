package xdb

import (
	"strconv"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// xmlLimits are those of bodies. A value may be as deep as a stanza.
var xmlLimits = xml.Limits{Bytes: maxCopy, Depth: xml.DefaultDepth + 1, Attrs: xml.DefaultAttrs}

// replica is the mark of a copy among the Attrs of a packet.
const replica = " replica='true'"

// IsCopy reports whether a question copies what was changed in another store.
func IsCopy(p *packet.Packet) bool { return p.Attrs != "" && strings.Contains(p.Attrs, replica) }

// borrowed is the mark of an answer that another store than the owner gave.
const borrowed = " fallback='true'"

// readKeys appends to keys those of a get.
func readKeys(body []byte, keys []string) ([]string, error) {
	for el := range xml.Elements(body, "") {
		if !el.Is("item", "") {
			return keys, unexpected(&el)
		}
		key := el.Attr("key")
		if err := checkKey(key); err != nil {
			return keys, err
		}
		if keys = append(keys, key); len(keys) > MaxChanges {
			return keys, TooLarge("more than " + strconv.Itoa(MaxChanges) + " keys at once")
		}
	}
	return keys, nil
}

func unexpected(el *xml.Element) error { return bad("%.40q is not expected here", el.Name()) }

// ReadChanges appends to changes those that a question of type set asks for.
// Their values are parts of its body. Of a drop there are none.
func ReadChanges(p *packet.Packet, changes []Change) ([]Change, error) {
	copied := IsCopy(p)
	done := 0
	for el := range xml.Elements(p.Body, "") {
		if copied && el.Is("done", "") && done < len(changes) {
			if err := changes[done].given(&el); err != nil {
				return changes, err
			}
			done++
			continue
		}
		c := Change{NS: p.NS}
		if err := c.read(&el, p.Name == "batch"); err != nil {
			return changes, err
		}
		if changes = append(changes, c); len(changes) > MaxChanges {
			return changes, TooLarge("more than " + strconv.Itoa(MaxChanges) + " changes at once")
		}
	}
	if copied && done != len(changes) {
		return changes, bad("a copy of %d changes says of %d how they ended", len(changes), done)
	}
	return changes, nil
}

func (c *Change) read(el *xml.Element, batch bool) (err error) {
	switch {
	case el.Is("put", ""):
	case el.Is("delete", ""):
		c.Op = Delete
	case el.Is("append", ""):
		c.Op = Append
	default:
		return unexpected(el)
	}
	c.Key, c.With, c.Value = el.Attr("key"), el.Attr("with"), el.Inner()
	if ns, ok := el.LookupAttr("ns"); ok {
		if !batch {
			return bad("only a batch is in several namespaces")
		}
		c.NS = ns
	}
	if was, ok := el.LookupAttr("was"); ok {
		c.Check = true
		c.Was, err = ParseRev(was)
	}
	return err
}

// given takes what <done> says of a change.
func (c *Change) given(el *xml.Element) (err error) {
	c.Copy = true
	if c.Key = el.Attr("key"); c.Key == "" {
		return bad("a copy needs a key")
	}
	c.Rev, err = ParseRev(el.Attr("rev"))
	return err
}

// readItem reads an <item>. Its value is a part of the body.
func readItem(el *xml.Element) (it Item, err error) {
	it.Key, it.With, it.Value = el.Attr("key"), el.Attr("with"), el.Inner()
	it.Rev, err = ParseRev(el.Attr("rev"))
	return it, err
}

// readItems returns the items of an answer. Those that the owner's store does not
// have are of no revision there.
func readItems(answer *packet.Packet) (items []Item, err error) {
	other := strings.Contains(answer.Attrs, borrowed)
	for el := range xml.Elements(answer.Body, "") {
		if !el.Is("item", "") {
			continue
		}
		it, err := readItem(&el)
		if err != nil {
			return items, err
		}
		if other {
			it.Rev = 0
		}
		items = append(items, it)
	}
	return items, nil
}

func readPage(answer *packet.Packet) (p Page, err error) {
	p.Count = -1
	if p.Items, err = readItems(answer); err != nil {
		return p, err
	}
	if el, ok := xml.Find(answer.Body, "", "page", ""); ok {
		p.More = el.Attr("more") == "true"
		if count := el.Attr("count"); count != "" {
			p.Count, err = strconv.Atoi(count)
		}
	}
	return p, err
}

func readQuery(body []byte) (q Query, err error) {
	el, ok := xml.First(body, "")
	switch {
	case !ok:
		return q, nil
	case !el.Is("query", ""):
		return q, unexpected(&el)
	}
	q = Query{
		With: el.Attr("with"), After: el.Attr("after"), Before: el.Attr("before"),
		Reverse: el.Attr("reverse") == "true", Count: el.Attr("count") == "true", NoValue: el.Attr("values") == "false",
	}
	if q.Start, err = readTime(&el, "start"); err != nil {
		return q, err
	}
	if q.End, err = readTime(&el, "end"); err != nil {
		return q, err
	}
	q.Max, err = readMax(&el)
	return q, err
}

// readMax reads the attribute max, in which 0 is none and nothing the default.
func readMax(el *xml.Element) (int, error) {
	text, ok := el.LookupAttr("max")
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, bad("max is %.20q, not a number", text)
	}
	if n == 0 {
		n = -1
	}
	return n, nil
}

func readTime(el *xml.Element, name string) (t time.Time, err error) {
	text := el.Attr(name)
	if text == "" {
		return t, nil
	}
	if t, err = time.Parse(time.RFC3339Nano, text); err != nil {
		return t, bad("%s is %.40q, not a time such as 2026-05-04T12:00:00Z", name, text)
	}
	return t, nil
}
