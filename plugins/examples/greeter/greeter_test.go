package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

func plan(args string) sdktest.Plan {
	return sdktest.Plan{
		Modules: []module.Module{Module, store},
		Sections: []module.Section{
			sdktest.Section("greet", packet.Normal, sdktest.Host("greet.example.org"), sdktest.Block("greeter", args)),
			sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("store", `{}`)),
			sdktest.Sinks("example.org", packet.Normal),
		},
	}
}

func TestGreets(t *testing.T) {
	sdktest.Both(t, plan(`{"words":["hello","moin"],"answer":"<{name}> {times}"}`), func(t *testing.T, h *sdktest.Harness) {
		for _, test := range []struct {
			name, from, body string
			want             string // the answer, "" for a bounce
		}{
			{"a greeting", "ann@example.org/desk", "<body>Hello, you!</body>", "&lt;ann&gt; 1"},
			{"a second", "ann@example.org/phone", "<active xmlns='urn:x'/><body>well, MOIN</body>", "&lt;ann&gt; 2"},
			{"somebody else", "bob@example.org", "<body>hello hello</body>", "&lt;bob&gt; 1"},
			{"a host", "example.org", "<body>hello</body>", "&lt;example.org&gt; 1"},
			{"something else", "ann@example.org/desk", "<body>othello</body>", ""},
			{"another's body", "ann@example.org/desk", "<body xmlns='urn:x'>hello</body>", ""},
			{"no body", "ann@example.org/desk", "", ""},
		} {
			p := packet.Packet{To: "greet.example.org", From: test.from, Name: "message", Type: "chat", Body: []byte(test.body)}
			o := h.Deliver(&p)
			got := h.Next()
			if test.want == "" {
				if o.Result != packet.Refused || got.Type != "error" {
					t.Errorf("%s: ended %+v, sent back %+v", test.name, o, got)
				}
				continue
			}
			if o.Result != packet.Claimed || got.To != test.from || got.Type != "chat" || string(got.Body) != "<body>"+test.want+"</body>" {
				t.Errorf("%s: ended %+v, answered %+v %s", test.name, o, got, got.Body)
			}
			if e := h.Logged("greeted"); e.Type != "info" || !strings.Contains(e.Attrs, " who='"+packet.Bare(test.from)+"'") {
				t.Errorf("%s: logged %s%s", test.name, e.Type, e.Attrs)
			}
		}
	})
}

func TestOnlyMessagesAreGreetings(t *testing.T) {
	h := sdktest.New(t, plan(`{}`), false)
	for _, p := range []packet.Packet{
		{Name: "iq", Type: "get"}, {Name: "message", Type: "groupchat"}, {Name: "message", Type: "error"}, {Name: "presence"},
	} {
		p.To, p.From, p.Body = "greet.example.org", "ann@example.org", []byte("<body>hello</body>")
		if o := h.Deliver(&p); o.Result == packet.Claimed {
			t.Errorf("%s %q was claimed", p.Name, p.Type)
		}
	}
}

func TestExplains(t *testing.T) {
	h := sdktest.New(t, plan(`{}`), false)
	for body, want := range map[string]string{
		"<body>hi</body>":  `claim: answers "hi"`,
		"<body>bye</body>": "pass: not a message with one of hello, hi",
	} {
		r := h.Explain(&packet.Packet{To: "greet.example.org", From: "ann@example.org", Name: "message", Body: []byte(body)})
		if s := r.Sections[0].Steps[0]; s.Verdict+": "+s.Why != want {
			t.Errorf("%s: %+v, want %s", body, s, want)
		}
	}
	if left := h.Received(); len(left) > 0 {
		t.Errorf("explaining has sent %+v", left)
	}
}

func TestWrongArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{"words":["good day"]}`:   `words: "good day" is no word`,
		`{"answer":"{names}!"}`:    "answer: {names} is neither {name} nor {times}",
		`{"answer":"{name}{time"}`: "answer: {time is neither {name} nor {times}",
	} {
		if _, err := sdktest.Try(t, plan(args), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

func TestStorageIsAway(t *testing.T) {
	p := plan(`{}`)
	p.Sections = slices.Delete(p.Sections, 1, 2)
	h := sdktest.New(t, p, false)
	o := h.Deliver(&packet.Packet{To: "greet.example.org", From: "ann@example.org", Name: "message", Body: []byte("<body>hi</body>")})
	if o.Result != packet.Refused || o.Reason == nil || o.Reason.Condition != "service-unavailable" {
		t.Errorf("ended %+v, %v", o, o.Reason)
	}
}

// store is storage for the test, as much of it as greeter asks for.
var store = module.Define("store", "Keeps items.", module.On(packet.XDB), func(env module.Env, _ struct{}) (packet.Handler, error) {
	return xdb.Serve(env, &items{kept: map[string]xdb.Item{}}, "the test"), nil
})

type items struct {
	xdb.Backend // the rest, which nobody asks for
	mu          sync.Mutex
	clock       xdb.Clock
	kept        map[string]xdb.Item
}

func (s *items) Get(_ context.Context, owner, ns string, keys []string, found []xdb.Item) ([]xdb.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		if it, ok := s.kept[owner+" "+ns+" "+key]; ok {
			found = append(found, it)
		}
	}
	return found, nil
}

func (s *items) Change(_ context.Context, owner string, changes []xdb.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock.Stamp(changes)
	next := maps.Clone(s.kept)
	for _, c := range changes {
		at := owner + " " + c.NS + " " + c.Key
		var old *xdb.Item
		if it, ok := next[at]; ok {
			old = &it
		}
		switch effect, err := c.Effect(old); {
		case err != nil:
			return err
		case effect == xdb.Write:
			it := c.Item()
			it.Value = slices.Clone(it.Value)
			next[at] = it
		default:
			return errors.New("the test keeps what it is given")
		}
	}
	s.kept = next
	return nil
}
