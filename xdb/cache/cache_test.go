package cache_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
	"github.com/jabberii/server/xdb/cache"
	"github.com/jabberii/server/xdb/memory"
)

const ann = "ann@example.org"

// chain is a cache before a store in memory, whose questions can be held up.
type chain struct {
	module.Env
	cache, store packet.Handler
	mu           sync.Mutex
	asked        []string // what reached the store
	askers       int
}

type answerKey struct{}

func (c *chain) Answer(ctx context.Context, _, answer *packet.Packet) error {
	*ctx.Value(answerKey{}).(*packet.Packet) = *answer
	return nil
}

func newChain(tb testing.TB, args string) *chain {
	c := &chain{}
	h, err := cache.Module.New(c, []byte(args))
	if err != nil {
		tb.Fatal(err)
	}
	if err := h.(module.Starter).Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.(io.Closer).Close(); err != nil {
			tb.Error(err)
		}
	})
	c.cache, c.store = h, xdb.Serve(c, memory.Open(64<<20), "memory")
	return c
}

// A question goes through the chain in steps.
type question struct {
	*chain
	packet, answer packet.Packet
	ctx            context.Context
	hit            bool
	err            error
}

// ask asks the cache. One asker's questions come one after another, so each
// that says not who asks is another's.
func (c *chain) ask(ctx context.Context, q packet.Packet) *question {
	a := &question{chain: c, packet: q}
	if q.From == "" {
		c.mu.Lock()
		c.askers++
		a.packet.From = fmt.Sprint("asker", c.askers)
		c.mu.Unlock()
	}
	a.ctx = context.WithValue(ctx, answerKey{}, &a.answer)
	var v packet.Verdict
	v, a.err = c.cache.Handle(a.ctx, &a.packet)
	a.hit = v == packet.Claim
	return a
}

// reach lets the store answer.
func (a *question) reach() {
	a.mu.Lock()
	a.asked = append(a.asked, a.packet.Name+" "+string(a.packet.Body))
	a.mu.Unlock()
	p := a.packet
	_, a.err = a.store.Handle(a.ctx, &p)
}

// end shows the cache the answer on its way back.
func (a *question) end() {
	if a.err == nil {
		a.cache.(module.Watcher).Watch(a.ctx, &a.packet, &a.answer)
	}
}

// Ask asks the cache and then the store.
func (c *chain) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	a := c.ask(ctx, *q)
	if !a.hit {
		a.reach()
		a.end()
	}
	return &a.answer, a.err
}

func (c *chain) question(name, body string) packet.Packet {
	kind := "set"
	if name == "get" || name == "query" {
		kind = "get"
	}
	return packet.Packet{Kind: packet.XDB, To: ann, Name: name, Type: kind, NS: "n", Body: []byte(body)}
}

// ask asks in one go and says whether the store was asked, and what came.
func (c *chain) through(t *testing.T, name, body string) (string, bool) {
	t.Helper()
	before := len(c.asked)
	q := c.question(name, body)
	a, err := c.Ask(t.Context(), &q)
	if err != nil {
		t.Fatalf("%s %s: %v", name, body, err)
	}
	return string(a.Body), len(c.asked) == before
}

