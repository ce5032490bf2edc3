package xdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// An Answerer takes the answers of a Server; module.Env is one.
type Answerer interface {
	Answer(ctx context.Context, question, answer *packet.Packet) error
}

// A Server is a packet.Handler that answers questions out of a [Backend]. It
// claims what it answers and passes the operations that it doesn't know.
type Server struct {
	env     Answerer
	backend Backend
	name    string
}

// Serve returns the Server of a backend. name says what it is in explanations:
// "badger at data/xdb".
func Serve(env Answerer, backend Backend, name string) *Server {
	return &Server{env: env, backend: backend, name: name}
}

// exchange is a question while it is answered, and what that needs.
type exchange struct {
	*packet.Packet
	backend Backend
	env     Answerer
	keys    []string
	items   []Item
	changes []Change
	body    []byte
	answer  packet.Packet
}

type operation struct {
	kind string // the type that a question has
	run  func(*exchange, context.Context) error
}

func operationOf(name string) (operation, bool) {
	switch name {
	case "get":
		return operation{"get", (*exchange).get}, true
	case "query":
		return operation{"get", (*exchange).query}, true
	case "list":
		return operation{"get", (*exchange).list}, true
	case "owners":
		return operation{"get", (*exchange).owners}, true
	case "put", "delete", "append", "cas", "batch":
		return operation{"set", (*exchange).change}, true
	case "drop":
		return operation{"set", (*exchange).drop}, true
	}
	return operation{}, false
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// Handle answers p.
func (s *Server) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	op, ok := operationOf(p.Name)
	if !ok {
		return packet.Pass, nil
	}
	if err := checkQuestion(p, op); err != nil {
		return packet.Claim, err
	}
	x := exchanges.Get().(*exchange)
	defer x.release()
	x.Packet, x.backend, x.env = p, s.backend, s.env
	if err := op.run(x, ctx); err != nil {
		return verdictOf(p, err)
	}
	x.answer = packet.Packet{
		Kind: packet.XDB, To: p.From, From: p.To,
		Name: p.Name, Type: "result", ID: p.ID, NS: p.NS, Body: x.body,
	}
	return packet.Claim, s.env.Answer(ctx, p, &x.answer)
}

// release forgets the exchange, but not memory of a usual size.
func (x *exchange) release() {
	clear(x.keys)
	clear(x.items)
	clear(x.changes)
	*x = exchange{keys: x.keys[:0], items: x.items[:0], changes: x.changes[:0]}
	if cap(x.keys) <= 256 && cap(x.items) <= 256 && cap(x.changes) <= 256 {
		exchanges.Put(x)
	}
}

func checkQuestion(p *packet.Packet, op operation) error {
	switch {
	case p.Type != op.kind:
		return bad("the type of a %s is %s, not %.20q", p.Name, op.kind, p.Type)
	case len(p.Body) > maxCopy || len(p.Body) > MaxBody && !IsCopy(p):
		return TooLarge(fmt.Sprintf("a question is longer than %d bytes", MaxBody))
	}
	if err := checkName("the namespace", p.NS, MaxNS); err != nil {
		return err
	}
	return checkName("the owner", p.To, MaxOwner)
}

// verdictOf is how a question ends that the backend did not answer.
func verdictOf(p *packet.Packet, err error) (packet.Verdict, error) {
	if errors.Is(err, ErrPass) {
		return packet.Pass, nil
	}
	var reject *packet.Reject
	if errors.As(err, &reject) {
		return packet.Claim, reject
	}
	return packet.Claim, fmt.Errorf("%s %q of %q: %w", p.Name, p.NS, p.To, err)
}

// Explain says what Handle would do.
func (s *Server) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	op, ok := operationOf(p.Name)
	if !ok {
		return packet.Pass, fmt.Sprintf("xdb has no operation %q", p.Name)
	}
	if err := checkQuestion(p, op); err != nil {
		return packet.Refuses, err.Error()
	}
	return packet.Claim, s.name + " answers " + p.Name
}

