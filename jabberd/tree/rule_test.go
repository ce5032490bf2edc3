package tree_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

func TestEachSectionGetsItsOwnCopy(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		one, two := make(chan packet.Packet, 1), make(chan packet.Packet, 1)
		r := newRig(t, map[string]handle{
			"change": func(_ context.Context, _ module.Env, p *packet.Packet) (packet.Verdict, error) {
				p.ID, p.Body = "changed", []byte("other")
				return packet.Pass, nil
			},
			"one": sink(one), "two": sink(two),
		})
		r.section(normal("a"), []string{"x"}, at("change"), at("one")).section(normal("b"), []string{"x"}, "two").start()
		if err := r.env("two").Deliver(context.Background(), message("u@y", "x", "1")); err != nil {
			t.Fatal(err)
		}
		if p := receive(t, one); p.ID != "changed" || string(p.Body) != "other" {
			t.Errorf("first section got %q %q", p.ID, p.Body)
		}
		if p := receive(t, two); p.ID != "1" || string(p.Body) != "<body>1</body>" {
			t.Errorf("second section got %q %q", p.ID, p.Body)
		}
	})
}

func TestUnclaimedBounces(t *testing.T) {
	cases := map[string]struct {
		p    packet.Packet
		want string // of the answer's condition; "" is none
	}{
		"message":               {packet.Packet{Name: "message", Type: "chat"}, "service-unavailable"},
		"error":                 {packet.Packet{Name: "message", Type: "error"}, ""},
		"iq get":                {packet.Packet{Name: "iq", Type: "get"}, "service-unavailable"},
		"iq result":             {packet.Packet{Name: "iq", Type: "result"}, ""},
		"join":                  {packet.Packet{Name: "presence"}, "service-unavailable"},
		"subscribe":             {packet.Packet{Name: "presence", Type: "subscribe"}, "service-unavailable"},
		"presence unavailable":  {packet.Packet{Name: "presence", Type: "unavailable"}, ""},
		"presence unsubscribe":  {packet.Packet{Name: "presence", Type: "unsubscribe"}, ""},
		"presence unsubscribed": {packet.Packet{Name: "presence", Type: "unsubscribed"}, ""},
		"presence subscribed":   {packet.Packet{Name: "presence", Type: "subscribed"}, ""},
		"presence probe":        {packet.Packet{Name: "presence", Type: "probe"}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			back, done := make(chan packet.Packet, 2), make(chan packet.Outcome, 1)
			r := newRig(t, map[string]handle{"back": sink(back)})
			r.section(normal("a"), []string{"home"}, "back").start()
			c.p.Kind, c.p.From, c.p.To, c.p.ID = packet.Normal, "ann@home/x", "bob@nowhere", "7"
			s := r.env("back").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { done <- o[0] }})
			if err := s.Deliver(context.Background(), &c.p, 42); err != nil {
				t.Fatal(err)
			}
			o := <-done
			if c.want == "" {
				if o.Result != packet.Dropped || len(back) != 0 {
					t.Errorf("outcome %+v, %d answers", o, len(back))
				}
				return
			}
			if o.Result != packet.Refused || o.Tag != 42 || o.Reason.Condition != c.want {
				t.Errorf("outcome %+v", o)
			}
			p := receive(t, back)
			if p.Type != "error" || p.To != "ann@home/x" || p.From != "bob@nowhere" || p.ID != "7" || !strings.Contains(string(p.Body), c.want) {
				t.Errorf("answer %+v", p)
			}
		})
	}
}

func TestOnlyIfNoSectionClaimsThereIsOneAnswer(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		back := make(chan packet.Packet, 9)
		refuse := func(condition string) handle {
			return func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
				return packet.Pass, packet.Refuse(condition, "")
			}
		}
		took := make(chan packet.Packet, 9)
		r := newRig(t, map[string]handle{
			"back": sink(back), "no": refuse("forbidden"), "never": refuse("not-allowed"), "yes": sink(took),
			"bad": func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
				return packet.Pass, errors.New("disk on fire at /secret")
			},
		})
		r.section(normal("0"), []string{"home"}, "back").
			section(normal("a"), []string{"two", "three"}, at("no")).
			section(normal("b"), []string{"two", "three"}, "never").
			section(normal("c"), []string{"three"}, at("yes")).
			section(normal("d"), []string{"bad"}, at("bad")).start()
		env, ctx := r.env("back"), context.Background()
		env.Deliver(ctx, message("u@home", "two", "1"))
		if p := receive(t, back); !strings.Contains(string(p.Body), "forbidden") {
			t.Errorf("the answer is not the first Reject in file order: %s", p.Body)
		}
		env.Deliver(ctx, message("u@home", "three", "2"))
		receive(t, took)
		env.Deliver(ctx, message("u@home", "bad", "3"))
		p := receive(t, back)
		if p.ID != "3" || !strings.Contains(string(p.Body), "internal-server-error") || strings.Contains(string(p.Body), "fire") {
			t.Errorf("got %s %s", p.ID, p.Body)
		}
		if e := receive(t, r.fallback); !strings.Contains(string(e.Body), "disk on fire") {
			t.Errorf("log has %s", e.Body)
		}
	})
}

