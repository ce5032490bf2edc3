package xdb_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/conformance"
	"github.com/jabberii/server/xdb/memory"
)

const ann = "ann@example.org"

// asker answers all questions with the same.
type asker struct {
	asked  packet.Packet
	answer string
	err    error
}

func (a *asker) Ask(_ context.Context, q *packet.Packet) (*packet.Packet, error) {
	a.asked = *q
	return &packet.Packet{Type: "result", Body: []byte(a.answer)}, a.err
}

func TestQuestions(t *testing.T) {
	const rev = "00000000000dg"
	for _, c := range []struct {
		name           string
		ask            func(context.Context, *xdb.Store) error
		answer         string
		op, kind, body string
	}{
		{"get", func(ctx context.Context, s *xdb.Store) error {
			_, _, err := s.Get(ctx, ann, "n", "a'b")
			return err
		}, "", "get", "get", "<item key='a&apos;b'/>"},
		{"get of several", func(ctx context.Context, s *xdb.Store) error {
			_, err := s.GetAll(ctx, ann, "n", "a", "b")
			return err
		}, "", "get", "get", "<item key='a'/><item key='b'/>"},
		{"put", func(ctx context.Context, s *xdb.Store) error {
			got, err := s.Put(ctx, ann, "n", "k", []byte("<v/>"))
			if got != 432 {
				t.Errorf("revision %d", got)
			}
			return err
		}, "<done key='k' rev='" + rev + "'/>", "put", "set", "<put key='k'><v/></put>"},
		{"cas", func(ctx context.Context, s *xdb.Store) error {
			_, err := s.CompareAndSet(ctx, ann, "n", "k", 432, nil)
			return err
		}, "<done key='k' rev='" + rev + "'/>", "cas", "set", "<put key='k' was='" + rev + "'/>"},
		{"creation", func(ctx context.Context, s *xdb.Store) error {
			_, err := s.CompareAndSet(ctx, ann, "n", "k", 0, nil)
			return err
		}, "<done key='k' rev='" + rev + "'/>", "cas", "set", "<put key='k' was=''/>"},
		{"append", func(ctx context.Context, s *xdb.Store) error {
			key, err := s.Append(ctx, ann, "n", "bob@example.org", []byte("x"))
			if key != "given" {
				t.Errorf("key %q", key)
			}
			return err
		}, "<done key='given' rev='" + rev + "'/>", "append", "set", "<append with='bob@example.org'>x</append>"},
		{"batch in one namespace", func(ctx context.Context, s *xdb.Store) error {
			return s.Batch(ctx, ann, []xdb.Change{{NS: "n", Key: "a"}, {Op: xdb.Delete, NS: "n", Key: "b"}})
		}, "<done key='a' rev='" + rev + "'/><done key='b' rev=''/>", "batch", "set", "<put key='a'/><delete key='b'/>"},
		{"drop", func(ctx context.Context, s *xdb.Store) error { return s.Drop(ctx, ann, "n", "k") },
			"", "drop", "set", "<drop before='k'/>"},
		{"query", func(ctx context.Context, s *xdb.Store) error {
			_, err := s.Query(ctx, ann, "n", xdb.Query{Start: xdb.Rev(1).Time(), With: "b", After: "a", Max: -1, Reverse: true, Count: true})
			return err
		}, "", "query", "get", "<query after='a' start='1970-01-01T00:00:00.000000001Z' with='b' max='0' reverse='true' count='true'/>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &asker{answer: c.answer}
			if err := c.ask(t.Context(), xdb.New(a, "me")); err != nil {
				t.Fatal(err)
			}
			q := a.asked
			if q.Name != c.op || q.Type != c.kind || string(q.Body) != c.body || q.To != ann || q.From != "me" || q.NS != "n" || q.Kind != packet.XDB {
				t.Errorf("asked %+v, %s", q, q.Body)
			}
		})
	}
	a := &asker{answer: "<done ns='n' key='a' rev=''/><done ns='m' key='b' rev=''/>"}
	if err := xdb.New(a, "me").Batch(t.Context(), ann, []xdb.Change{{NS: "n", Key: "a"}, {NS: "m", Key: "b"}}); err != nil {
		t.Fatal(err)
	}
	if a.asked.NS != "" || string(a.asked.Body) != "<put ns='n' key='a'/><put ns='m' key='b'/>" {
		t.Errorf("asked %q, %s", a.asked.NS, a.asked.Body)
	}
	a.asked = packet.Packet{}
	if err := xdb.New(a, "me").Batch(t.Context(), ann, nil); err != nil || a.asked.Name != "" {
		t.Errorf("no changes: %v, asked %s", err, a.asked.Name)
	}
}

