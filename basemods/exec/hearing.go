package exec

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// A hearing is what goes on with one process that speaks JSON.
type hearing struct {
	*lines
	c     *process
	asked chan struct{} // has an element for each question of the process
	heard chan struct{} // has an element if something was heard
	busy  atomic.Bool   // what was heard is not dealt with yet
}

// hear does what a line says.
func (h *hearing) hear(r *reply, line []byte) {
	switch {
	case r.ID != 0:
		h.mu.Lock()
		w := h.waiting[r.ID]
		if w != nil && w.on == h.c {
			delete(h.waiting, r.ID) // the first verdict counts
		} else {
			w = nil // too late
		}
		h.mu.Unlock()
		if w != nil {
			w.verdict <- *r
		}
	case r.Ask != "":
		h.question(r)
	case len(r.Deliver) > 0:
		for i := range r.Deliver {
			h.deliver(&r.Deliver[i])
		}
	case r.Pong == 0:
		h.complain(line, errors.New("none of id, ask, deliver, pong"))
	}
}

// deliver queues a packet that the program sends by itself.
func (h *hearing) deliver(s *said) {
	own := sent{}
	if tag := s.Tag; tag != "" {
		own.tell = func(o packet.Outcome) { h.settled(tag, o) }
	}
	p, err := h.hearer.hear(s)
	own.p = p
	var why *packet.Reject
	if err != nil && !errors.As(err, &why) {
		why = packet.Refuse("bad-request", err.Error())
	}
	if why != nil {
		h.backlog.refuse(own, why)
		return
	}
	h.backlog.put(own, func() time.Duration { return h.late(h.c) }, h.c.life.Done())
}

// settled tells the process how a delivery ended.
func (h *hearing) settled(tag string, o packet.Outcome) {
	s := settlement{Tag: tag, Result: [...]string{"claimed", "refused", "dropped"}[o.Result], refusal: refuse(o.Reason)}
	h.tell(request{Settled: []settlement{s}})
}

func refuse(r *packet.Reject) *refusal {
	if r == nil {
		return nil
	}
	return &refusal{Condition: r.Condition, Text: r.Text, Type: r.ErrorType()}
}

// question puts a question of the process to the tree.
func (h *hearing) question(r *reply) {
	name := r.Ask
	var s said
	err := json.Unmarshal(r.Packet, &s)
	if err == nil {
		s.Kind = packet.XDB.String()
	}
	q, bad := h.hearer.hear(&s)
	if err = errors.Join(err, bad); err != nil {
		h.answer(name, nil, packet.Refuse("bad-request", err.Error()))
		return
	}
	select {
	case h.asked <- struct{}{}:
	default:
		h.answer(name, nil, packet.Refuse("resource-constraint", fmt.Sprintf("more than %d questions at once", mostAsked)))
		return
	}
	go func() {
		defer func() { <-h.asked }()
		a, err := h.env.Ask(h.c.alive, &q)
		h.answer(name, a, err)
	}()
}

func (h *hearing) answer(name string, a *packet.Packet, err error) {
	r := request{Answer: name}
	var why *packet.Reject
	switch {
	case err == nil:
		r.Packet = say(a)
	case errors.As(err, &why):
		r.refusal = refuse(why)
	default:
		r.refusal = refuse(packet.Refuse("internal-server-error", ""))
	}
	h.tell(r)
}

// tell says something that is no packet. A process that reads nothing while it
// goes on asking is stopped.
func (h *hearing) tell(r request) {
	if !h.c.stdin.note(encode(r)) {
		h.c.kill(errors.New("it does not read what it has asked for"))
	}
}

// keepPinging asks the process whether it is there until it has ended, and kills
// it if nothing is heard of it.
func (h *hearing) keepPinging(every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for n := uint64(1); ; n++ {
		select {
		case <-h.heard:
		default:
			if n > 1 && !h.busy.Load() {
				h.c.kill(fmt.Errorf("nothing was heard of it for %v", every))
				return
			}
		}
		h.tell(request{Ping: n})
		select {
		case <-t.C:
		case <-h.c.alive.Done():
			return
		}
	}
}
