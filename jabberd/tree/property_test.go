package tree_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// A world is a random tree: sections, their hosts, and chains of handlers that
// each do something which only depends on the handler and the packet.
type world struct {
	hosts    []string
	sections []worldSection
}

type worldSection struct {
	hosts   []string
	links   []int
	observe bool
}

func drawWorld(t *rapid.T) world {
	w := world{hosts: []string{"h0", "h1", "h2", "h3"}}
	link := 0
	for range rapid.IntRange(1, 4).Draw(t, "sections") {
		s := worldSection{observe: rapid.IntRange(0, 4).Draw(t, "observe") == 0}
		s.hosts = rapid.SliceOfNDistinct(rapid.SampledFrom(w.hosts), 1, 3, rapid.ID).Draw(t, "hosts")
		for range rapid.IntRange(1, 4).Draw(t, "links") {
			s.links = append(s.links, link)
			link++
		}
		w.sections = append(w.sections, s)
	}
	return w
}

// A trace is what was seen of a run.
type trace struct {
	mu      sync.Mutex
	events  map[string]int     // "HANDLER ID" to how often
	order   map[string][][]int // by handler and how packets came to it: their numbers, of those seen first
	results map[string]packet.Result
	told    map[string]int // outcomes by id
	settled sync.WaitGroup
}

// choose returns a number below n that only depends on its arguments.
func choose(n int, what ...any) int {
	h := fnv.New32a()
	fmt.Fprint(h, what...)
	return int(h.Sum32()>>3) % n
}

func (w *world) handler(n int, tr *trace) handle {
	return func(ctx context.Context, env module.Env, p *packet.Packet) (packet.Verdict, error) {
		if p.Type == "error" {
			return packet.Claim, nil
		}
		tr.saw(w, n, p)
		for i := range choose(3, "children", n, p.ID) {
			if strings.Count(p.ID, ".") < 2 {
				to := w.hosts[choose(len(w.hosts), "to", n, p.ID, i)]
				q := packet.Packet{Kind: packet.Normal, Name: "message", From: p.From, To: "x@" + to, ID: fmt.Sprintf("%s.%d%d", p.ID, n, i)}
				if err := env.Deliver(ctx, &q); err != nil {
					return packet.Pass, err
				}
			}
		}
		switch choose(6, "verdict", n, p.ID) {
		case 0, 1:
			return packet.Pass, nil
		case 2:
			p.Body = []byte(fmt.Sprint(n))
			return packet.Pass, nil
		case 3:
			return packet.Skip, nil
		case 4:
			return packet.Pass, packet.Refuse("forbidden", "")
		}
		return packet.Claim, nil
	}
}

func (tr *trace) saw(w *world, n int, p *packet.Packet) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	event := fmt.Sprintf("%d %s %s", n, p.ID, p.Body)
	if tr.events[event]++; tr.events[event] > 1 {
		return
	}
	way, numbers := w.way(p.ID)
	way = fmt.Sprint(n, " from ", packet.Bare(p.From), way)
	tr.order[way] = append(tr.order[way], numbers)
}

// way returns by which hosts and handlers a packet came to be, and what tells it
// apart from others of that way: the number of the source's packet, and which
// of a handler's deliveries it and those between are. Packets of one way share
// their keys from end to end.
func (w *world) way(id string) (way string, numbers []int) {
	parts := strings.Split(id, ".")
	root, _ := strconv.Atoi(parts[0])
	numbers = append(numbers, root)
	way = " to " + w.hosts[choose(len(w.hosts), "first", root)]
	for parent := parts[0]; len(parts) > 1; parts = parts[1:] {
		made, last := parts[1][:len(parts[1])-1], parts[1][len(parts[1])-1]
		handler, _ := strconv.Atoi(made)
		i := int(last - '0')
		way += " by " + made + " to " + w.hosts[choose(len(w.hosts), "to", handler, parent, i)]
		numbers = append(numbers, i)
		parent += "." + parts[1]
	}
	return way, numbers
}