func TestOrderOfAKeyAcrossProcesses(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		const n = 2000
		got := make(chan packet.Packet, n)
		r := newRig(t, map[string]handle{
			"forward": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
				q := *p
				q.To = "sink"
				return packet.Claim, env.Deliver(ctx, &q)
			},
			"sink": sink(got), "source": sink(nil),
		})
		r.section(normal("a"), []string{"mid"}, at("forward")).section(normal("b"), []string{"sink"}, "q/sink").
			section(normal("c"), []string{"source"}, at("source")).start()
		s := r.env("source").Source(module.SourceConfig{Own: true})
		go func() {
			for i := range n {
				s.Deliver(context.Background(), message("u@home/a", "x@mid", strconv.Itoa(i)), 0)
			}
		}()
		for i := range n {
			if p := receive(t, got); p.ID != strconv.Itoa(i) {
				t.Fatalf("packet %d is %s", i, p.ID)
			}
		}
	})
}

func TestAskAndAnswer(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		r := newRig(t, map[string]handle{
			"store": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
				if p.NS == "none" {
					return packet.Pass, nil
				}
				return packet.Claim, env.Answer(ctx, p, &packet.Packet{Type: "result", Body: []byte(p.NS)})
			},
			"asker": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
				a, err := env.Ask(ctx, &packet.Packet{Kind: packet.XDB, To: p.To, From: "sm", Name: "get", NS: "roster"})
				if err != nil {
					return packet.Pass, err
				}
				q := *p
				q.To, q.Body = "sink", a.Body
				return packet.Claim, env.Deliver(ctx, &q)
			},
		})
		got := make(chan packet.Packet, 1)
		r.handlers["sink"] = sink(got)
		r.section(normal("a"), []string{"home"}, "asker").section(normal("s"), []string{"sink"}, "sink").
			section(normal("x", packet.XDB), []string{"*"}, at("store")).start()
		r.env("asker").Deliver(context.Background(), message("a@home", "b@home", "1"))
		if p := receive(t, got); string(p.Body) != "roster" {
			t.Errorf("got %q", p.Body)
		}
		_, err := r.env("asker").Ask(context.Background(), &packet.Packet{Kind: packet.XDB, To: "b@home", NS: "none"})
		var reject *packet.Reject
		if !errors.As(err, &reject) || reject.Condition != "service-unavailable" {
			t.Errorf("nobody to answer: %v", err)
		}
	})
}

func TestLoopEndsAfter32Hops(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		hops := 0
		r := newRig(t, map[string]handle{"round": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			if hops++; hops > 100 { // it must not go on for ever
				return packet.Claim, nil
			}
			return packet.Claim, env.Deliver(ctx, p)
		}})
		r.section(normal("a"), []string{"x"}, at("round")).start()
		done := make(chan packet.Outcome, 1)
		s := r.env("round").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { done <- o[0] }})
		s.Deliver(context.Background(), message("u@x", "x", "1"), 0)
		if <-done; hops != 32 {
			t.Errorf("handled %d times", hops)
		}
	})
}

func TestHostLevel(t *testing.T) {
	got := make(chan packet.Packet, 1)
	hosts := map[string]string{"exact": "a.example.org", "long": "*.b.example.org", "short": "*.example.org", "any": "*"}
	h := map[string]handle{}
	for name := range hosts {
		h[name] = func(_ context.Context, _ module.Env, p *packet.Packet) (packet.Verdict, error) {
			q := *p
			q.ID = name
			got <- q
			return packet.Claim, nil
		}
	}
	r := newRig(t, h)
	for name, host := range hosts {
		r.section(normal(name), []string{host}, name)
	}
	r.start()
	for to, want := range map[string]string{"a.example.org": "exact", "u@x.b.example.org/r": "long", "x.example.org": "short",
		"b.example.org": "short", "example.org": "any", "else": "any"} {
		r.env("any").Deliver(context.Background(), message("u@y", to, ""))
		if p := receive(t, got); p.ID != want {
			t.Errorf("%s went to %s, not %s", to, p.ID, want)
		}
	}
}