func (x *exchange) get(ctx context.Context) (err error) {
	if err := checkNS(x.NS); err != nil {
		return err
	}
	if x.keys, err = readKeys(x.Body, x.keys); err != nil {
		return err
	}
	if x.items, err = x.backend.Get(ctx, x.To, x.NS, x.keys, x.items); err != nil {
		return err
	}
	size := 0
	for i := range x.items {
		size += x.items[i].size()
	}
	if size > MaxBody && len(x.items) > 1 {
		return TooLarge(fmt.Sprintf("the answer is longer than %d bytes; query it by pages", MaxBody))
	}
	x.body = make([]byte, 0, size+size/16)
	for i := range x.items {
		x.body = x.items[i].AppendXML(x.body)
	}
	return nil
}

func (x *exchange) query(ctx context.Context) error {
	if err := checkNS(x.NS); err != nil {
		return err
	}
	q, err := readQuery(x.Body)
	if err != nil {
		return err
	}
	if err := q.check(); err != nil {
		return err
	}
	q.NoValue = q.NoValue || x.Name == "list"
	page, err := x.backend.Query(ctx, x.To, x.NS, q)
	if err != nil {
		return err
	}
	if !q.Count {
		page.Count = -1
	}
	x.body = page.AppendXML(nil)
	return nil
}

func (x *exchange) list(ctx context.Context) error {
	if x.NS != "" {
		return x.query(ctx)
	}
	names, err := x.backend.Namespaces(ctx, x.To)
	if err != nil {
		return err
	}
	for _, name := range names {
		x.body = xml.AppendEmpty(x.body, "namespace", "", "name", name)
	}
	return nil
}

func (x *exchange) owners(ctx context.Context) error {
	after, limit := "", DefaultPage
	if el, ok := xml.First(x.Body, ""); ok {
		q := Query{}
		var err error
		if q.Max, err = readMax(&el); err != nil {
			return err
		}
		after, limit = el.Attr("after"), q.limit()
	}
	owners, err := x.backend.Owners(ctx, x.To, x.NS, after, limit+1)
	if err != nil {
		return err
	}
	more := len(owners) > limit
	for _, owner := range owners[:min(len(owners), limit)] {
		x.body = xml.AppendEmpty(x.body, "owner", "", "jid", owner)
	}
	x.body = xml.AppendEmpty(x.body, "page", "", "more", flag(more, "true"))
	return nil
}

func (x *exchange) change(ctx context.Context) (err error) {
	if err := xml.Check(x.Body, xmlLimits); err != nil {
		return bad("%v", err)
	}
	if x.changes, err = ReadChanges(x.Packet, x.changes); err != nil {
		return err
	}
	if err := checkAll(x.changes); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // nobody waits for it any more
		return err
	}
	x.wait(ctx)
	if err = x.backend.Change(ctx, x.To, x.changes); err != nil {
		if x.Flags&packet.Redelivered == 0 || !x.doneBefore(ctx) {
			return err
		}
	}
	for i := range x.changes {
		x.body = appendDone(x.body, &x.changes[i], x.NS)
	}
	return nil
}

// wait lets others be answered while a slow backend makes a change.
func (x *exchange) wait(ctx context.Context) {
	if slow, ok := x.backend.(Slow); ok && slow.Waits() {
		if v, ok := x.env.(module.Waiter); ok {
			v.Wait(ctx)
		}
	}
}

// doneBefore reports whether a transaction that is handled again and refused
// now was made the first time, and then sets the revisions.
func (x *exchange) doneBefore(ctx context.Context) bool {
	again, err := ReadChanges(x.Packet, x.changes[:0])
	if err != nil {
		return false
	}
	for i := range again {
		c := &again[i]
		items, err := x.backend.Get(ctx, x.To, c.NS, []string{c.Key}, nil)
		switch {
		case err != nil || c.Key == "" || !c.Check && c.Op == Append:
			return false
		case c.Op == Delete && len(items) == 0:
			c.Rev = At(time.Now())
		case c.Op != Delete && len(items) == 1 && items[0].With == c.With && bytes.Equal(items[0].Value, c.Value):
			c.Rev = items[0].Rev
		default:
			return false
		}
	}
	x.changes = again
	return true
}

func (x *exchange) drop(ctx context.Context) error {
	before := ""
	if el, ok := xml.First(x.Body, ""); ok {
		if !el.Is("drop", "") {
			return unexpected(&el)
		}
		before = el.Attr("before")
	}
	if before != "" {
		if err := checkNS(x.NS); err != nil {
			return err
		}
	}
	return x.backend.Drop(ctx, x.To, x.NS, before)
}
