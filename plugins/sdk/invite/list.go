package invite

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// grace is how long an invitation is kept when it is too old: who has shown it in time
// may still register with it (XEP-0445).
const grace = time.Hour

// List calls f with the invitations of a host, or of those by an account, until it
// returns false. It takes away those that are past their time.
func List(ctx context.Context, store *xdb.Store, host, by string, f func(*Invitation) bool) error {
	now := time.Now()
	q := xdb.Query{With: by, Max: xdb.MaxPage}
	for {
		page, err := store.Query(ctx, host, NS, q)
		if err != nil {
			return err
		}
		for n := range page.Items {
			it := &page.Items[n]
			q.After = it.Key
			if !isToken(it.Key) {
				continue
			}
			var i Invitation
			if !i.parse(host, it) {
				continue
			}
			if !i.Expires.IsZero() && now.After(i.Expires.Add(grace)) {
				if err := i.remove(ctx, store); err != nil {
					return err
				}
				continue
			}
			if !f(&i) {
				return nil
			}
		}
		if !page.More || len(page.Items) == 0 {
			return nil
		}
	}
}

// Forget takes away all invitations by an account, which is about to have no account any
// more: who has the name next has not made them. That there is nothing that keeps
// invitations is no error.
func Forget(ctx context.Context, store *xdb.Store, by string) error {
	host := packet.Domain(by)
	var list []*Invitation
	err := List(ctx, store, host, by, func(i *Invitation) bool {
		list = append(list, i)
		return true
	})
	var reject *packet.Reject
	if errors.As(err, &reject) && reject.Condition == "service-unavailable" {
		return nil
	}
	for _, i := range list {
		err = errors.Join(err, i.remove(ctx, store))
	}
	return err
}

// Open counts the invitations by an account that can still be used.
func Open(ctx context.Context, store *xdb.Store, host, by string) (n int, err error) {
	now := time.Now()
	err = List(ctx, store, host, by, func(i *Invitation) bool {
		if i.Good(now) {
			n++
		}
		return true
	})
	return n, err
}

// isToken reports whether a key is that of a token: what rand.Text makes.
func isToken(key string) bool {
	return len(key) >= 20 && len(key) <= 64 && strings.Trim(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// append writes the invitation as storage has it.
func (i *Invitation) append(dst []byte) []byte {
	dst = xml.AppendStart(dst, "invite", "", "by", i.By, "username", i.Username, "register", flag(i.Register), "contact", flag(i.Contact),
		"new", flag(i.New), "uses", strconv.Itoa(i.Uses), "expires", formatTime(i.Expires))
	for _, who := range i.Used {
		dst = xml.AppendEmpty(dst, "used", "", "by", who)
	}
	return xml.AppendEnd(dst, "invite")
}

// parse reads an item, and reports whether it is an invitation.
func (i *Invitation) parse(host string, it *xdb.Item) bool {
	el, ok := xml.First(it.Value, "")
	if !ok || !el.Is("invite", "") {
		return false
	}
	*i = Invitation{
		Token: it.Key, Host: host, By: el.Attr("by"), Username: el.Attr("username"),
		Register: el.Attr("register") == "true", Contact: el.Attr("contact") == "true",
		New: el.Attr("new") == "true",
	}
	var err error
	if i.Uses, err = strconv.Atoi(el.Attr("uses")); err != nil {
		return false
	}
	if expires := el.Attr("expires"); expires != "" {
		if i.Expires, err = time.Parse(time.RFC3339, expires); err != nil {
			return false
		}
	}
	for used := range el.Elements() {
		i.Used = append(i.Used, used.Attr("by"))
	}
	return true
}

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func isPast(expires string, now time.Time) bool {
	t, err := time.Parse(time.RFC3339, expires)
	return err == nil && now.After(t)
}

func flag(b bool) string {
	if b {
		return "true"
	}
	return ""
}
