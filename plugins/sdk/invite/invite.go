// Package invite keeps the invitations of hosts (XEP-0401): tokens that somebody hands
// to others, who register with them (XEP-0445) or become contacts of who has invited
// them (XEP-0379).
//
// Namespace "invites" of a host has an item for each token. One for a certain username
// has a second item, which keeps the name free until the invitation expires.
package invite

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// NS is the namespace of storage.
const NS = "invites"

// The command by which users invite (XEP-0401), and the field of its form and of what it
// says of itself that has the page of an invitation, or where pages are.
const (
	Node      = "urn:xmpp:invite#invite"
	PageField = "landing-url"
)

// MaxUses is how often an invitation may be used at most.
const MaxUses = 1000

// Errors, to be tested for with errors.Is.
var (
	ErrNone     = errors.New("there is no such invitation, or it is used up or too old")
	ErrReserved = errors.New("the name is kept for somebody who was invited")
)

// An Invitation is what one token is good for.
type Invitation struct {
	Token    string    `json:"token"` // made by Create
	Host     string    `json:"host"`
	By       string    `json:"by,omitempty"`       // the account that invites; "" is the server
	Username string    `json:"username,omitempty"` // of the account that can be registered; "" is any
	Register bool      `json:"register"`           // an account can be registered with it
	Contact  bool      `json:"contact"`            // By and who uses it become contacts
	New      bool      `json:"new"`                // it is for who has no account, not for contacts elsewhere
	Uses     int       `json:"uses"`               // that it is good for
	Used     []string  `json:"used"`               // who has used it, bare JIDs
	Expires  time.Time `json:"expires,omitzero"`   // the zero time is never
}

// URI is what is handed to the one who is invited (XEP-0401, XEP-0445).
func (i *Invitation) URI() string {
	query := ";preauth=" + i.Token
	switch {
	case i.Contact && !i.New && i.Register:
		return "xmpp:" + escape(i.By) + "?roster" + query + ";ibr=y"
	case i.Contact && !i.New:
		return "xmpp:" + escape(i.By) + "?roster" + query
	case i.Username != "":
		return "xmpp:" + escape(i.Username+"@"+i.Host) + "?register" + query
	}
	return "xmpp:" + i.Host + "?register" + query
}

// escape writes an account as RFC 5122 has it.
func escape(jid string) string {
	return url.PathEscape(packet.Local(jid)) + "@" + packet.Domain(jid)
}

// Good reports whether the invitation can still be used, by somebody new.
func (i *Invitation) Good(now time.Time) bool {
	return len(i.Used) < i.Uses && (i.Expires.IsZero() || now.Before(i.Expires))
}

// Create makes the token of an invitation and keeps it. With a username that is kept
// for somebody else the error is ErrReserved, with one of an account account.ErrExists.
func Create(ctx context.Context, store *xdb.Store, i *Invitation) error {
	if i.Uses < 1 || i.Uses > MaxUses {
		return errors.New("an invitation is good for 1 to " + strconv.Itoa(MaxUses) + " uses")
	}
	i.Token = rand.Text()
	with := i.By
	if with == "" {
		with = i.Host
	}
	changes := []xdb.Change{{Op: xdb.Put, NS: NS, Key: i.Token, With: with, Value: i.append(nil), Check: true}}
	if i.Username != "" {
		there, err := account.Exists(ctx, store, i.Username+"@"+i.Host)
		if err == nil && there {
			err = account.ErrExists
		}
		if err != nil {
			return err
		}
		it, kept, err := reservation(ctx, store, i.Host, i.Username)
		if err != nil {
			return err
		}
		if kept != "" {
			return ErrReserved
		}
		changes = append(changes, xdb.Change{Op: xdb.Put, NS: NS, Key: nameKey(i.Username), Check: true, Was: it.Rev,
			Value: xml.AppendEmpty(nil, "name", "", "token", i.Token, "expires", formatTime(i.Expires))})
	}
	err := store.Batch(ctx, i.Host, changes)
	if xdb.IsConflict(err) {
		return ErrReserved
	}
	return err
}

