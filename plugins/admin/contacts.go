package admin

import (
	"context"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/form"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// contacts are the commands that tell what somebody else might ask an account for: whom
// it knows, and when it was there.
func (s *service) contacts() []*order {
	return []*order{
		{"get-user-roster", "Look at the contacts of an account", false, asks("An account", someAccounts), s.roster},
		{"get-user-lastlogin", "When accounts have logged in last", false, asks("Accounts", someAccounts), s.lastLogin},
	}
}

// roster shows the contacts of an account, as lines for people and as the element query
// for programs.
func (s *service) roster(ctx context.Context, c call, f *form.Form) (outcome, error) {
	list := f.Values("accountjids")
	if len(list) != 1 {
		return outcome{}, refusal("one account at a time")
	}
	address := packet.Bare(list[0])
	if err := check(c.host, address); err != nil {
		return outcome{}, err
	}
	query, err := sessions.Roster(ctx, s.asker, address)
	if err != nil {
		return outcome{}, err
	}
	lines := form.Field{Var: "roster", Type: form.TextMulti, Label: "Contacts"}
	if el, ok := xml.Find(query, ns.Client, "query", ns.Roster); ok {
		for item := range el.Elements() {
			lines.Values = append(lines.Values, describeContact(&item))
		}
	}
	out := table(form.Field{Var: "accountjids", Type: form.JIDMulti, Label: "The account", Values: []string{address}}, lines)
	out.form.Payload = query
	return out, nil
}

// describeContact writes an item of a roster for people: name <address>, which
// subscription there is, groups.
func describeContact(item *xml.Element) string {
	text := item.Attr("jid")
	if name := item.Attr("name"); name != "" {
		text = name + " <" + text + ">"
	}
	text += ": " + item.Attr("subscription")
	var groups []string
	for child := range item.Elements() {
		if child.Name() == "group" {
			groups = append(groups, child.Text())
		}
	}
	if len(groups) > 0 {
		text += " (" + strings.Join(groups, ", ") + ")"
	}
	return text
}

// lastLogin tells when accounts have logged in last, in the order of the accounts.
func (s *service) lastLogin(ctx context.Context, c call, f *form.Form) (outcome, error) {
	list := f.Values("accountjids")
	times := form.Field{Var: "lastlogin", Type: form.TextMulti, Label: "When"}
	for i, address := range list {
		address = packet.Bare(address)
		if err := check(c.host, address); err != nil {
			return outcome{}, err
		}
		switch there, err := account.Exists(ctx, s.store, address); {
		case err != nil:
			return outcome{}, err
		case !there:
			return outcome{}, refusal("there is no account " + address)
		}
		at, err := account.LastLogin(ctx, s.store, address)
		if err != nil {
			return outcome{}, err
		}
		list[i] = address
		text := "not known"
		if !at.IsZero() {
			text = at.UTC().Format(time.RFC3339)
		}
		times.Values = append(times.Values, text)
	}
	return table(form.Field{Var: "accountjids", Type: form.JIDMulti, Label: "The accounts", Values: list}, times), nil
}
