package tree_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
)

// A store answers with what it is made of: bodies by "NAME NS", a refusal where
// it begins with an exclamation mark, and passes what it does not know.
func store(answers map[string]string) handle {
	return func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
		body, known := answers[p.Name+" "+p.NS]
		if !known {
			return packet.Pass, nil
		}
		if condition, refuses := strings.CutPrefix(body, "!"); refuses {
			return packet.Claim, packet.Refuse(condition, "")
		}
		return packet.Claim, env.Answer(ctx, p, &packet.Packet{Type: "result", Body: []byte(body)})
	}
}

// threeStores asks a tree of three stores, of which the first two fall back, and
// returns the answer or the condition of the refusal.
func threeStores(t *testing.T, at func(string) string, stores [3]map[string]string) func(packet.Packet) string {
	handlers := map[string]handle{"asker": claim}
	r := newRig(t, handlers)
	r.section(normal("a"), []string{"home"}, at("asker"))
	for i, answers := range stores {
		name := fmt.Sprint("store", i)
		handlers[name] = store(answers)
		s := normal(name, packet.XDB)
		s.Fallback = i < 2
		r.section(s, []string{"*"}, at(name))
	}
	r.start()
	return func(q packet.Packet) string {
		q.Kind, q.To = packet.XDB, "ann@home"
		a, err := r.env("asker").Ask(context.Background(), &q)
		var why *packet.Reject
		switch {
		case errors.As(err, &why):
			return "!" + why.Condition
		case err != nil:
			t.Fatal(err)
		}
		return string(a.Body) + a.Attrs
	}
}

// TestFallbackIsForNone: the next store is asked where one has nothing, and only
// there.
func TestFallbackIsForNone(t *testing.T) {
	const here, page = "<item key='k' rev='1'/>", "<page count='0' more=''/>"
	const other = " fallback='true'"
	for name, c := range map[string]struct {
		typ    string
		stores [3]string // "-" passes
		want   string
	}{
		"something":              {"get", [3]string{here, "<item key='2'/>", ""}, here},
		"nothing":                {"get", [3]string{"", here, "<item key='3'/>"}, here + other},
		"an empty page":          {"get", [3]string{"<page/>", page, here + "<page/>"}, here + "<page/>" + other},
		"a count":                {"get", [3]string{"<page count='2'/>", here, ""}, "<page count='2'/>"},
		"nowhere":                {"get", [3]string{" ", "", page}, page + other},
		"nobody else":            {"get", [3]string{page, "-", "-"}, page},
		"who passes":             {"get", [3]string{"-", "-", here}, here},
		"an error":               {"get", [3]string{"!remote-server-timeout", here, ""}, "!remote-server-timeout"},
		"an error of the next":   {"get", [3]string{"", "!remote-server-timeout", here}, "!remote-server-timeout"},
		"a change":               {"set", [3]string{"", here, ""}, ""},
		"an operation of theirs": {"get", [3]string{"<yes/>", here, ""}, "<yes/>"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, at func(string) string) {
				var stores [3]map[string]string
				for i, body := range c.stores {
					if body != "-" {
						stores[i] = map[string]string{"get n": body}
					}
				}
				if got := threeStores(t, at, stores)(packet.Packet{Name: "get", NS: "n", Type: c.typ}); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		})
	}
}

// TestAllStoresAreAsked: what there is, and whose, is the answer of all stores.
func TestAllStoresAreAsked(t *testing.T) {
	owners := func(more string, names ...string) string {
		s := ""
		for _, n := range names {
			s += "<owner jid='" + n + "'/>"
		}
		return s + "<page" + more + "/>"
	}
	const more = " more='true'"
	for name, c := range map[string]struct {
		question packet.Packet
		stores   [3]string
		want     string
	}{
		"namespaces": {packet.Packet{Name: "list", Type: "get"},
			[3]string{"<namespace name='b'/>", "-", "<namespace name='a&amp;&apos;'/> <namespace name='b'/>"}, "<namespace name='a&amp;&apos;'/><namespace name='b'/>"},
		"one has none":      {packet.Packet{Name: "list", Type: "get"}, [3]string{"", "", "<namespace name='a'/>"}, "<namespace name='a'/>"},
		"nobody has":        {packet.Packet{Name: "list", Type: "get"}, [3]string{"-", "-", "-"}, "!service-unavailable"},
		"one is away":       {packet.Packet{Name: "list", Type: "get"}, [3]string{"<namespace name='b'/>", "!remote-server-timeout", ""}, "!remote-server-timeout"},
		"nonsense":          {packet.Packet{Name: "list", Type: "get"}, [3]string{"<namespace name='b'/>", "<namespace", ""}, "!internal-server-error"},
		"owners":            {packet.Packet{Name: "owners", Type: "get"}, [3]string{owners("", "c"), owners("", "a", "c"), owners("", "b")}, owners("", "a", "b", "c")},
		"a page":            {packet.Packet{Name: "owners", Type: "get", Body: []byte("<owners max='2'/>")}, [3]string{owners("", "c"), owners("", "a", "d"), owners("", "b")}, owners(more, "a", "b")},
		"behind a page":     {packet.Packet{Name: "owners", Type: "get"}, [3]string{owners(more, "a", "c"), owners("", "b", "d"), owners(more, "b")}, owners(more, "a", "b")},
		"max is 0":          {packet.Packet{Name: "owners", Type: "get", Body: []byte("<owners max='0'/>")}, [3]string{owners(more), owners(""), owners(more)}, owners(more)},
		"drop":              {packet.Packet{Name: "drop", Type: "set"}, [3]string{"", "", ""}, ""},
		"a drop is refused": {packet.Packet{Name: "drop", Type: "set"}, [3]string{"", "!resource-constraint", ""}, "!resource-constraint"},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, at func(string) string) {
				var stores [3]map[string]string
				for i, body := range c.stores {
					if body != "-" {
						stores[i] = map[string]string{c.question.Name + " ": body}
					}
				}
				if got := threeStores(t, at, stores)(c.question); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		})
	}
}

