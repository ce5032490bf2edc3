package exec

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/hosts"
)

// patience is how long the output of a program is not read because its backlog
// is full and nothing leaves it, while a packet waits for the program: what that
// has to say about the packet may be behind. It keeps two programs that flood
// each other from waiting for each other.
const patience = time.Second

// A backlog holds what a program sends by itself until the tree takes it. The
// tree holds a source to so many packets under way; a program that sends more
// finds its output read more slowly.
type backlog struct {
	env     module.Env
	program string
	window  int
	waiting chan sent
	moved   atomic.Int64 // when something left waiting last, or came when it was empty, in ns of the wall

	mu      sync.Mutex
	number  uint64
	tagged  map[uint64]sent // under way, of those that are to be told about
	refused atomic.Uint64
}

// sent is a packet of the program.
type sent struct {
	p    packet.Packet
	tell func(packet.Outcome) // nil if nobody wants to know; it must not wait
}

func newBacklog(env module.Env, program string, most, window int) *backlog {
	return &backlog{env: env, program: program, window: window, waiting: make(chan sent, most), tagged: map[uint64]sent{}}
}

// run puts packets into the tree until ctx is done.
func (b *backlog) run(ctx context.Context) error {
	source := b.env.Source(module.SourceConfig{Window: b.window, Settled: b.settled})
	defer source.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-b.waiting:
			b.moved.Store(time.Now().UnixNano())
			if err := source.Deliver(ctx, &s.p, b.tag(s)); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
	}
}

// tag numbers a packet whose end is to be told, 0 if it is not.
func (b *backlog) tag(s sent) uint64 {
	if s.tell == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.number++
	b.tagged[b.number] = s
	return b.number
}

func (b *backlog) settled(outcomes []packet.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range outcomes {
		if s, ok := b.tagged[o.Tag]; ok {
			delete(b.tagged, o.Tag)
			s.tell(o)
		}
	}
}

// errFull is the reason of what there was no room for.
var errFull = packet.Refuse("resource-constraint", "too many packets of this program are under way")

// put queues a packet of the program. If there is no room it waits, until for
// patience a packet has been waiting for the program, as late says, and nothing
// has left the backlog. Then the packet is refused. A tree that is only slow
// costs the program time and no packet.
func (b *backlog) put(s sent, late func() time.Duration, ended <-chan struct{}) {
	if err := b.prepare(&s.p); err != nil {
		b.refuse(s, err)
		return
	}
	if len(b.waiting) == 0 {
		b.moved.Store(time.Now().UnixNano())
	}
	select {
	case b.waiting <- s:
		return
	default:
	}
	look := time.NewTicker(patience / 10)
	defer look.Stop()
	for late() < patience || b.stuck() < patience {
		select {
		case b.waiting <- s:
			return
		case <-ended:
			return
		case <-look.C:
		}
	}
	b.refuse(s, errFull)
}

// stuck returns for how long nothing has left the backlog that might have.
func (b *backlog) stuck() time.Duration { return time.Duration(time.Now().UnixNano() - b.moved.Load()) }

// prepare fills in what a packet of the program lacks and checks the rest.
func (b *backlog) prepare(p *packet.Packet) *packet.Reject {
	switch p.Kind {
	case packet.XDB:
		return packet.Refuse("not-allowed", "questions are asked, not delivered")
	case packet.Log:
		if p.From == "" {
			p.From = b.env.Section()
		}
		return nil
	case packet.Session:
		return nil
	}
	own := b.env.Hosts()
	if p.From == "" {
		if i := slices.IndexFunc(own, func(h string) bool { return h != "" && h[0] != '*' }); i >= 0 {
			p.From = own[i]
		}
	}
	uplink := slices.Contains(own, "")
	switch {
	case p.To == "":
		return packet.Refuse("jid-malformed", "it has no to")
	case p.From == "" || !uplink && !hosts.MatchAny(own, packet.Domain(p.From)):
		return packet.Refuse("not-allowed", "its from is of no host of this section")
	}
	return nil
}

// refuse ends a packet that never came into the tree. The first is logged, and
// every thousandth after it.
func (b *backlog) refuse(s sent, why *packet.Reject) {
	if n := b.refused.Add(1); n == 1 || n%1000 == 0 {
		b.env.Log().Warn("packet of a program refused", "program", b.program, "reason", why.Error(),
			"sender", s.p.From, "receiver", s.p.To, "name", s.p.Name, "so_far", n)
	}
	if s.tell != nil {
		s.tell(packet.Outcome{Result: packet.Dropped, Reason: why})
	}
}
