package server

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// requests is the handler of packet.ServerHost: storage answers questions, and
// answers to what the server itself has asked go to who waits for them.
type requests struct {
	env     module.Env
	storage packet.Handler

	mu      sync.Mutex
	waiting map[string]awaited // by the id of what was asked
}

type awaited struct {
	of     string // who is asked
	answer chan<- *packet.Packet
}

// Handle takes questions to the server as storage, and answers to its requests.
func (r *requests) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if p.Kind == packet.XDB {
		return r.storage.Handle(ctx, p)
	}
	if p.Name != "iq" || p.Type != "result" && p.Type != "error" {
		return packet.Pass, nil
	}
	r.mu.Lock()
	w, asked := r.waiting[p.ID]
	if asked = asked && w.of == p.From; asked {
		delete(r.waiting, p.ID)
	}
	r.mu.Unlock()
	if asked {
		answer := *p
		w.answer <- &answer
	}
	return packet.Claim, nil
}

// Explain says what Handle would do.
func (r *requests) Explain(ctx context.Context, p *packet.Packet) (packet.Verdict, string) {
	if p.Kind == packet.XDB {
		if x, ok := r.storage.(module.Explainer); ok {
			return x.Explain(ctx, p)
		}
	}
	if p.Name != "iq" || p.Type != "result" && p.Type != "error" {
		return packet.Pass, "the server itself takes answers only"
	}
	return packet.Claim, "the answer to a command"
}

// ask sends an IQ from the server itself and waits for the answer.
func (r *requests) ask(ctx context.Context, iq *packet.Packet) (*packet.Packet, error) {
	if iq.Name != "iq" || iq.Type != "get" && iq.Type != "set" || iq.To == "" {
		return nil, errors.New("a request is an IQ of type get or set, to somebody")
	}
	answer := make(chan *packet.Packet, 1)
	id := rand.Text()
	r.mu.Lock()
	if r.waiting == nil {
		r.waiting = map[string]awaited{}
	}
	r.waiting[id] = awaited{iq.To, answer}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.waiting, id)
	}()
	p := packet.Packet{Kind: packet.Normal, To: iq.To, From: packet.ServerHost, Name: "iq", Type: iq.Type, ID: id, NS: iq.NS, Lang: iq.Lang, Body: iq.Body}
	if err := r.env.Deliver(ctx, &p); err != nil {
		return nil, err
	}
	select {
	case a := <-answer:
		if a.Type == "error" {
			e := stanza.ParseError(a.Body)
			return nil, &packet.Reject{Condition: string(e.Condition), Text: e.Text}
		}
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