// TestStaleIsBounded: much that is stale becomes less of a larger scope.
func TestStaleIsBounded(t *testing.T) {
	e := tree.New(tree.Config{Core: true, ID: 1})
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	e.Run()
	mark := func(owner, ns string) { e.MarkStale(tree.Stale{Section: "s", Owner: owner, NS: ns}) }
	for i := range 16 {
		mark("ann@x", fmt.Sprint(i))
		mark("ann@x", fmt.Sprint(i))
	}
	if got := e.Stale(); len(got) != 16 || got[0].Scope != tree.StaleSpace || got[0].Since.IsZero() {
		t.Fatalf("%d are stale, first %+v", len(got), got[0])
	}
	mark("ann@x", "one more")
	if got := e.Stale(); len(got) != 1 || got[0].Scope != tree.StaleOwner || got[0].NS != "" {
		t.Fatalf("stale is %+v", got)
	}
	for i := range 999 {
		mark(fmt.Sprintf("u%d@x", i), "n")
	}
	if got := e.Stale(); len(got) != 1000 {
		t.Fatalf("%d are stale", len(got))
	}
	mark("bob@x", "n")
	all := e.Stale()
	if len(all) != 1 || all[0].Scope != tree.StaleStore || all[0].Owner != "" {
		t.Fatalf("stale is %+v", all)
	}
	mark("bob@x", "n")
	e.Mend(all[0])
	mark("carl@x", "n") // while it is copied
	e.Mended(all[0])
	if got := e.Stale(); len(got) != 1 || got[0].Owner != "carl@x" {
		t.Fatalf("stale is %+v", got)
	}
	e.Mended(e.Stale()[0])
	if got := e.Stale(); len(got) != 0 {
		t.Fatalf("stale is %+v", got)
	}
	select {
	case <-e.StaleChanged():
	default:
		t.Error("nobody is told of changes")
	}
}

// TestAloneHoldsChangesUp: no change of an owner is made meanwhile that several
// stores would get, and all else is.
func TestAloneHoldsChangesUp(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		made := make(chan packet.Packet, 9)
		put := func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			made <- *p
			return packet.Claim, env.Answer(ctx, p, &packet.Packet{Type: "result"})
		}
		r := newRig(t, map[string]handle{"asker": claim, "one": put, "two": put})
		r.section(normal("a"), []string{"home"}, "asker").section(normal("one", packet.XDB), []string{"*"}, at("one")).
			section(normal("two", packet.XDB), []string{"*"}, at("two")).start()
		ask := func(to, typ string) {
			if _, err := r.env("asker").Ask(context.Background(), &packet.Packet{To: to, Name: "put", Type: typ, NS: "n"}); err != nil {
				t.Error(err)
			}
		}
		changed := make(chan struct{})
		err := r.core.Alone(t.Context(), "ann@home", func() error {
			go func() {
				ask("ann@home", "set")
				close(changed)
			}()
			ask("bob@home", "set")
			receive(t, made)
			receive(t, made)                              // the copy
			for r.core.Counts()[packet.XDB].Entered < 3 { // that of ann is there
				runtime.Gosched()
			}
			made <- packet.Packet{To: "end"}
			return errors.New("told")
		})
		if err == nil || err.Error() != "told" {
			t.Errorf("got %v", err)
		}
		for _, want := range []string{"end", "ann@home", "ann@home"} {
			if p := receive(t, made); p.To != want {
				t.Errorf("got %s, want %s", p.To, want)
			}
		}
		<-changed
	})
}