// TestLaterStoresCopyWhatTheOwnerChanged has three stores: one that passes, the
// owner, and one behind it.
func TestLaterStoresCopyWhatTheOwnerChanged(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		copied, fails := make(chan packet.Packet, 1), true
		answer := func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			return packet.Claim, env.Answer(ctx, p, &packet.Packet{Type: "result", Body: []byte("<done/>")})
		}
		r := newRig(t, map[string]handle{"other": pass, "owner": answer, "asker": claim, "behind": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			copied <- *p
			if fails {
				return packet.Pass, packet.Refuse("resource-constraint", "full")
			}
			return answer(ctx, env, p)
		}})
		r.section(normal("a"), []string{"home"}, "asker").section(normal("other", packet.XDB), []string{"*"}, at("other")).
			section(normal("owner", packet.XDB), []string{"*"}, at("owner")).section(normal("behind", packet.XDB), []string{"*"}, "behind").start()
		ask := func(typ string) {
			t.Helper()
			q := packet.Packet{Kind: packet.XDB, To: "ann@home", Name: "put", Type: typ, Body: []byte("<put/>")}
			if a, err := r.env("asker").Ask(context.Background(), &q); err != nil || string(a.Body) != "<done/>" {
				t.Fatalf("answer %v, %v", a, err)
			}
		}
		ask("get")
		ask("set")
		if p := receive(t, copied); string(p.Body) != "<put/><done/>" || !strings.Contains(p.Attrs, "replica='true'") {
			t.Errorf("the copy is %s %s", p.Attrs, p.Body)
		}
		if e := receive(t, r.fallback); !strings.Contains(string(e.Body), "is stale there until") || !strings.Contains(e.Attrs, "behind") {
			t.Errorf("log has %s %s", e.Body, e.Attrs)
		}
		if len(copied) > 0 {
			t.Error("a question that changes nothing was copied")
		}
	})
}

// TestObserverGetsCopiesAndNeverCounts has an observer that claims and one that
// is stuck.
func TestObserverGetsCopiesAndNeverCounts(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		saw, back, hold := make(chan packet.Packet, 2), make(chan packet.Packet, 2), make(chan struct{})
		r := newRig(t, map[string]handle{"tap": sink(saw), "back": sink(back), "stuck": func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
			<-hold
			return packet.Claim, nil
		}})
		tap, stuck := normal("tap"), normal("stuck")
		tap.Observe, stuck.Observe = true, true
		r.section(normal("home"), []string{"home"}, "back").section(tap, []string{"x"}, at("tap")).section(stuck, []string{"x"}, at("stuck")).start()
		defer close(hold)
		for _, id := range []string{"1", "2"} {
			r.env("back").Deliver(context.Background(), message("ann@home", "bob@x", id))
			if p := receive(t, saw); p.ID != id {
				t.Errorf("the tap saw %s", p.ID)
			}
			if p := receive(t, back); p.ID != id || p.Type != "error" {
				t.Errorf("what only observers took is not bounced: %+v", p)
			}
		}
	})
}

// TestAttachAndDetachWhileRunning attaches from the process that asks.
func TestAttachAndDetachWhileRunning(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		got, back := make(chan packet.Packet, 1), make(chan packet.Packet, 1)
		r := newRig(t, map[string]handle{"s": sink(got), "back": sink(back), "q": claim})
		r.section(normal("home"), []string{"home"}, at("back")).section(normal("a"), nil, at("s")).section(normal("q"), []string{"q"}, "q/q").start()
		send := func() { r.env("back").Deliver(context.Background(), message("ann@home", "bob@new", "1")) }
		send()
		receive(t, back)
		if err := r.env("s").Attach("new"); err != nil {
			t.Fatal(err)
		}
		if !r.env("back").Serves(packet.Normal, "new") {
			t.Error("the host is not served")
		}
		send()
		receive(t, got)
		if r.plugins["p"] != nil {
			r.kill("p") // and so its hosts are gone
			send()
			receive(t, back)
			if err := r.env("s").Attach("new"); err != nil {
				t.Fatal(err)
			}
			r.killCore()                                       // a new core is told again
			if err := r.env("s").Attach("other"); err != nil { // it answers in order
				t.Fatal(err)
			}
			r.kill("q") // a new process is told
			r.env("q").Deliver(context.Background(), message("ann@home", "bob@new", "1"))
			receive(t, got)
		}
		if err := r.env("s").Detach("new"); err != nil {
			t.Fatal(err)
		}
		send()
		receive(t, back)
	})
}

