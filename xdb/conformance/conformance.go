// Package conformance says what a storage backend of jabberd has to do, as
// tests. A backend's own test calls [Run], one that outlives its process
// [RunDurable]:
//
//	func TestConformance(t *testing.T) {
//		conformance.RunDurable(t, func(dir string) (xdb.Backend, func() error, error) {
//			s, err := Open(dir)
//			return s, s.Close, err
//		})
//	}
//
// The tests speak to the backend through packets, as the server does.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// An Opener opens the store in a folder, which is empty at first, and says how
// to close it. A backend without files uses the folder as a name.
type Opener func(dir string) (b xdb.Backend, close func() error, err error)

// Run tests a backend. Each test opens stores of its own.
func Run(t *testing.T, open Opener) {
	run(t, open)
	t.Run("agrees with a model", func(t *testing.T) { agrees(t, open, false) })
}

func run(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *store)
	}{
		{"what is not there is no error", nothing},
		{"put, get and delete", putGetDelete},
		{"revisions never come back", revisionsGrow},
		{"several keys, and all", severalKeys},
		{"owners and namespaces are apart", apart},
		{"compare and set", compareAndSet},
		{"append", appends},
		{"append under a given key", givenKeys},
		{"values come back to the byte", values},
		{"names of all sorts", names},
		{"large values", largeValues},
		{"all at its limit", atLimits},
		{"batches are made whole or not", batches},
		{"a batch is seen whole", batchSeenWhole},
		{"a thousand changes at once", largeBatch},
		{"query", queries},
		{"pages in both directions", pages},
		{"pages are bounded in bytes", pageBytes},
		{"times", times},
		{"racing updates", racingUpdates},
		{"racing creations", racingCreations},
		{"a reader of a queue misses nothing", tail},
		{"drop", drops},
		{"namespaces and owners", lists},
		{"copies", copies},
		{"redelivered", redelivered},
		{"what is wrong is refused", refusals},
		{"given up before it began", givenUp},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, start(t, open)) })
	}
}

// RunDurable tests a backend whose items outlive it. close has to make durable
// what was not yet.
func RunDurable(t *testing.T, open Opener) {
	run(t, open)
	t.Run("outlives a restart", func(t *testing.T) { restart(t, open) })
	t.Run("agrees with a model across restarts", func(t *testing.T) { agrees(t, open, true) })
}

// store is a backend behind a server.
type store struct {
	*xdb.Store
	*loop
	backend xdb.Backend
}

func start(t *testing.T, open Opener) *store {
	t.Helper()
	b, closed, err := open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closed(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return newStore(b)
}

func newStore(b xdb.Backend) *store {
	l := &loop{}
	l.handler = xdb.Serve(l, b, "the store under test")
	return &store{Store: xdb.New(l, "tester@localhost"), loop: l, backend: b}
}

// NewStore returns a client that speaks to a backend through packets, without
// a server between them.
func NewStore(b xdb.Backend) *xdb.Store { return newStore(b).Store }

// loop is the tree in the least: it hands questions to one handler.
type loop struct{ handler packet.Handler }

type answerKey struct{}

func (l *loop) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	var answer *packet.Packet
	verdict, err := l.handler.Handle(context.WithValue(ctx, answerKey{}, &answer), q)
	var reject *packet.Reject
	switch {
	case errors.As(err, &reject):
		return nil, reject
	case err != nil:
		return nil, fmt.Errorf("internal-server-error: %w", err)
	case verdict != packet.Claim || answer == nil:
		return nil, packet.Refuse("service-unavailable", "")
	}
	return answer, nil
}

func (l *loop) Answer(ctx context.Context, _, answer *packet.Packet) error {
	a := *answer
	*ctx.Value(answerKey{}).(**packet.Packet) = &a
	return nil
}

// condition is the condition that an error was refused with.
func condition(err error) string {
	var reject *packet.Reject
	if errors.As(err, &reject) {
		return reject.Condition
	}
	return ""
}