// nameKey is the item that keeps a username. No token has a space in it.
func nameKey(username string) string { return "name " + username }

// Reserved returns the token of the invitation that keeps a username, "" if none does.
func Reserved(ctx context.Context, store *xdb.Store, host, username string) (token string, err error) {
	_, token, err = reservation(ctx, store, host, username)
	return token, err
}

func reservation(ctx context.Context, store *xdb.Store, host, username string) (it xdb.Item, token string, err error) {
	it, found, err := store.Get(ctx, host, NS, nameKey(username))
	if err != nil || !found {
		return it, "", err
	}
	el, ok := xml.First(it.Value, "")
	if !ok || isPast(el.Attr("expires"), time.Now()) {
		return it, "", nil
	}
	return it, el.Attr("token"), nil
}

// Get returns the invitation of a token, whether it can still be used or not. The error
// is ErrNone if there is none, or if who has made it has no account any more.
func Get(ctx context.Context, store *xdb.Store, host, token string) (*Invitation, error) {
	i, err := get(ctx, store, host, token)
	if err != nil {
		return nil, err
	}
	if i.By != "" {
		may, err := account.Enabled(ctx, store, i.By)
		if err != nil {
			return nil, err
		}
		if !may {
			return nil, ErrNone
		}
	}
	return i, nil
}

// Take counts that somebody, a bare JID, uses an invitation; that it is past its time
// doesn't matter. Whoever has used it before may do so again.
func Take(ctx context.Context, store *xdb.Store, host, token, who string) error {
	return change(ctx, store, host, token, func(i *Invitation) error {
		if slices.Contains(i.Used, who) {
			return nil
		}
		if len(i.Used) >= i.Uses {
			return ErrNone
		}
		i.Used = append(i.Used, who)
		return nil
	})
}

// GiveBack undoes Take.
func GiveBack(ctx context.Context, store *xdb.Store, host, token, who string) error {
	return change(ctx, store, host, token, func(i *Invitation) error {
		i.Used = slices.DeleteFunc(i.Used, func(other string) bool { return other == who })
		return nil
	})
}

func change(ctx context.Context, store *xdb.Store, host, token string, f func(*Invitation) error) error {
	if !isToken(token) {
		return ErrNone
	}
	_, err := store.Update(ctx, host, NS, token, func(old *xdb.Item) ([]byte, error) {
		var i Invitation
		if old == nil || !i.parse(host, old) {
			return nil, ErrNone
		}
		if err := f(&i); err != nil {
			return nil, err
		}
		return i.append(nil), nil
	})
	return err
}

// Revoke takes an invitation away.
func Revoke(ctx context.Context, store *xdb.Store, host, token string) error {
	i, err := get(ctx, store, host, token)
	if err != nil {
		return err
	}
	return i.remove(ctx, store)
}

// get is Get whoever has made it.
func get(ctx context.Context, store *xdb.Store, host, token string) (*Invitation, error) {
	if !isToken(token) {
		return nil, ErrNone
	}
	it, found, err := store.Get(ctx, host, NS, token)
	i := new(Invitation)
	if err == nil && (!found || !i.parse(host, &it)) {
		err = ErrNone
	}
	return i, err
}

// remove takes an invitation away, and the item with its username unless that is
// another's by now.
func (i *Invitation) remove(ctx context.Context, store *xdb.Store) error {
	changes := []xdb.Change{{Op: xdb.Delete, NS: NS, Key: i.Token}}
	if i.Username != "" {
		it, found, err := store.Get(ctx, i.Host, NS, nameKey(i.Username))
		if err != nil {
			return err
		}
		if el, ok := xml.First(it.Value, ""); found && ok && el.Attr("token") == i.Token {
			changes = append(changes, xdb.Change{Op: xdb.Delete, NS: NS, Key: it.Key, Check: true, Was: it.Rev})
		}
	}
	return store.Batch(ctx, i.Host, changes)
}
