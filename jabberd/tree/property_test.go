package tree_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"runtime"
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
	windows  []int // of the sources
}

type worldSection struct {
	hosts   []string
	links   []int
	observe bool
	queue   int // 0 is the default
}

func drawWorld(t *rapid.T) world {
	w := world{hosts: []string{"h0", "h1", "h2", "h3"}, windows: []int{1, 4, 7}}
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

// narrow draws queues that may be full, and windows.
func (w *world) narrow(t *rapid.T) {
	for i := range w.sections {
		w.sections[i].queue = rapid.SampledFrom([]int{0, 1, 2, 8}).Draw(t, "queue")
	}
	for i := range w.windows {
		w.windows[i] = rapid.SampledFrom([]int{1, 2, 3, 12}).Draw(t, "window")
	}
}

// isNarrow reports whether a section that has the handler n, or that of any
// handler if n is -1, has a queue that may be full.
func (w *world) isNarrow(n int) bool {
	return slices.ContainsFunc(w.sections, func(s worldSection) bool {
		return s.queue > 0 && (n < 0 || slices.Contains(s.links, n))
	})
}

// mayMiss reports whether an event may stay out because a queue is full: that
// of its handler's section, or of one that its packet came by.
func (w *world) mayMiss(event string) bool {
	fields := strings.Fields(event)
	parts := strings.Split(fields[1], ".")
	for i, part := range parts[1:] {
		parts[i] = part[:len(part)-1] // the handler that delivered it
	}
	parts[len(parts)-1] = fields[0]
	return slices.ContainsFunc(parts, func(part string) bool {
		n, _ := strconv.Atoi(part)
		return w.isNarrow(n)
	})
}

// isNarrowWay is isNarrow for the handlers of a way, as saw writes it.
func (w *world) isNarrowWay(way string) bool {
	fields := strings.Fields(way)
	narrow := false
	for i, field := range fields {
		if i == 0 || fields[i-1] == "by" {
			n, _ := strconv.Atoi(field)
			narrow = narrow || w.isNarrow(n)
		}
	}
	return narrow
}

// A trace is what was seen of a run.
type trace struct {
	mu      sync.Mutex
	events  map[string]int     // "HANDLER ID" to how often
	tapped  map[string]int     // the same of observers
	order   map[string][][]int // by handler and how packets came to it: their numbers, of those seen first
	results map[string]packet.Result
	told    map[string]int // outcomes by id
	full    int            // outcomes that are resource-constraint
	settled sync.WaitGroup
	news    chan struct{} // of length 1: a handler saw something
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
				if choose(4, "section", n, p.ID, i) == 0 { // for one section alone, which may not be there
					q.Section = "s" + strconv.Itoa(choose(len(w.sections), "which", n, p.ID, i))
				}
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
	tr.tell()
}

func (tr *trace) tell() {
	select {
	case tr.news <- struct{}{}:
	default:
	}
}

// tap is the handler n of an observer.
func (tr *trace) tap(n int) handle {
	return func(_ context.Context, _ module.Env, p *packet.Packet) (packet.Verdict, error) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.tapped[fmt.Sprintf("%d %s %s", n, p.ID, p.Body)]++
		tr.tell()
		return packet.Pass, nil
	}
}

// missing returns an event of another trace that this one does not have and that
// may not stay out, "" if there is none.
func (tr *trace) missing(w *world, want *trace) string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for event := range want.events {
		if tr.events[event] == 0 && !w.mayMiss(event) {
			return event
		}
	}
	for event := range want.tapped {
		if tr.tapped[event] == 0 {
			return event
		}
	}
	return ""
}

