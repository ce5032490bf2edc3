package privacy

import (
	"cmp"
	"errors"
	"slices"
	"strconv"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

var errTooMany = &stanza.Error{Condition: stanza.ResourceConstraint, Text: "the list is too long"}

// IsTooMany reports whether an error says that there are too many rules.
func IsTooMany(err error) bool { return errors.Is(err, errTooMany) }

func bad(text string) error { return &stanza.Error{Condition: stanza.BadRequest, Text: text} }

// names of stanzas as rules write them.
var names = [...]struct {
	name string
	s    Stanza
}{{"message", Message}, {"iq", IQ}, {"presence-in", PresenceIn}, {"presence-out", PresenceOut}}

// maxName is how long the name of a list or a group may be, in bytes.
const maxName = 1023

// Parse reads a list, an element of namespace NS, with its rules put in their
// order. An error is a *stanza.Error that says what is wrong.
func Parse(el *xml.Element) (List, error) {
	l := List{Name: el.Attr("name")}
	if l.Name == "" || len(l.Name) > maxName {
		return l, bad("a list has a name of at most 1023 bytes")
	}
	seen := map[uint32]bool{}
	for child := range el.Elements() {
		if !child.Is("item", NS) {
			continue
		}
		r, err := parseRule(&child)
		switch {
		case err != nil:
			return l, err
		case seen[r.Order]:
			return l, bad("two items have the same order")
		case len(l.Rules) == MaxRules:
			return l, errTooMany
		}
		seen[r.Order] = true
		l.Rules = append(l.Rules, r)
	}
	slices.SortFunc(l.Rules, func(a, b Rule) int { return cmp.Compare(a.Order, b.Order) })
	return l, nil
}

func parseRule(el *xml.Element) (r Rule, err error) {
	order, err := strconv.ParseUint(el.Attr("order"), 10, 32)
	if err != nil {
		return r, bad("an item has an order, a number")
	}
	r.Order = uint32(order)
	switch el.Attr("action") {
	case "allow":
	case "deny":
		r.Deny = true
	default:
		return r, bad("the action of an item is allow or deny")
	}
	r.Value = el.Attr("value")
	switch el.Attr("type") {
	case "":
		r.Value = ""
	case "jid":
		r.Match = JID
		address, err := jid.Parse(r.Value)
		if err != nil {
			return r, bad("the value of an item is no address")
		}
		r.Value = address.String()
	case "group":
		r.Match = Group
		if r.Value == "" || len(r.Value) > maxName {
			return r, bad("a group has a name of at most 1023 bytes")
		}
	case "subscription":
		r.Match = Subscription
		if !slices.Contains([]string{"none", "to", "from", "both"}, r.Value) {
			return r, bad("a subscription is none, to, from or both")
		}
	default:
		return r, bad("the type of an item is jid, group or subscription")
	}
	for child := range el.Elements() {
		for _, n := range names {
			if child.Is(n.name, NS) {
				r.Stanzas |= n.s
			}
		}
	}
	if r.Stanzas == 0 {
		r.Stanzas = All
	}
	return r, nil
}

// Append writes a list as an element. Its namespace is that of the element that
// it stands in, which has to be NS.
func (l *List) Append(dst []byte) []byte { return l.append(dst, "") }

// Value is a list as it is stored: an element that is whole by itself.
func (l *List) Value() []byte { return l.append(nil, NS) }

func (l *List) append(dst []byte, space string) []byte {
	dst = xml.AppendStart(dst, "list", space, "name", l.Name)
	for i := range l.Rules {
		dst = l.Rules[i].append(dst)
	}
	return xml.AppendEnd(dst, "list")
}

func (r *Rule) append(dst []byte) []byte {
	action := "allow"
	if r.Deny {
		action = "deny"
	}
	match := [...]string{Everybody: "", JID: "jid", Group: "group", Subscription: "subscription"}[r.Match]
	attrs := []string{"type", match, "value", r.Value, "action", action, "order", strconv.FormatUint(uint64(r.Order), 10)}
	if r.Stanzas == All {
		return xml.AppendEmpty(dst, "item", "", attrs...)
	}
	dst = xml.AppendStart(dst, "item", "", attrs...)
	for _, n := range names {
		if r.Stanzas&n.s != 0 {
			dst = xml.AppendEmpty(dst, n.name, "")
		}
	}
	return xml.AppendEnd(dst, "item")
}