func TestHits(t *testing.T) {
	const a, b, both, all = "<item key='a'/>", "<item key='b'/>", "<item key='a'/><item key='b'/>", ""
	for _, c := range []struct {
		name    string
		first   string // a get
		between []string
		then    string
		hit     bool
	}{
		{"again", a, nil, a, true},
		{"another key", a, nil, b, false},
		{"the namespace", a, nil, all, false},
		{"the namespace again", all, nil, all, true},
		{"what is not there", "<item key='none'/>", nil, "<item key='none'/>", true},
		{"what an append could give", "<item key='1d2e3f4g5h6i7'/>", nil, "<item key='1d2e3f4g5h6i7'/>", false},
		{"several keys", both, nil, both, false},
		{"put", a, []string{"put", "<put key='a'>x</put>"}, a, false},
		{"put of another key", a, []string{"put", "<put key='b'>x</put>"}, a, true},
		{"put of what was not there", "<item key='c'/>", []string{"put", "<put key='c'>x</put>"}, "<item key='c'/>", false},
		{"put in the namespace", all, []string{"put", "<put key='c'>x</put>"}, all, false},
		{"delete", a, []string{"delete", "<delete key='a'/>"}, a, false},
		{"cas", a, []string{"cas", "<put key='b'>x</put><put key='a'>x</put>"}, a, false},
		{"append in the namespace", all, []string{"append", "<append>x</append>"}, all, false},
		{"append of a key", "<item key='c'/>", []string{"append", "<append key='c'>x</append>"}, "<item key='c'/>", false},
		{"batch", a, []string{"batch", "<put ns='m' key='a'>x</put><put ns='n' key='a'>x</put>"}, a, false},
		{"batch in another namespace", a, []string{"batch", "<put ns='m' key='a'>x</put>"}, a, true},
		{"batch in several, the namespace", all, []string{"batch", "<put key='z'/><put ns='m' key='a'>x</put><put key='y'/>"}, all, false},
		{"drop", a, []string{"drop", ""}, a, false},
		{"drop of a part", all, []string{"drop", "<drop before='b'/>"}, all, false},
		{"query", a, []string{"query", ""}, a, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newChain(t, "")
			s.through(t, "put", "<put key='a'>1</put><put key='b'>2</put>")
			s.through(t, "get", c.first)
			if c.between != nil {
				s.through(t, c.between[0], c.between[1])
			}
			_, hit := s.through(t, "get", c.then)
			if hit != c.hit {
				t.Errorf("hit %v, want %v", hit, c.hit)
			}
			q := s.question("get", c.then)
			want := &question{chain: s, packet: q}
			want.ctx = context.WithValue(t.Context(), answerKey{}, &want.answer)
			want.reach()
			if got, _ := s.through(t, "get", c.then); got != string(want.answer.Body) {
				t.Errorf("the answer is %s, the store has %s", got, want.answer.Body)
			}
		})
	}
}

func TestAnswersToOthers(t *testing.T) {
	s := newChain(t, "")
	s.through(t, "put", "<put key='a'>1</put>")
	s.through(t, "get", "<item key='a'/>")
	for _, c := range []struct {
		name   string
		change func(*packet.Packet)
		hit    bool
	}{
		{"another asker", func(p *packet.Packet) { p.From, p.ID = "x", "7" }, true},
		{"another owner", func(p *packet.Packet) { p.To = "bob@example.org" }, false},
		{"another namespace", func(p *packet.Packet) { p.NS = "m" }, false},
		{"an operation of somebody else's", func(p *packet.Packet) { p.Name = "verify" }, false},
	} {
		q := s.question("get", "<item key='a'/>")
		c.change(&q)
		a := s.ask(t.Context(), q)
		if a.hit != c.hit {
			t.Errorf("%s: hit %v", c.name, a.hit)
		}
		if a.hit && (a.answer.To != a.packet.From || a.answer.ID != q.ID || a.answer.From != q.To || a.answer.Type != "result") {
			t.Errorf("%s: the answer is %+v", c.name, a.answer)
		}
	}
}

// Each case is a get whose answer may be old by the time it comes.
func TestRaces(t *testing.T) {
	const get, put = "<item key='a'/>", "<put key='a'>2</put>"
	for _, c := range []struct {
		name string
		run  func(s *chain, get, set *question)
	}{
		{"the change is asked and answered meanwhile", func(_ *chain, g, s *question) {
			g.reach()
			s = s.again()
			s.reach()
			s.end()
			g.end()
		}},
		{"the change is answered after the get", func(_ *chain, g, s *question) {
			g.reach()
			s = s.again()
			g.end()
			s.reach()
			s.end()
		}},
		{"the get is asked during the change", func(c *chain, _, s *question) {
			s = s.again()
			g := c.ask(s.ctx, c.question("get", get))
			g.reach()
			s.reach()
			g.end()
			s.end()
		}},
		{"another get is asked after the change", func(c *chain, g, s *question) {
			g.reach()
			s = s.again()
			s.reach()
			s.end()
			later := c.ask(s.ctx, c.question("get", get))
			g.end()
			later.reach()
			later.end()
		}},
		{"the answer to the change is lost", func(c *chain, g, s *question) {
			s = s.again()
			later := c.ask(s.ctx, c.question("get", get))
			later.reach()
			later.end()
			s.reach()
			_ = g
		}},
		{"the change is answered between", func(c *chain, g, s *question) {
			s = s.again()
			later := c.ask(s.ctx, c.question("get", get))
			later.reach()
			s.reach()
			s.end()
			later.end()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newChain(t, "")
			s.through(t, "put", "<put key='a'>1</put>")
			g := s.ask(t.Context(), s.question("get", get))
			set := &question{chain: s, packet: s.question("put", put), ctx: t.Context()}
			c.run(s, g, set)
			if got, _ := s.through(t, "get", get); !strings.Contains(got, ">2<") {
				t.Errorf("got %s after the change", got)
			}
		})
	}
}

