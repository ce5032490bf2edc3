package request

import (
	"cmp"
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// An Asker asks in the name of a host, and waits for answers: it is HOST/RESOURCE
// with a resource that nobody can guess. Its module gives what it is handed to
// Take first. It is safe for concurrent use.
type Asker struct {
	env      module.Env
	host     string // "" is the host that is asked
	resource string

	mu      sync.Mutex
	waiting map[string]chan packet.Packet // by id
}

// patience is how long an answer may take.
const patience = 20 * time.Second

// NewAsker returns an Asker for a module, which asks the hosts of its section in
// their own name. It has no effects.
func NewAsker(env module.Env) *Asker { return NewAskerOf(env, "") }

// NewAskerOf returns an Asker that asks in the name of one host.
func NewAskerOf(env module.Env, host string) *Asker {
	return &Asker{env: env, host: host, resource: rand.Text(), waiting: map[string]chan packet.Packet{}}
}

// Request sends an IQ of type get or set to an address and waits for its answer,
// 20 seconds at most. A host in From is the one in whose name it asks. An error answer is returned as *packet.Reject. It may be
// called within Handle; the request leaves at once.
func (a *Asker) Request(ctx context.Context, iq *packet.Packet) (*packet.Packet, error) {
	q := *iq
	q.Kind, q.Name, q.ID, q.From = packet.Normal, "iq", rand.Text(), cmp.Or(a.host, packet.Domain(iq.From), packet.Domain(iq.To))+"/"+a.resource
	answer := make(chan packet.Packet, 1)
	a.mu.Lock()
	a.waiting[q.ID] = answer
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.waiting, q.ID)
		a.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// Not in the transaction of Handle, which has to wait for the answer.
	alone, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := a.env.Deliver(alone, &q); err != nil {
		return nil, err
	}
	select {
	case p := <-answer:
		if p.Type == "error" {
			e := stanza.ParseError(p.Body)
			return nil, &packet.Reject{Condition: string(e.Condition), Type: string(e.Type), Text: e.Text}
		}
		return &p, nil
	case <-ctx.Done():
		return nil, packet.Refuse("remote-server-timeout", "no answer of "+iq.To)
	}
}

// Take reports whether p is for the Asker, which then has it: an answer that is
// waited for, or one that comes too late. For others it costs a comparison.
func (a *Asker) Take(p *packet.Packet) bool {
	if p.Name != "iq" || p.Type == "get" || p.Type == "set" || packet.Local(p.To) != "" || packet.Resource(p.To) != a.resource {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if answer := a.waiting[p.ID]; answer != nil {
		select {
		case answer <- *p:
		default: // it has one
		}
	}
	return true
}
