package e2e_test

import (
	"context"
	"crypto/tls"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// TestDeathAndFreshLogin is TestDeathOfEachProcess with receivers that have
// forgotten their sessions and log in anew: each message comes, and comes again only
// if they had not acknowledged it, with the same stanza id (XEP-0359).
func TestDeathAndFreshLogin(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: it takes a minute")
	}
	for _, c := range []struct{ file, victim string }{
		{"edge", "edge"}, {"edge", "sm"}, {"edge", "xdb"}, {"jabberd", "plugins"}, {"jabberd", "xdb"},
	} {
		t.Run(c.file+"/"+c.victim, func(t *testing.T) {
			const n = 25
			r := start(t, "conf/"+c.file+".hcl", nil)
			p := r.pairs(n)
			receivers := make([]*receiver, n)
			cut := make(chan struct{})
			var once sync.Once
			p.progress = func(received int64) {
				if received > n*messages/3 {
					once.Do(func() {
						r.kill(c.victim)
						close(cut)
					})
				}
			}
			for i, l := range p.links {
				receivers[i] = &receiver{x: p, l: l, now: l.to, ids: map[int64]string{}}
			}
			p.runWith(func(ctx context.Context, l *link) { receivers[l.n].receive(ctx, cut) })
			again, renewed := 0, 0
			for _, r := range receivers {
				again += r.again
				if r.renewed {
					renewed++
				}
			}
			t.Logf("figure: conf/%s.hcl, kill -9 of %s, %d pairs, %d messages, receivers log in anew: %d lost, %d repeated, of these acknowledged or with another id %d",
				c.file, c.victim, n, n*messages, p.lost(), again, p.repeated.Load())
			if p.lost() != 0 || p.repeated.Load() != 0 || renewed != n {
				t.Errorf("%d of %d have logged in anew\n%s", renewed, n, p.complaints())
			}
		})
	}
}

// A receiver takes what its link's sender says, in two sessions of one client.
type receiver struct {
	x       *traffic
	l       *link
	now     *session.Session
	ids     map[int64]string // of the messages that have come
	certain map[int64]bool   // what the server knows to have come
	again   int
	renewed bool
}

// receive takes messages until all have come; when cut is closed it drops its
// connection, takes what has come by then, and logs in anew.
func (r *receiver) receive(ctx context.Context, cut <-chan struct{}) {
	connected, lost := context.WithCancel(ctx)
	dropped := make(chan struct{})
	old := r.now
	go func() {
		defer close(dropped)
		defer lost()
		select {
		case <-cut:
			old.Drop()
		case <-ctx.Done():
		}
	}()
	defer func() { <-dropped }()
	for ctx.Err() == nil {
		m, err := r.now.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			select {
			case <-cut:
			case <-ctx.Done():
				return
			}
			r.anew(ctx)
		case m.Name == stanza.Message:
			r.take(connected, m)
		}
	}
}

// take counts a message. Now and then it sees to it that the server knows what
// has come: the answer to a ping is in the journal behind the acknowledgement.
func (r *receiver) take(ctx context.Context, m stanza.Stanza) {
	body, _ := xml.Find(m.Body, "jabber:client", "body", "jabber:client")
	n, _ := strconv.ParseInt(body.Text(), 10, 64)
	given, _ := xml.Find(m.Body, "jabber:client", "stanza-id", ns.StanzaID)
	id := given.Attr("by") + " " + given.Attr("id")
	before, repeated := r.ids[n]
	switch {
	case r.renewed && id == " " && !repeated: // its session was not managed yet: it cannot come again
	case given.Attr("by") != r.now.Local().Bare().String() || given.Attr("id") == "":
		r.wrong("pair %d: %d has the id %q", r.l.n, n, id)
	case repeated && before != id:
		r.wrong("pair %d: %d comes with the id %q, and came with %q", r.l.n, n, id, before)
	case repeated && r.certain[n]:
		r.wrong("pair %d: %d comes again, though it was acknowledged", r.l.n, n)
	}
	if repeated {
		r.again++
		return
	}
	r.ids[n] = id
	r.l.last.Store(int64(len(r.ids)))
	total := r.x.received.Add(1)
	if r.x.progress(total); total == int64(len(r.x.links)*messages) {
		close(r.x.all)
	}
	signal(r.l.more)
	if len(r.ids)%16 == 0 && !r.renewed {
		r.acknowledge(ctx)
	}
}

func (r *receiver) acknowledge(ctx context.Context) {
	r.now.Acknowledge()
	ping := stanza.Stanza{Name: stanza.IQ, Type: "get", To: jid.MustParse("localhost"), Body: []byte("<ping xmlns='urn:xmpp:ping'/>")}
	if _, err := r.now.Request(ctx, ping); err != nil {
		return // its connection is gone
	}
	r.certain = map[int64]bool{}
	for n := range r.ids {
		r.certain[n] = true
	}
}

func (r *receiver) wrong(format string, args ...any) {
	r.x.repeated.Add(1)
	r.x.complain(format, args...)
}

// anew logs the same client in again, when the server is back.
func (r *receiver) anew(ctx context.Context) {
	address := r.now.Local()
	for ctx.Err() == nil {
		conn := reach(ctx, r.x.r.vars["c2s_port"])
		if conn == nil {
			return
		}
		limit, cancel := context.WithTimeout(ctx, 15*time.Second)
		s, err := session.Client(limit, conn, session.Account{Address: address, Password: "pw-" + address.Bare().String(), TLS: &tls.Config{InsecureSkipVerify: true}})
		if err == nil {
			err = s.Presence(limit, "")
		}
		cancel()
		if err == nil {
			r.now, r.renewed = s, true
			return
		}
		r.x.complain("%s: %v", address, err)
	}
}
