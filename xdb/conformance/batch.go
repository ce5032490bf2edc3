package conformance

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

func batches(t *testing.T, s *store) {
	ctx := t.Context()
	rev := s.put(t, ann, "a", "k", "0")
	s.put(t, ann, "b", "old", "0")
	changes := []xdb.Change{
		{NS: "a", Key: "k", Value: []byte("1"), Check: true, Was: rev},
		{NS: "b", Key: "k", Value: []byte("2"), With: bob},
		{Op: xdb.Delete, NS: "b", Key: "old"},
		{Op: xdb.Append, NS: "c", With: bob, Value: []byte("3")},
		{Op: xdb.Append, NS: "c", With: bob, Value: []byte("4")},
	}
	if err := s.Batch(ctx, ann, changes); err != nil {
		t.Fatal(err)
	}
	s.want(t, ann, "a", "k", "1")
	s.want(t, ann, "b", "k", "2")
	s.want(t, ann, "b", "old", "-")
	s.want(t, ann, "c", changes[3].Key, "3")
	s.want(t, ann, "c", changes[4].Key, "4")
	if changes[3].Key >= changes[4].Key || changes[0].Rev <= rev {
		t.Errorf("keys %q, %q; revision %v after %v", changes[3].Key, changes[4].Key, changes[0].Rev, rev)
	}

	// The last is refused, so none is made.
	err := s.Batch(ctx, ann, []xdb.Change{
		{NS: "a", Key: "k", Value: []byte("x")},
		{Op: xdb.Delete, NS: "b", Key: "k"},
		{Op: xdb.Append, NS: "c", Value: []byte("x")},
		{NS: "d", Key: "k", Value: []byte("x")},
		{NS: "a", Key: "new", Value: []byte("x"), Check: true, Was: rev},
	})
	if !xdb.IsConflict(err) {
		t.Errorf("got %v, want a conflict", err)
	}
	s.want(t, ann, "a", "k", "1")
	s.want(t, ann, "a", "new", "-")
	s.want(t, ann, "b", "k", "2")
	s.want(t, ann, "d", "k", "-")
	if page := must(s.Query(ctx, ann, "c", xdb.Query{}))(t); len(page.Items) != 2 {
		t.Errorf("the queue has %d items, want 2", len(page.Items))
	}
	if names := must(s.Namespaces(ctx, ann))(t); strings.Join(names, " ") != "a b c" {
		t.Errorf("namespaces are %q", names)
	}
}

// batchSeenWhole changes two items together and looks that they are never seen apart.
func batchSeenWhole(t *testing.T, s *store) {
	const rounds = 200
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for last := 0; ; {
				select {
				case <-done:
					return
				default:
				}
				items, err := s.GetAll(t.Context(), ann, "pair")
				if err != nil || len(items) != 0 && (len(items) != 2 || !bytes.Equal(items[0].Value, items[1].Value)) {
					t.Errorf("got %s, %v", list(items), err)
					return
				}
				if len(items) == 0 {
					continue
				}
				n, err := strconv.Atoi(string(items[0].Value))
				if err != nil || n < last {
					t.Errorf("%d after %d, %v", n, last, err)
					return
				}
				last = n
			}
		})
	}
	for i := range rounds {
		v := []byte(strconv.Itoa(i))
		err := s.Batch(t.Context(), ann, []xdb.Change{{NS: "pair", Key: "a", Value: v}, {NS: "pair", Key: "b", Value: v}})
		if err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	readers.Wait()
}

func largeBatch(t *testing.T, s *store) {
	changes := make([]xdb.Change, xdb.MaxChanges)
	value := bytes.Repeat([]byte("x"), 1500)
	for i := range changes {
		changes[i] = xdb.Change{NS: "n", Key: fmt.Sprintf("%04d", i), With: bob, Value: value}
	}
	if err := s.Batch(t.Context(), ann, changes); err != nil {
		t.Fatal(err)
	}
	page := must(s.Query(t.Context(), ann, "n", xdb.Query{Count: true, NoValue: true, Max: xdb.MaxPage}))(t)
	if page.Count != len(changes) || len(page.Items) != len(changes) {
		t.Errorf("%d items, count %d, want %d", len(page.Items), page.Count, len(changes))
	}
	for i := range changes {
		changes[i] = xdb.Change{Op: xdb.Delete, NS: "n", Key: fmt.Sprintf("%04d", i)}
	}
	if err := s.Batch(t.Context(), ann, changes); err != nil {
		t.Fatal(err)
	}
	if names := must(s.Namespaces(t.Context(), ann))(t); len(names) != 0 {
		t.Errorf("left are %q", names)
	}
	err := s.Batch(t.Context(), ann, append(changes, xdb.Change{NS: "n", Key: "x"}))
	if condition(err) != "resource-constraint" {
		t.Errorf("one more: %v", err)
	}
}

func racingUpdates(t *testing.T, s *store) {
	const askers, each = 4, 20
	var all sync.WaitGroup
	for range askers {
		all.Go(func() {
			for range each {
				for {
					_, err := s.Update(t.Context(), ann, "n", "counter", func(old *xdb.Item) ([]byte, error) {
						n := 0
						if old != nil {
							n, _ = strconv.Atoi(string(old.Value))
						}
						return []byte(strconv.Itoa(n + 1)), nil
					})
					if xdb.IsConflict(err) {
						continue // the others were faster 16 times
					}
					if err != nil {
						t.Error(err)
						return
					}
					break
				}
			}
		})
	}
	all.Wait()
	s.want(t, ann, "n", "counter", strconv.Itoa(askers*each))
}

