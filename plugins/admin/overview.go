package admin

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/form"
)

// quiet is for how long nothing is heard of a user who counts as idle.
const quiet = 10 * time.Minute

// maxListed is how many accounts a list has at most.
const maxListed = 1000

// overview are the commands that say who there is.
func (s *service) overview() []*order {
	list := []*order{{"user-stats", "Look at an account", false, asks("An account to look at", oneAccount), s.stats}}
	for _, x := range []struct {
		nodes [2]string // of the number, and of the list
		what  string
		field [2]string
		find  func(ctx context.Context, host string, found func(jid string)) error
	}{
		{[2]string{"get-registered-users-num", "get-registered-users-list"}, "accounts", [2]string{"registeredusersnum", "registereduserjids"}, s.registered},
		{[2]string{"get-disabled-users-num", "get-disabled-users-list"}, "disabled accounts", [2]string{"disabledusersnum", "disableduserjids"}, s.disabled},
		{[2]string{"get-online-users-num", "get-online-users-list"}, "users who are online", [2]string{"onlineusersnum", "onlineuserjids"}, s.online(func(sessions.Session) bool { return true })},
		{[2]string{"get-active-users-num", "get-active-users"}, "users who are active", [2]string{"activeusersnum", "activeuserjids"}, s.online(func(x sessions.Session) bool { return x.Idle < quiet })},
		{[2]string{"get-idle-users-num", "get-idle-users"}, "users who are idle", [2]string{"idleusersnum", "idleuserjids"}, s.online(func(x sessions.Session) bool { return x.Idle >= quiet })},
	} {
		list = append(list,
			&order{x.nodes[0], "Number of " + x.what, false, nil, func(ctx context.Context, c call, _ *form.Form) (outcome, error) {
				n := 0
				err := x.find(ctx, c.host, func(string) { n++ })
				return table(form.Field{Var: x.field[0], Label: "Number of " + x.what, Values: []string{strconv.Itoa(n)}}), err
			}},
			&order{x.nodes[1], "List of " + x.what, false, asks("How many", form.Field{
				Var: "max_items", Type: form.ListSingle, Label: "At most", Values: []string{"100"}, Options: limits(),
			}), func(ctx context.Context, c call, f *form.Form) (outcome, error) {
				most, err := strconv.Atoi(f.Value("max_items"))
				if err != nil { // "none", or not said
					most = maxListed
				}
				var jids []string
				err = x.find(ctx, c.host, func(jid string) {
					if len(jids) < most {
						jids = append(jids, jid)
					}
				})
				return table(form.Field{Var: x.field[1], Type: form.JIDMulti, Label: "List of " + x.what, Values: jids}), err
			}})
	}
	return list
}

func limits() (options []form.Option) {
	for _, n := range []string{"25", "50", "100", "200", strconv.Itoa(maxListed)} {
		options = append(options, form.Option{Value: n, Label: n})
	}
	return append(options, form.Option{Value: "none", Label: "as many as possible"})
}

func table(fields ...form.Field) outcome {
	return outcome{form: &form.Form{Type: form.Result, FormType: formType, Fields: fields}}
}

// registered finds all accounts of a host.
func (s *service) registered(ctx context.Context, host string, found func(string)) error {
	for a, err := range account.All(ctx, s.store, host) {
		if err != nil {
			return err
		}
		found(a.JID)
	}
	return nil
}

// disabled finds those that may not log in.
func (s *service) disabled(ctx context.Context, host string, found func(string)) error {
	for a, err := range account.All(ctx, s.store, host) {
		if err != nil {
			return err
		}
		if a.Disabled {
			found(a.JID)
		}
	}
	return nil
}

// online finds accounts that have an available session of which something is
// true.
func (s *service) online(is func(sessions.Session) bool) func(context.Context, string, func(string)) error {
	return func(ctx context.Context, host string, found func(string)) error {
		all, err := sessions.All(ctx, s.asker, host)
		last := ""
		for _, x := range all { // by address
			if jid := packet.Bare(x.JID); x.Available && jid != last && is(x) {
				found(jid)
				last = jid
			}
		}
		return err
	}
}

// stats says how large an account's roster is, and which sessions it has.
func (s *service) stats(ctx context.Context, c call, f *form.Form) (outcome, error) {
	address := packet.Bare(f.Value("accountjid"))
	if err := check(c.host, address); err != nil {
		return outcome{}, err
	}
	switch there, err := account.Exists(ctx, s.store, address); {
	case err != nil:
		return outcome{}, err
	case !there:
		return outcome{}, refusal("there is no account " + address)
	}
	roster, err := s.store.Keys(ctx, address, "roster", xdb.Query{Count: true, Max: -1})
	if err != nil {
		return outcome{}, err
	}
	all, err := sessions.All(ctx, s.asker, address)
	var resources []string
	for _, x := range all {
		resources = append(resources, packet.Resource(x.JID))
	}
	slices.Sort(resources)
	return table(
		form.Field{Var: "accountjid", Type: form.JIDSingle, Values: []string{address}},
		form.Field{Var: "rostersize", Label: "Contacts", Values: []string{strconv.Itoa(roster.Count)}},
		form.Field{Var: "onlineresources", Type: form.TextMulti, Label: "Sessions", Values: resources},
	), err
}