// TestLogEntriesOfLogHandlersDoNotGoRound has a log handler that logs.
func TestLogEntriesOfLogHandlersDoNotGoRound(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		got := make(chan packet.Packet, 10)
		r := newRig(t, map[string]handle{"log": func(_ context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
			env.Log().Error("while logging")
			got <- *p
			return packet.Claim, nil
		}, "speaker": claim})
		r.section(normal("home"), []string{"home"}, "speaker").section(normal("log", packet.Log), []string{"*"}, at("log")).start()
		r.env("speaker").Log().Warn("one <thing>", "n", 1)
		p := receive(t, got)
		if p.Type != "warn" || string(p.Body) != "one &lt;thing&gt;" || !strings.Contains(p.Attrs, "n='1'") || !strings.Contains(p.Attrs, "module='speaker'") {
			t.Errorf("entry %+v", p)
		}
		if at("") == "" {
			if e := receive(t, r.fallback); string(e.Body) != "while logging" {
				t.Errorf("stderr has %s", e.Body)
			}
		}
		if len(got) > 0 {
			t.Error("it went round")
		}
	})
}

// TestAWaitingKeyHoldsUpOnlyItself has a handler that is stuck with the first of
// the packets that another delivered together.
func TestAWaitingKeyHoldsUpOnlyItself(t *testing.T) {
	both(t, func(t *testing.T, at func(string) string) {
		got, hold := make(chan packet.Packet, 10), make(chan struct{})
		r := newRig(t, map[string]handle{
			"spread": func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
				for _, to := range []string{"stuck@x", "b@x", "c@x"} {
					q := *p
					q.To = to
					env.Deliver(ctx, &q)
				}
				return packet.Claim, nil
			},
			"x": func(_ context.Context, _ module.Env, p *packet.Packet) (packet.Verdict, error) {
				if p.To == "stuck@x" {
					<-hold
				}
				got <- *p
				return packet.Claim, nil
			},
		})
		r.section(normal("s"), []string{"s"}, at("spread")).section(normal("x"), []string{"x"}, at("x")).start()
		s := r.env("spread").Source(module.SourceConfig{Own: true})
		go s.Deliver(context.Background(), message("u@home", "s", "1"), 0)
		for range 2 {
			if p := receive(t, got); p.To == "stuck@x" {
				t.Error("it was not stuck")
			}
		}
		close(hold)
		receive(t, got)
	})
}

// TestAStanzaThatAHandlerRefuses has handlers refuse what comes from a
// connection: one stanza, or the session.
func TestAStanzaThatAHandlerRefuses(t *testing.T) {
	near := packet.Token{Host: "c2s", Section: "c2s", Slot: 7, Incarnation: 9}
	for name, c := range map[string]struct {
		p         packet.Packet
		condition string
		wantName  string
		wantType  string
		wantBody  bool
	}{
		"message":                  {packet.Packet{Name: "message", Type: "chat"}, "not-acceptable", "message", "error", true},
		"iq":                       {packet.Packet{Name: "iq", Type: "get"}, "item-not-found", "iq", "error", true},
		"one that is not answered": {packet.Packet{Name: "iq", Type: "result"}, "forbidden", "iq", "error", false},
		"no stanza":                {packet.Packet{Name: "enable", NS: "urn:xmpp:sm:3"}, "forbidden", "end", "forbidden", true},
		"what the session says":    {packet.Packet{Name: "message", Flags: packet.Down}, "forbidden", "end", "forbidden", true},
		"a handler that is away":   {packet.Packet{Name: "message"}, "service-unavailable", "end", "service-unavailable", true},
		"a handler that is late":   {packet.Packet{Name: "message"}, "remote-server-timeout", "end", "remote-server-timeout", true},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, at func(string) string) {
				back, done := make(chan packet.Packet, 2), make(chan packet.Outcome, 1)
				r := newRig(t, map[string]handle{"back": sink(back), "filter": func(context.Context, module.Env, *packet.Packet) (packet.Verdict, error) {
					return packet.Pass, packet.Refuse(c.condition, "")
				}})
				r.section(normal("c2s", packet.Session), nil, "back").section(normal("users", packet.Session), []string{"home"}, at("filter")).start()
				p := c.p
				p.Kind, p.Host, p.From, p.To, p.ID, p.Near, p.Seq = packet.Session, "home", "ann@home/x", "bob@home", "7", near, 5
				s := r.env("back").Source(module.SourceConfig{Settled: func(o []packet.Outcome) { done <- o[0] }})
				if err := s.Deliver(context.Background(), &p, 1); err != nil {
					t.Fatal(err)
				}
				if o := outcome(t, done); o.Result != packet.Refused || o.Reason.Condition != c.condition {
					t.Errorf("outcome %+v", o)
				}
				a := receive(t, back)
				if a.Name != c.wantName || a.Type != c.wantType || (len(a.Body) > 0) != c.wantBody || a.Far != near || a.ID != "7" || a.Flags&packet.Bounced == 0 {
					t.Errorf("the connection is told %+v %s", a, a.Body)
				}
				if a.Name != "end" && a.Seq != 5 {
					t.Errorf("the refused stanza had Seq 5, not %d", a.Seq)
				}
			})
		})
	}
}
