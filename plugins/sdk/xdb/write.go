package xdb

import (
	"slices"
	"strconv"
	"time"

	"github.com/jabberii/server/plugins/xmpp/xml"
)

// AppendXML appends the item as an <item> element, as packets have it.
func (it *Item) AppendXML(dst []byte) []byte {
	dst = append(slices.Grow(dst, it.size()), "<item"...)
	dst = xml.AppendAttr(dst, "key", it.Key)
	dst = appendRev(dst, "rev", it.Rev)
	return appendRest(dst, "item", it.With, it.Value)
}

// AppendXML appends the change as its element, with ns if it is in another
// namespace. A copy has its revision in it.
func (c *Change) AppendXML(dst []byte, ns string) []byte {
	name := c.Op.String()
	dst = append(append(dst, '<'), name...)
	if c.NS != ns {
		dst = xml.AppendAttr(dst, "ns", c.NS)
	}
	if c.Key != "" {
		dst = xml.AppendAttr(dst, "key", c.Key)
	}
	if c.Check {
		dst = appendRev(dst, "was", c.Was)
	}
	return appendRest(dst, name, c.With, c.Value)
}

func appendDone(dst []byte, c *Change, ns string) []byte {
	dst = append(dst, "<done"...)
	if c.NS != ns {
		dst = xml.AppendAttr(dst, "ns", c.NS)
	}
	dst = xml.AppendAttr(dst, "key", c.Key)
	return append(appendRev(dst, "rev", c.Rev), "/>"...)
}

func appendRev(dst []byte, name string, r Rev) []byte {
	dst = append(append(dst, ' '), name...)
	return append(r.append(append(dst, "='"...)), '\'')
}

// appendRest appends the rest of an element whose start tag is open.
func appendRest(dst []byte, name, with string, value []byte) []byte {
	if with != "" {
		dst = xml.AppendAttr(dst, "with", with)
	}
	if len(value) == 0 {
		return append(dst, "/>"...)
	}
	dst = append(append(dst, '>'), value...)
	return xml.AppendEnd(dst, name)
}

func appendKey(dst []byte, key string) []byte {
	return append(xml.AppendAttr(append(dst, "<item"...), "key", key), "/>"...)
}

// AppendXML appends the query as a <query> element.
func (q *Query) AppendXML(dst []byte) []byte {
	return xml.AppendEmpty(dst, "query", "",
		"after", q.After, "before", q.Before, "start", timeText(q.Start), "end", timeText(q.End),
		"with", q.With, "max", q.maxText(), "reverse", flag(q.Reverse, "true"),
		"count", flag(q.Count, "true"), "values", flag(q.NoValue, "false"))
}

func (q *Query) maxText() string {
	switch {
	case q.Max == 0:
		return ""
	case q.Max < 0:
		return "0"
	}
	return strconv.Itoa(q.Max)
}

func flag(set bool, text string) string {
	if set {
		return text
	}
	return ""
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// AppendXML appends the items of the page and the <page> element.
func (p *Page) AppendXML(dst []byte) []byte {
	for i := range p.Items {
		dst = p.Items[i].AppendXML(dst)
	}
	count := ""
	if p.Count >= 0 {
		count = strconv.Itoa(p.Count)
	}
	return xml.AppendEmpty(dst, "page", "", "count", count, "more", flag(p.More, "true"))
}
