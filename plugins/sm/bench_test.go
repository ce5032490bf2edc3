package sm_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/xmpp/ns"
)

// A road is an environment in which packets cost nothing: what a handler
// delivers is noted, and what a source delivers is claimed at once.
type road struct {
	module.Env
	dir  string
	out  []packet.Packet
	down func(*packet.Packet)
}

func (r *road) Section() string         { return "sm" }
func (r *road) Log() *slog.Logger       { return slog.New(slog.DiscardHandler) }
func (r *road) Path(name string) string { return filepath.Join(r.dir, name) }
func (r *road) Hosts() []string         { return nil }
func (r *road) Deliver(_ context.Context, p *packet.Packet) error {
	r.out = append(r.out, *p)
	return nil
}

func (r *road) Ask(context.Context, *packet.Packet) (*packet.Packet, error) {
	return &packet.Packet{Body: []byte("<page/>")}, nil
}

func (r *road) Source(c module.SourceConfig) module.Source { return &lane{r: r, c: c} }

type lane struct {
	r       *road
	c       module.SourceConfig
	outcome [1]packet.Outcome
}

func (l *lane) Deliver(_ context.Context, p *packet.Packet, tag uint64) error {
	if l.r.down != nil {
		l.r.down(p)
	}
	if l.c.Settled != nil {
		l.outcome[0] = packet.Outcome{Tag: tag}
		l.c.Settled(l.outcome[:])
	}
	return nil
}

func (l *lane) Flush() {}

func (l *lane) Close() {}

// A pair is two clients of one session manager.
type pair struct {
	r        *road
	h        packet.Handler
	sessions [2]packet.Packet // up packets without content
	q        packet.Packet    // being handled
}

func newPair(b testing.TB, managed bool) *pair {
	b.Helper()
	r := &road{dir: b.TempDir()}
	h, err := sm.Module.New(r, nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := h.(module.Starter).Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- h.(module.Runner).Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		<-ended
		h.(io.Closer).Close()
	})
	p := &pair{r: r, h: h}
	for i, name := range []string{"ann", "bob"} {
		up := &p.sessions[i]
		*up = packet.Packet{
			Kind: packet.Session, Host: "localhost", From: name + "@localhost",
			Near: packet.Token{Host: "c2s", Section: "c2s", Slot: uint32(i), Incarnation: 1},
		}
		p.say(b, i, fmt.Sprintf(`<iq type='set' id='1'><bind xmlns='%s'><resource>x</resource></bind></iq>`, ns.Bind))
		up.Far, up.From = r.out[len(r.out)-1].Near, r.out[len(r.out)-1].To
		if managed {
			p.say(b, i, fmt.Sprintf(`<enable xmlns='%s' resume='true'/>`, ns.StreamManagement))
		}
		p.say(b, i, `<presence/>`)
	}
	return p
}

func (p *pair) say(b testing.TB, i int, text string) {
	b.Helper()
	q := parse(b, text)
	up := &p.sessions[i]
	up.Seq++
	q.Kind, q.Host, q.From, q.Near, q.Far, q.Seq = up.Kind, up.Host, up.From, up.Near, up.Far, up.Seq
	if _, err := p.h.Handle(context.Background(), &q); err != nil {
		b.Fatal(err)
	}
}

// chat sends a message from the first to the second, to its connection.
func (p *pair) chat(b testing.TB, message *packet.Packet) {
	up := &p.sessions[0]
	up.Seq++
	p.r.out = p.r.out[:0]
	q := &p.q
	*q = *message
	q.Kind, q.Host, q.From, q.Near, q.Far, q.Seq = up.Kind, up.Host, up.From, up.Near, up.Far, up.Seq
	if v, err := p.h.Handle(context.Background(), q); v != packet.Claim || err != nil || len(p.r.out) != 1 {
		b.Fatal(v, err, len(p.r.out))
	}
	*q = p.r.out[0]
	if v, err := p.h.Handle(context.Background(), q); v != packet.Claim || err != nil || len(p.r.out) != 2 {
		b.Fatal(v, err, len(p.r.out))
	}
}

var message = packet.Packet{
	Name: "message", Type: "chat", To: "bob@localhost", ID: "1234567890",
	Body: []byte("<body>Wherefore art thou, Romeo? Deny thy father and refuse thy name; or, if thou wilt not, be but sworn my love, and I'll no longer be a Capulet.</body><active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>"),
}

// BenchmarkChat is the whole way of a message through sm: up from the sender's
// connection, as a normal packet, and down to the recipient's.
func BenchmarkChat(b *testing.B) {
	p := newPair(b, false)
	b.ReportAllocs()
	for b.Loop() {
		p.chat(b, &message)
	}
}

// BenchmarkManagedChat is the same with stream management on both sides: the
// message is in the journal twice before it is acknowledged and delivered, and
// the recipient acknowledges every tenth.
func BenchmarkManagedChat(b *testing.B) {
	p := newPair(b, true)
	var delivered uint32
	p.r.down = func(q *packet.Packet) {
		switch {
		case q.Kind == packet.Normal:
			q := *q
			if v, err := p.h.Handle(context.Background(), &q); v != packet.Claim || err != nil {
				b.Error(v, err)
			}
		case q.Name == "message":
			delivered++
		}
	}
	ack := packet.Packet{Name: "a", NS: ns.StreamManagement}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		up := &p.sessions[0]
		up.Seq++
		p.r.out = p.r.out[:0]
		q := &p.q
		*q = message
		q.Kind, q.Host, q.From, q.Near, q.Far, q.Seq = up.Kind, up.Host, up.From, up.Near, up.Far, up.Seq
		if v, err := p.h.Handle(context.Background(), q); v != packet.Claim || err != nil {
			b.Fatal(v, err)
		}
		if n++; n%10 == 0 {
			up := &p.sessions[1]
			up.Seq++
			ack.Attrs = fmt.Sprintf(" h='%d'", delivered+1) // and its own presence
			q := ack
			q.Kind, q.Host, q.From, q.Near, q.Far, q.Seq = up.Kind, up.Host, up.From, up.Near, up.Far, up.Seq
			if v, err := p.h.Handle(context.Background(), &q); v != packet.Claim || err != nil {
				b.Fatal(v, err)
			}
		}
	}
	if int(delivered) != n {
		b.Errorf("%d of %d delivered", delivered, n)
	}
}

// A message between two clients without stream management costs no memory.
func TestChatAllocatesNothing(t *testing.T) {
	p := newPair(t, false)
	if n := testing.AllocsPerRun(100, func() { p.chat(t, &message) }); n > 0 {
		t.Errorf("%v allocations a message", n)
	}
}