// again asks a question that was prepared.
func (a *question) again() *question { return a.chain.ask(a.ctx, a.packet) }

// TestLostAnswer: once the time of a change whose answer was lost is up,
// answers are remembered again.
func TestLostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newChain(t, "")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s.ask(ctx, s.question("put", "<put key='a'>2</put>")).reach()
		for _, want := range []bool{false, false} {
			if _, hit := s.through(t, "get", "<item key='a'/>"); hit != want {
				t.Errorf("hit %v during the change", hit)
			}
		}
		late := s.ask(ctx, s.question("put", "<put key='b'>2</put>"))
		time.Sleep(2 * time.Second)
		for _, want := range []bool{false, true} {
			if _, hit := s.through(t, "get", "<item key='a'/>"); hit != want {
				t.Errorf("hit %v after its time, want %v", hit, want)
			}
		}
		// A change that is made after its time.
		s.through(t, "get", "<item key='b'/>")
		late.ctx = context.WithValue(t.Context(), answerKey{}, &late.answer)
		late.reach()
		late.end()
		if got, _ := s.through(t, "get", "<item key='b'/>"); !strings.Contains(got, ">2<") {
			t.Errorf("got %q after a change that was late", got)
		}
	})
}

// TestRefused: a change whose refusal is not shown is over when its asker asks
// on.
func TestRefused(t *testing.T) {
	s := newChain(t, "")
	change := s.question("cas", "<put key='a' was='0000000000001'/>")
	change.From = "x"
	s.ask(t.Context(), change).reach()
	get := s.question("get", "<item key='a'/>")
	for i, want := range []bool{false, false} {
		if _, hit := s.through(t, "get", string(get.Body)); hit != want {
			t.Errorf("get %d during the change: hit %v", i, hit)
		}
	}
	get.From = "x"
	for i, want := range []bool{false, true} {
		a := s.ask(t.Context(), get)
		if a.hit != want {
			t.Errorf("get %d of the asker: hit %v", i, a.hit)
		}
		if !a.hit {
			a.reach()
			a.end()
		}
	}
}

// TestUnmarked: where the mark was lost on the way, nothing is remembered.
func TestUnmarked(t *testing.T) {
	s := newChain(t, "")
	for range 2 {
		g := s.ask(t.Context(), s.question("get", "<item key='a'/>"))
		if g.hit {
			t.Fatal("remembered an answer that may be old")
		}
		g.packet.Seq = 0
		g.reach()
		g.end()
	}
}

// TestLinearizable interleaves the steps of gets and changes at random: what
// is remembered is never older than a change that was answered.
func TestLinearizable(t *testing.T) {
	s := newChain(t, "")
	sequence := func(rt *rapid.T) {
		s.through(t, "drop", "")
		var open, lost []*question
		reached := map[*question]bool{}
		answered := "" // the greatest revision of a change that was answered
		rt.Repeat(map[string]func(*rapid.T){
			"get": func(t *rapid.T) {
				g := s.ask(t.Context(), s.question("get", rapid.SampledFrom([]string{"", "<item key='a'/>"}).Draw(t, "body")))
				if !g.hit {
					open = append(open, g)
				} else if got := revision(&g.answer); got < answered {
					t.Fatalf("got revision %s, after %s was answered", got, answered)
				}
			},
			"set": func(t *rapid.T) {
				name := rapid.SampledFrom([]string{"put", "batch", "append"}).Draw(t, "name")
				body := "<put key='a'/>"
				if name == "append" { // a put of the same, for the namespace
					name, body = "batch", "<append/><put ns='n' key='a'/>"
				}
				open = append(open, s.ask(t.Context(), s.question(name, body)))
			},
			"step": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip("nothing is under way")
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				q := open[i]
				if !reached[q] {
					q.reach()
					reached[q] = true
					return
				}
				open = slices.Delete(open, i, i+1)
				if rapid.IntRange(0, 9).Draw(t, "lost") == 0 {
					lost = append(lost, q)
					return
				}
				if q.end(); q.packet.Type == "set" {
					answered = max(answered, revision(&q.answer))
				}
			},
		})
		for _, q := range append(open, lost...) { // so that nothing is under way in the next sequence
			q.end()
		}
	}
	for range 10 { // it takes some luck
		rapid.Check(t, sequence)
	}
}

