package tree

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"

	"github.com/jabberii/server/jabberd/packet"
)

// asksAll reports whether a question is for all stores of the branch: which
// namespaces there are, which owners, and to drop all that an owner has. Each
// store has its part, and the answer is that of one store which had it all.
func (b *branch) asksAll(p *packet.Packet) bool {
	if p.Kind != packet.XDB || p.Section != "" || b.counted < 2 {
		return false
	}
	return p.Name == "owners" || p.NS == "" && (p.Name == "list" || p.Name == "drop")
}

// keepPart keeps what one store had to say, and reports whether others are to
// be asked. The owners in a namespace are those of the store that it is in, and
// of those that it falls back to.
func (e *Engine) keepPart(w *worker, d *delivery, k *walk) (more bool) {
	switch {
	case k.reject != nil: // a drop: the others are emptied all the same
		if d.reason == nil {
			e.unclaimed(w, d, k.reject)
		}
		e.stale.refused(k.s.id, &d.p, k.reject)
	case k.claimed && d.answer != nil:
		d.parts = append(d.parts, d.answer)
		d.answer = nil
		if d.p.NS != "" && !k.s.falls {
			e.answerParts(d)
			return false
		}
	}
	return true
}

// answerParts makes one answer of those of several stores.
func (e *Engine) answerParts(d *delivery) {
	switch {
	case len(d.parts) == 0 || d.reason != nil:
		return
	case !d.branch.asksAll(&d.p) || d.p.Name == "drop" || len(d.parts) == 1:
		d.answer = d.parts[0]
		return
	}
	a := *d.parts[0]
	var err error
	if d.p.Name == "owners" {
		a.Body, err = joinOwners(d.p.Body, d.parts)
	} else {
		a.Body, err = joinSpaces(d.parts)
	}
	if err != nil {
		e.log.disagree(d, err)
		d.result, d.reason = packet.Refused, packet.Refuse("internal-server-error", "")
		return
	}
	d.answer = &a
}

// joinSpaces makes one list of namespaces, in their order.
func joinSpaces(parts []*packet.Packet) ([]byte, error) {
	var names []string
	for _, p := range parts {
		list, _, err := listed(p.Body, "namespace", "name")
		if err != nil {
			return nil, err
		}
		names = append(names, list...)
	}
	slices.Sort(names)
	var body []byte
	for _, name := range slices.Compact(names) {
		body = append(append(append(body, "<namespace name='"...), escapeAttr.Replace(name)...), "'/>"...)
	}
	return body, nil
}

// Of a page of owners, as plugins/sdk/xdb has it.
const (
	defaultOwners = 100
	maxOwners     = 1000
)

// joinOwners makes one page of those of several stores. Each has the owners
// that come next in the order of all; of a page that is not the last it is not
// known who comes behind it.
func joinOwners(question []byte, parts []*packet.Packet) ([]byte, error) {
	var owners []string
	last, cut := "", false
	for _, p := range parts {
		list, more, err := listed(p.Body, "owner", "jid")
		if err != nil {
			return nil, err
		}
		owners = append(owners, list...)
		if more {
			end := ""
			if len(list) > 0 {
				end = slices.Max(list)
			}
			if !cut || end < last {
				last, cut = end, true
			}
		}
	}
	slices.Sort(owners)
	owners = slices.Compact(owners)
	n := len(owners)
	if cut {
		n, _ = slices.BinarySearch(owners, last+"\x00")
	}
	n = min(n, pageOf(question))
	var body []byte
	for _, owner := range owners[:n] {
		body = append(append(append(body, "<owner jid='"...), escapeAttr.Replace(owner)...), "'/>"...)
	}
	if cut || n < len(owners) {
		return append(body, "<page more='true'/>"...), nil
	}
	return append(body, "<page/>"...), nil
}

// pageOf returns how many owners a question wants.
func pageOf(question []byte) int {
	var q struct {
		Max *int `xml:"max,attr"`
	}
	if xml.Unmarshal(question, &q) != nil || q.Max == nil {
		return defaultOwners
	}
	return min(*q.Max, maxOwners)
}

// listed returns an attribute of the elements of an answer that have a name,
// and whether there are more of them.
func listed(body []byte, name, attr string) (list []string, more bool, err error) {
	dec := xml.NewDecoder(bytes.NewReader(body))
	for {
		t, err := dec.RawToken()
		if errors.Is(err, io.EOF) {
			return list, more, nil
		}
		if err != nil {
			return nil, false, err
		}
		el, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range el.Attr {
			switch {
			case el.Name.Local == name && a.Name.Local == attr:
				list = append(list, a.Value)
			case el.Name.Local == "page" && a.Name.Local == "more":
				more, _ = strconv.ParseBool(a.Value)
			}
		}
	}
}
