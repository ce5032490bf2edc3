// Package private is the module that keeps what clients want to find again:
// their private XML (XEP-0049), such as bookmarks and notes.
//
// An account has one element for each name, namespace "private" of its storage.
package private

import (
	"context"
	"fmt"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const (
	space   = "jabber:iq:private"
	storage = "private" // the namespace of storage
)

// Args are the arguments of private.
type Args struct {
	Max  int         `json:"max" default:"100" doc:"Elements that an account may keep."`
	Size module.Size `json:"size" default:"64KiB" doc:"How long each of them may be."`
}

// Module is the service as a configuration names it: load "private".
var Module = define()

func define() module.Module {
	m := module.Define("private", "Keeps private XML of clients (XEP-0049), such as bookmarks.",
		module.On(packet.Normal, packet.Session), New)
	m.Needs = module.On(packet.Normal, packet.XDB)
	m.XEPs = []module.XEP{{Number: 49, Name: "Private XML Storage", Version: "1.2"}}
	return m
}

type private struct {
	env   module.Env
	args  Args
	store *xdb.Store
}

// New makes the handler.
func New(env module.Env, a Args) (packet.Handler, error) {
	switch {
	case a.Max < 1 || a.Max > xdb.MaxChanges:
		return nil, module.BadArg("max", "must be between 1 and %d", xdb.MaxChanges)
	case a.Size < 1 || a.Size > xdb.MaxValue:
		return nil, module.BadArg("size", "must be between 1 and %d bytes", xdb.MaxValue)
	}
	return &private{env, a, xdb.New(env, env.Section())}, nil
}

// Handle answers an account that asks for its own.
func (h *private) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if disco.AsksInfo(p) {
		disco.AddFeature(p, space)
		return packet.Pass, nil
	}
	el, ok := request.ToAccount(p)
	if !ok || el.NS() != space {
		return packet.Pass, nil
	}
	var body []byte
	err := refuse(p, &el)
	switch {
	case err != nil:
	case p.Type == "get":
		body, err = h.get(ctx, p.To, &el)
	default:
		err = h.set(ctx, p.To, &el)
	}
	if err != nil {
		return packet.Pass, err
	}
	return packet.Claim, h.env.Deliver(ctx, request.Result(p, body))
}

// refuse says what is wrong with a request, whatever is stored.
func refuse(p *packet.Packet, query *xml.Element) error {
	if !request.IsOwn(p) {
		return packet.Refuse("forbidden", "")
	}
	n := 0
	for el := range query.Elements() {
		if n++; el.NS() == space {
			return packet.Refuse("not-acceptable", "an element has a namespace of its own")
		}
	}
	switch {
	case query.Name() != "query":
		return packet.Refuse("bad-request", "")
	case n == 0:
		return packet.Refuse("not-acceptable", "there is no element in it")
	case n > 1 && p.Type == "get":
		return packet.Refuse("bad-request", "one element is asked for at a time")
	}
	return nil
}

// key is the name of an element in storage.
func key(el *xml.Element) (string, error) {
	k := el.NS() + " " + el.Name()
	if len(k) > xdb.MaxKey {
		return "", packet.Refuse("not-acceptable", "the namespace is too long")
	}
	return k, nil
}

// get answers with the element of the name that is asked for, empty if there is
// none.
func (h *private) get(ctx context.Context, owner string, query *xml.Element) ([]byte, error) {
	body := xml.AppendStart(nil, "query", space)
	for el := range query.Elements() {
		k, err := key(&el)
		if err != nil {
			return nil, err
		}
		it, found, err := h.store.Get(ctx, owner, storage, k)
		switch {
		case err != nil:
			return nil, err
		case found:
			body = append(body, it.Value...)
		default:
			body = xml.AppendEmpty(body, el.Name(), el.NS())
		}
	}
	return xml.AppendEnd(body, "query"), nil
}

// set keeps all elements or none.
func (h *private) set(ctx context.Context, owner string, query *xml.Element) error {
	var changes []xdb.Change
	named := map[string]int{}
	for el := range query.Elements() {
		k, err := key(&el)
		if err != nil {
			return err
		}
		value := el.Append(nil)
		if len(value) > int(h.args.Size) {
			return packet.Refuse("resource-constraint", fmt.Sprintf("an element is longer than %d bytes", h.args.Size))
		}
		if i, again := named[k]; again { // the last one counts
			changes[i].Value = value
			continue
		}
		named[k] = len(changes)
		changes = append(changes, xdb.Change{Op: xdb.Put, NS: storage, Key: k, Value: value})
	}
	if err := h.room(ctx, owner, named); err != nil {
		return err
	}
	return h.store.Batch(ctx, owner, changes)
}

// room refuses elements that are too many beside those that there are.
func (h *private) room(ctx context.Context, owner string, named map[string]int) error {
	full := packet.Refuse("resource-constraint", fmt.Sprintf("an account keeps at most %d elements", h.args.Max))
	if len(named) > h.args.Max {
		return full
	}
	page, err := h.store.Keys(ctx, owner, storage, xdb.Query{Count: true, Max: h.args.Max})
	if err != nil {
		return err
	}
	more := len(named)
	for _, it := range page.Items {
		if _, again := named[it.Key]; again {
			more--
		}
	}
	if page.Count+more > h.args.Max {
		return full
	}
	return nil
}

// Explain says what Handle would do.
func (h *private) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	if disco.AsksInfo(p) {
		disco.AddFeature(p, space)
		return packet.Pass, "adds to what " + p.To + " offers"
	}
	el, ok := request.ToAccount(p)
	switch {
	case !ok || el.NS() != space:
		return packet.Pass, "it is not about private XML"
	case refuse(p, &el) != nil:
		return packet.Refuses, refuse(p, &el).Error()
	case p.Type == "get":
		return packet.Claim, "answers with what " + p.To + " keeps"
	}
	return packet.Claim, "keeps it for " + p.To
}