// await waits for all events that are wanted: who loses the core forgets what a
// packet was caused by, and a source may be told of the end of one before what
// that one has led to has ended. Nothing ever waits for an observer.
func (tr *trace) await(t *rapid.T, w *world, want *trace) {
	late := time.After(10 * time.Second)
	for {
		event := tr.missing(w, want)
		if event == "" {
			return
		}
		select {
		case <-tr.news:
		case <-late:
			t.Errorf("nobody saw %s", event)
			return
		}
	}
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
// places, calls during meanwhile, and waits for the events that are wanted.
func (w *world) run(t *rapid.T, tt *testing.T, places map[int]string, packets int, during func(*rig), want *trace) *trace {
	tr := &trace{events: map[string]int{}, tapped: map[string]int{}, order: map[string][][]int{}, results: map[string]packet.Result{}, told: map[string]int{}, news: make(chan struct{}, 1)}
	handlers := map[string]handle{"start": claim}
	r := newRig(tt, handlers)
	for i, s := range w.sections {
		var links []string
		for _, n := range s.links {
			name := "n" + strconv.Itoa(n)
			handlers[name] = w.handler(n, tr)
			if s.observe {
				handlers[name] = tr.tap(n)
			}
			if places[n] != "" {
				name = places[n] + "/" + name
			}
			links = append(links, name)
		}
		m := normal("s" + strconv.Itoa(i))
		m.Observe, m.Queue = s.observe, s.queue
		r.section(m, s.hosts, links...)
	}
	r.section(normal("start"), []string{"home"}, "z/start").start()
	defer r.close()
	sources := len(w.windows)
	tr.settled.Add(sources * packets)
	var wg sync.WaitGroup
	for i := range sources {
		s := r.env("start").Source(module.SourceConfig{Window: w.windows[i], Own: i == 0, Settled: func(list []packet.Outcome) {
			for _, o := range list {
				tr.mu.Lock()
				id := strconv.Itoa(int(o.Tag))
				tr.told[id]++
				tr.results[id] = o.Result
				if o.Reason != nil && o.Reason.Condition == "resource-constraint" {
					tr.full++
				}
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
		during(r)
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
	if want != nil {
		tr.await(t, w, want)
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
// sent, but for ways that it is told to skip.
func (tr *trace) checkOrder(t *rapid.T, skip func(way string) bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for way, seen := range tr.order {
		if !skip(way) && !slices.IsSortedFunc(seen, slices.Compare[[]int]) {
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
// with their links spread over several: all handlers and observers see the same
// packets, in order, and each packet has the same single outcome. Deliveries that a plugin
// makes directly are part of it.
func TestAnyPlacementDoesTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt)
		here := w.run(rt, t, nil, 12, nil, nil)
		there := w.run(rt, t, drawPlaces(rt, w), 12, nil, here)
		for _, tr := range []*trace{here, there} {
			tr.check(rt)
			tr.checkOrder(rt, func(string) bool { return false })
		}
		if !maps.Equal(here.results, there.results) {
			rt.Errorf("outcomes differ:\n%v\n%v", here.results, there.results)
		}
		if !maps.Equal(here.events, there.events) {
			rt.Errorf("handlers saw different packets:\n%v\n%v", here.events, there.events)
		}
		if !maps.Equal(here.tapped, there.tapped) {
			rt.Errorf("observers saw different packets:\n%v\n%v", here.tapped, there.tapped)
		}
	})
}

// TestNothingVanishesWhenProcessesDie kills random processes under traffic:
// each packet still has one outcome, the one that it would have had, and what
// handlers see for the first time is in order.
func TestNothingVanishesWhenProcessesDie(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { checkDeaths(rt, t, drawWorld(rt)) })
}

// TestNothingVanishesWhenQueuesAreFull is the same with queues so short that
// much is bounced while a process is away.
func TestNothingVanishesWhenQueuesAreFull(t *testing.T) {
	worlds, full := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		w := drawWorld(rt)
		w.narrow(rt)
		worlds++
		full += checkDeaths(rt, t, w)
	})
	t.Logf("%d packets of %d worlds were bounced because a queue was full", full, worlds)
	if full == 0 && worlds >= 50 {
		t.Error("no queue was ever full")
	}
}

// checkDeaths kills processes of w and returns how many packets found a queue
// full. Such a packet is refused whatever else would have become of it.
func checkDeaths(rt *rapid.T, t *testing.T, w world) int {
	places := drawPlaces(rt, w)
	for n := range places {
		if places[n] == "z" || places[n] == "" {
			places[n] = "a" // the process of the sources lives
		}
	}
	kills := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "core"}), 1, 2).Draw(rt, "kills")
	away := rapid.SampledFrom([]uint64{0, 10, 40}).Draw(rt, "enter while it is away")
	want := w.run(rt, t, nil, 12, nil, nil)
	got := w.run(rt, t, places, 12, func(r *rig) {
		for _, k := range kills {
			switch {
			case k == "core":
				r.killCore()
			case r.plugins[k] != nil:
				r.cut(k)
				r.awaitEntered(away)
				r.restart(k)
			}
		}
	}, &trace{events: want.events})
	got.check(rt)
	// Who loses the core and another process at once may get what both
	// knew of after what came behind it. And a core that finds a queue full may
	// die before it says so: the next one finds room.
	if n := len(kills); kills[0] == kills[n-1] || !slices.Contains(kills, "core") {
		got.checkOrder(rt, func(way string) bool { return slices.Contains(kills, "core") && w.isNarrowWay(way) })
	}
	for id, result := range want.results {
		if r, told := got.results[id]; r != result && !(told && r == packet.Refused && w.isNarrow(-1)) {
			rt.Errorf("packet %s ended %v, want %v", id, r, result)
		}
	}
	for event := range got.events {
		if want.events[event] == 0 {
			rt.Errorf("somebody saw %s", event)
		}
	}
	return got.full
}

// awaitEntered waits until so many packets have entered the core, or no more
// seem to.
func (r *rig) awaitEntered(more uint64) {
	start := r.core.Counts()[packet.Normal].Entered
	for range 1000 {
		if r.core.Counts()[packet.Normal].Entered >= start+more {
			return
		}
		runtime.Gosched()
	}
}