func TestAnswersOfStrangers(t *testing.T) {
	gone := packet.Refuse("service-unavailable", "")
	for _, c := range []struct {
		name, answer, want string
		err                error
	}{
		{"error", "", "service-unavailable", gone},
		{"nothing done", "", "1 changes asked for, 0 answered", nil},
		{"no revision", "<done key='k' rev='x'/>", "is no revision", nil},
		{"something else before", "<hint/> <done key='k' rev=''/> <done/>", "", nil},
	} {
		_, err := xdb.New(&asker{answer: c.answer, err: c.err}, "me").Put(t.Context(), ann, "n", "k", nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	_, _, err := xdb.New(&asker{answer: "<item key='k' rev='x'/>"}, "me").Get(t.Context(), ann, "n", "k")
	if err == nil {
		t.Error("an item without revision was taken")
	}
	_, err = xdb.New(&asker{answer: "<page count='many'/>"}, "me").Query(t.Context(), ann, "n", xdb.Query{})
	if err == nil {
		t.Error("a count that is no number was taken")
	}
}

func TestUpdate(t *testing.T) {
	s := conformance.NewStore(memory.Open(1 << 20))
	ctx := t.Context()
	add := func(old *xdb.Item) ([]byte, error) {
		if old == nil {
			return []byte("1"), nil
		}
		return append([]byte("1"), old.Value...), nil
	}
	for range 3 {
		if _, err := s.Update(ctx, ann, "n", "k", add); err != nil {
			t.Fatal(err)
		}
	}
	if it, _, err := s.Get(ctx, ann, "n", "k"); err != nil || string(it.Value) != "111" {
		t.Errorf("got %s, %v", it.Value, err)
	}
	if _, err := s.Update(ctx, ann, "n", "k", func(*xdb.Item) ([]byte, error) { return nil, io.EOF }); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	tries := 0
	_, err := s.Update(ctx, ann, "n", "k", func(*xdb.Item) ([]byte, error) {
		tries++
		_, err := s.Put(ctx, ann, "n", "k", []byte("other"))
		return []byte("mine"), err
	})
	if !xdb.IsConflict(err) || tries != 16 {
		t.Errorf("against somebody faster: %v after %d tries", err, tries)
	}
	if _, err := s.Update(ctx, ann, "n", "k", func(*xdb.Item) ([]byte, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	if _, found, err := s.Get(ctx, ann, "n", "k"); found || err != nil {
		t.Errorf("after nil it is there: %v, %v", found, err)
	}
}

// The value of an item with an address keeps it through Update.
func TestUpdateKeepsWith(t *testing.T) {
	s := conformance.NewStore(memory.Open(1 << 20))
	key, err := s.Append(t.Context(), ann, "n", "bob@example.org", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), ann, "n", key, func(*xdb.Item) ([]byte, error) { return []byte("<retracted/>"), nil }); err != nil {
		t.Fatal(err)
	}
	page, err := s.Query(t.Context(), ann, "n", xdb.Query{With: "bob@example.org"})
	if err != nil || len(page.Items) != 1 || string(page.Items[0].Value) != "<retracted/>" {
		t.Errorf("got %+v, %v", page, err)
	}
}