// revision returns the revision of the key a in an answer.
func revision(answer *packet.Packet) string {
	for el := range xml.Elements(answer.Body, "") {
		if el.Attr("key") == "a" {
			return el.Attr("rev")
		}
	}
	return ""
}

func TestConcurrently(t *testing.T) {
	s := newChain(t, "")
	store := xdb.New(s, "")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				last, _, err := store.Get(t.Context(), ann, "n", "a")
				if err != nil {
					t.Error(err)
				}
				rev, err := store.Put(t.Context(), ann, "n", "a", nil)
				if err != nil || rev <= last.Rev {
					t.Errorf("revision %v after %v, %v", rev, last.Rev, err)
				}
				it, _, err := store.Get(t.Context(), ann, "n", "a")
				if err != nil || it.Rev < rev {
					t.Errorf("read %v after %v was written, %v", it.Rev, rev, err)
				}
			}
		})
	}
	all.Wait()
}

func TestSizeIsKept(t *testing.T) {
	s := newChain(t, `{"size":"64KiB"}`)
	value := strings.Repeat("x", 1000)
	for i := range 1000 {
		s.through(t, "put", fmt.Sprintf("<put key='%d'>%s</put>", i, value))
		s.through(t, "get", fmt.Sprintf("<item key='%d'/>", i))
	}
	hits := 0
	for range 100 { // what is too much goes a little later
		hits = 0
		for i := range 1000 {
			if s.ask(t.Context(), s.question("get", fmt.Sprintf("<item key='%d'/>", i))).hit {
				hits++
			}
		}
		if hits <= 80 {
			break
		}
	}
	if hits == 0 || hits > 80 {
		t.Errorf("%d answers of 1000 bytes are remembered in 64 KiB", hits)
	}
}

func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newChain(t, `{"ttl":"1m"}`)
		for _, c := range []struct {
			after time.Duration
			hit   bool
		}{{0, false}, {50 * time.Second, true}, {11 * time.Second, false}, {time.Second, true}} {
			time.Sleep(c.after)
			if _, hit := s.through(t, "get", "<item key='a'/>"); hit != c.hit {
				t.Errorf("%v later: hit %v, want %v", c.after, hit, c.hit)
			}
		}
	})
}

func TestExplain(t *testing.T) {
	s := newChain(t, "")
	explain := func(name, body string) string {
		p := s.question(name, body)
		v, why := s.cache.(module.Explainer).Explain(t.Context(), &p)
		return v.String() + ": " + why
	}
	for _, c := range []struct{ name, body, want string }{
		{"put", "<put key='a'/>", "pass: passes changes"},
		{"query", "", "pass: remembers only gets"},
		{"get", "<item key='a'/>", "pass: does not remember"},
	} {
		if got := explain(c.name, c.body); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	s.through(t, "get", "<item key='a'/>")
	if got := explain("get", "<item key='a'/>"); !strings.HasPrefix(got, "claim: remembers the answer until") {
		t.Errorf("get: %s", got)
	}
}

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{`{"ttl":"10ms"}`: "ttl", `{"size":"1KiB"}`: "size"} {
		_, err := cache.Module.New(nil, []byte(args))
		var bad *module.ArgError
		if !errors.As(err, &bad) || bad.Path[0] != want {
			t.Errorf("%s: got %v, want a complaint about %s", args, err, want)
		}
	}
}

func BenchmarkHit(b *testing.B) {
	s := newChain(b, "")
	q := s.question("get", "<item key='a'/>")
	if _, err := s.Ask(b.Context(), &q); err != nil {
		b.Fatal(err)
	}
	var answer packet.Packet
	ctx := context.WithValue(b.Context(), answerKey{}, &answer)
	b.ReportAllocs()
	for b.Loop() {
		p := q
		if v, _ := s.cache.Handle(ctx, &p); v != packet.Claim {
			b.Fatal("no hit")
		}
	}
}