// run sends packets of some sources through the world with its handlers at
// places, and calls during for each packet sent.
func (w *world) run(t *rapid.T, tt *testing.T, places map[int]string, packets int, during func(*rig, int)) *trace {
	tr := &trace{events: map[string]int{}, order: map[string][][]int{}, results: map[string]packet.Result{}, told: map[string]int{}}
	handlers := map[string]handle{"start": claim}
	r := newRig(tt, handlers)
	for i, s := range w.sections {
		var links []string
		for _, n := range s.links {
			name := "n" + strconv.Itoa(n)
			handlers[name] = w.handler(n, tr)
			if s.observe { // nothing waits for an observer, so what it sees is not compared
				handlers[name] = pass
			}
			if places[n] != "" {
				name = places[n] + "/" + name
			}
			links = append(links, name)
		}
		m := normal("s" + strconv.Itoa(i))
		m.Observe = s.observe
		r.section(m, s.hosts, links...)
	}
	r.section(normal("start"), []string{"home"}, "z/start").start()
	defer r.close()
	const sources = 3
	tr.settled.Add(sources * packets)
	var wg sync.WaitGroup
	for i := range sources {
		s := r.env("start").Source(module.SourceConfig{Window: 1 + i*3, Own: i == 0, Settled: func(list []packet.Outcome) {
			for _, o := range list {
				tr.mu.Lock()
				id := strconv.Itoa(int(o.Tag))
				tr.told[id]++
				tr.results[id] = o.Result
				tr.mu.Unlock()
				tr.settled.Done()
			}
		}})
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range packets {
				id := i*1000 + j
				p := message(fmt.Sprintf("u%d@home/r", i), "x@"+w.hosts[choose(len(w.hosts), "first", id)], strconv.Itoa(id))
				s.Deliver(context.Background(), p, uint64(id))
			}
		}()
	}
	if during != nil {
		during(r, packets)
	}
	done := make(chan struct{})
	go func() { wg.Wait(); tr.settled.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		tr.mu.Lock()
		defer tr.mu.Unlock()
		t.Fatalf("only %d of %d packets ended; core: %s", len(tr.told), sources*packets, r.core.Dump())
	}
	return tr
}

func (tr *trace) check(t *rapid.T) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for id, n := range tr.told {
		if n != 1 {
			t.Errorf("packet %s had %d outcomes", id, n)
		}
	}
}

// checkOrder has what came by one way have come in the order in which it was
// sent.
func (tr *trace) checkOrder(t *rapid.T) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for way, seen := range tr.order {
		if !slices.IsSortedFunc(seen, slices.Compare[[]int]) {
			t.Fatalf("%s saw %v", way, seen)
		}
	}
}

func drawPlaces(t *rapid.T, w world) map[int]string {
	places := map[int]string{}
	for _, s := range w.sections {
		for _, n := range s.links {
			places[n] = rapid.SampledFrom([]string{"", "a", "b", "z"}).Draw(t, "place")
		}
	}
	return places
}

// TestAnyPlacementDoesTheSame runs random worlds once in one process and once
// with their links spread over several: all handlers see the same packets, in
// order, and each packet has the same single outcome. Deliveries that a plugin
// makes directly are part of it.
func TestAnyPlacementDoesTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt)
		here := w.run(rt, t, nil, 12, nil)
		there := w.run(rt, t, drawPlaces(rt, w), 12, nil)
		for _, tr := range []*trace{here, there} {
			tr.check(rt)
			tr.checkOrder(rt)
		}
		if !maps.Equal(here.results, there.results) {
			rt.Errorf("outcomes differ:\n%v\n%v", here.results, there.results)
		}
		if !maps.Equal(here.events, there.events) {
			rt.Errorf("handlers saw different packets:\n%v\n%v", here.events, there.events)
		}
	})
}

// TestNothingVanishesWhenProcessesDie kills random processes under traffic:
// each packet still has one outcome, the one that it would have had, and what
// handlers see for the first time is in order.
func TestNothingVanishesWhenProcessesDie(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt)
		places := drawPlaces(rt, w)
		for n := range places {
			if places[n] == "z" || places[n] == "" {
				places[n] = "a" // the process of the sources lives
			}
		}
		kills := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "core"}), 1, 2).Draw(rt, "kills")
		want := w.run(rt, t, nil, 12, nil)
		got := w.run(rt, t, places, 12, func(r *rig, _ int) {
			for _, k := range kills {
				switch {
				case k == "core":
					r.killCore()
				case r.plugins[k] != nil:
					r.kill(k)
				}
			}
		})
		got.check(rt)
		// Who loses the core and another process at once may get what both
		// knew of after what came behind it.
		if n := len(kills); kills[0] == kills[n-1] || !slices.Contains(kills, "core") {
			got.checkOrder(rt)
		}
		if !maps.Equal(want.results, got.results) {
			rt.Errorf("outcomes differ:\n%v\n%v", want.results, got.results)
		}
		for event := range want.events {
			if got.events[event] == 0 {
				rt.Errorf("nobody saw %s", event)
			}
		}
	})
}
