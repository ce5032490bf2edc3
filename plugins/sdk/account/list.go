package account

import (
	"context"
	"errors"
	"iter"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// A Listed account is one of All.
type Listed struct {
	JID      string `json:"jid"` // bare
	Disabled bool   `json:"disabled"`
}

// All yields the accounts of a host in the order of their bytes, and an error behind
// which there are no more. It reads two lists side by side, a page at a time: that of the
// accounts and that of those which are disabled.
func All(ctx context.Context, store *xdb.Store, host string) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		disabled := owners{ctx: ctx, store: store, host: host, ns: DisabledNS}
		accounts := owners{ctx: ctx, store: store, host: host, ns: NS}
		out := disabled.next()
		if isUnavailable(disabled.err) {
			disabled.err, disabled.last = nil, true
		}
		for jid := accounts.next(); jid != ""; jid = accounts.next() {
			for out != "" && out < jid { // of an account that is there no more
				out = disabled.next()
			}
			if disabled.err != nil {
				break
			}
			if packet.Local(jid) != "" && !yield(Listed{jid, jid == out}, nil) {
				return
			}
		}
		if err := errors.Join(accounts.err, disabled.err); err != nil {
			yield(Listed{}, err)
		}
	}
}

// owners are those of a namespace, one after the other.
type owners struct {
	ctx      context.Context
	store    *xdb.Store
	host, ns string

	page  []string
	after string
	last  bool // there is no page behind this one
	err   error
}

// next returns the next owner, "" if there is none, or err is set.
func (o *owners) next() string {
	if len(o.page) == 0 && !o.last && o.err == nil {
		var more bool
		o.page, more, o.err = o.store.Owners(o.ctx, o.host, o.ns, o.after, xdb.MaxPage)
		o.last = !more || len(o.page) == 0
	}
	if len(o.page) == 0 || o.err != nil {
		return ""
	}
	o.after, o.page = o.page[0], o.page[1:]
	return o.after
}