func racingCreations(t *testing.T, s *store) {
	for round := range 20 {
		var all sync.WaitGroup
		var mu sync.Mutex
		var winners []string
		for asker := range 4 {
			all.Go(func() {
				value := strconv.Itoa(asker)
				_, err := s.CompareAndSet(t.Context(), ann, "n", strconv.Itoa(round), 0, []byte(value))
				switch {
				case err == nil:
					mu.Lock()
					winners = append(winners, value)
					mu.Unlock()
				case !xdb.IsConflict(err):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(winners) != 1 {
			t.Fatalf("%d made the same item", len(winners))
		}
		s.want(t, ann, "n", strconv.Itoa(round), winners[0])
	}
}

// tail follows a queue while others append to it.
func tail(t *testing.T, s *store) {
	const writers, each = 4, 50
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				if _, err := s.Append(t.Context(), ann, "queue", bob, fmt.Appendf(nil, "%d %d", w, i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	appended := make(chan struct{})
	go func() {
		all.Wait()
		close(appended)
	}()
	seen, next, after := 0, [writers]int{}, ""
	for ended := false; ; {
		page, err := s.Query(t.Context(), ann, "queue", xdb.Query{After: after, Max: 7})
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			var w, i int
			if _, err := fmt.Sscan(string(it.Value), &w, &i); err != nil || i != next[w] {
				t.Fatalf("of writer %d got %d, want %d (%v)", w, i, next[w], err)
			}
			next[w]++
			seen++
			after = it.Key
		}
		if len(page.Items) > 0 {
			continue
		}
		if ended {
			break
		}
		select {
		case <-appended:
			ended = true
		default:
		}
	}
	if seen != writers*each {
		t.Errorf("saw %d items of %d", seen, writers*each)
	}
}

// copies takes what another store changed, as the tree sends it.
func copies(t *testing.T, s *store) {
	ctx := t.Context()
	copyOf := func(name, body, answer string) error {
		_, err := s.Ask(ctx, &packet.Packet{
			Kind: packet.XDB, To: ann, From: "other", Name: name, Type: "set", NS: "n", Attrs: " replica='true'", Body: []byte(body + answer),
		})
		return err
	}
	done := func(key string, rev xdb.Rev) string {
		return "<done key='" + key + "' rev='" + rev.String() + "'/>"
	}
	for _, c := range []struct{ what, name, body, answer, want string }{
		{"a put", "put", "<put key='a'>1</put>", done("a", 100), "a=1"},
		{"an append", "append", "<append>2</append><append>3</append>", done("b", 101) + done("c", 102), "a=1 b=2 c=3"},
		{"a newer put, unchecked", "cas", "<put key='a' was='000000000001g'>4</put>", done("a", 103), "a=4 b=2 c=3"},
		{"an older put", "put", "<put key='a'>5</put>", done("a", 99), "a=4 b=2 c=3"},
		{"the same again", "append", "<append>3</append>", done("c", 102), "a=4 b=2 c=3"},
		{"an older delete", "delete", "<delete key='b'/>", done("b", 7), "a=4 b=2 c=3"},
		{"a delete", "delete", "<delete key='b'/>", done("b", 104), "a=4 c=3"},
		{"a batch", "batch", "<delete key='a'/><put key='d'>6</put>", done("a", 105) + done("d", 106), "c=3 d=6"},
	} {
		if err := copyOf(c.name, c.body, c.answer); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if got := list(must(s.GetAll(ctx, ann, "n"))(t)); got != c.want {
			t.Errorf("after %s: %s, want %s", c.what, got, c.want)
		}
	}
	if it, _, err := s.Get(ctx, ann, "n", "d"); err != nil || it.Rev != 106 {
		t.Errorf("the revision of a copy is %v, %v", it.Rev, err)
	}
	if err := copyOf("put", "<put key='a'>1</put>", ""); condition(err) != "bad-request" {
		t.Errorf("a copy without a revision: %v", err)
	}
	// What is changed here later is newer than what was copied.
	future := xdb.At(timeAhead())
	if err := copyOf("put", "<put key='e'>1</put>", done("e", future)); err != nil {
		t.Fatal(err)
	}
	if rev := s.put(t, ann, "n", "e", "2"); rev <= future {
		t.Errorf("revision %v after %v", rev, future)
	}
}

// redelivered repeats changes as the tree does after the death of a process.
func redelivered(t *testing.T, s *store) {
	ask := func(flags packet.Flags, body string) error {
		_, err := s.Ask(t.Context(), &packet.Packet{
			Kind: packet.XDB, Flags: flags, To: ann, From: "other", Name: "cas", Type: "set", NS: "n", Body: []byte(body),
		})
		return err
	}
	const create, remove = "<put key='k' was=''>1</put>", "<delete key='k' was='0000000000001'/>"
	if err := ask(0, create); err != nil {
		t.Fatal(err)
	}
	if err := ask(0, create); !xdb.IsConflict(err) {
		t.Errorf("a second time: %v, want a conflict", err)
	}
	if err := ask(packet.Redelivered, create); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := ask(packet.Redelivered, "<put key='k' was=''>2</put>"); !xdb.IsConflict(err) {
		t.Errorf("another again: %v, want a conflict", err)
	}
	if err := ask(packet.Redelivered, remove); !xdb.IsConflict(err) {
		t.Errorf("delete of another revision: %v, want a conflict", err)
	}
	if err := s.Delete(t.Context(), ann, "n", "k"); err != nil {
		t.Fatal(err)
	}
	if err := ask(packet.Redelivered, remove); err != nil {
		t.Errorf("delete again: %v", err)
	}
}
