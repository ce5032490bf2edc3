package sm

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Last activity of accounts (XEP-0012): when an account became unavailable, and
// what it said then, namespace "last" of its storage. It is written behind the
// client's back, who need not wait for it.
const (
	lastNS    = "last"
	lastSpace = "jabber:iq:last"
)

// A departure is how an account became unavailable.
type departure struct {
	at     time.Time
	status string
}

// Departures are those that are not in storage yet.
type departures struct {
	mu      sync.Mutex
	due     map[string]departure // by bare address
	writing string               // whose is being put into storage; "" if nobody is at it
	written chan struct{}        // closed when that is done
}

// maxDepartures is how many wait for storage at most; others are not kept.
const maxDepartures = 10000

// leaves notes that a session of an account is no longer available. If it was
// the last one that is when the account was there last. The account is locked.
func (s *Service) leaves(a *account, status string) {
	for _, x := range a.sessions {
		if x.presence != nil {
			return
		}
	}
	if s.ctx.Err() != nil {
		return
	}
	l := &s.departures
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.due == nil {
		l.due = map[string]departure{}
	}
	if _, known := l.due[a.jid]; !known && len(l.due) >= maxDepartures {
		return
	}
	l.due[a.jid] = departure{time.Now(), status}
	if l.writing == "" {
		s.background.Go(s.writeDepartures)
		l.writing = a.jid
		l.written = make(chan struct{})
	}
}

// statusOf returns what a presence says to people.
func statusOf(p *packet.Packet) string {
	el, ok := xml.Find(p.Body, ns.Client, "status", ns.Client)
	if !ok {
		return ""
	}
	return el.Text()
}

// writeDepartures puts those that wait into storage, one at a time.
func (s *Service) writeDepartures() {
	l := &s.departures
	for {
		jid, d, ok := l.next()
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(s.ctx, patience)
		value := xml.AppendElement(nil, "query", lastSpace, d.status, "stamp", d.at.UTC().Format(time.RFC3339))
		_, err := s.store.Put(ctx, jid, lastNS, lastNS, value)
		cancel()
		if err != nil && s.ctx.Err() == nil {
			s.env.Log().Error("when an account was there last is not kept: "+err.Error(), "account", jid)
		}
		l.wrote(jid, d)
	}
}

// next returns the one to be written next, if there is one.
func (l *departures) next() (jid string, d departure, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for jid, d := range l.due {
		l.writing = jid
		return jid, d, true
	}
	l.writing = ""
	close(l.written)
	return "", departure{}, false
}

// drain waits until all are written, or ctx is done.
func (l *departures) drain(ctx context.Context) {
	for {
		l.mu.Lock()
		busy, written := l.writing != "", l.written
		l.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-written:
		case <-ctx.Done():
			return
		}
	}
}

func (l *departures) wrote(jid string, d departure) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.due[jid] == d {
		delete(l.due, jid)
	}
	close(l.written)
	l.written = make(chan struct{})
}

func (l *departures) find(jid string) (departure, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, ok := l.due[jid]
	return f, ok
}

// drop forgets that of an account which is removed, and waits until it is not
// being written.
func (l *departures) drop(ctx context.Context, jid string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.due, jid)
	for l.writing == jid {
		written := l.written
		l.mu.Unlock()
		select {
		case <-written:
		case <-ctx.Done():
		}
		l.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// asksLast reports whether an IQ asks for last activity.
func asksLast(p *packet.Packet) bool {
	if p.Type != "get" {
		return false
	}
	el, ok := xml.First(p.Body, ns.Client)
	return ok && el.Is("query", lastSpace)
}

// mayAskLast refuses to say when an account, or a session of it, was active to
// somebody who may not see its presence (sections 4 and 5). A session that hides
// from a subscriber by a privacy list is to them one that is not there.
func (s *Service) mayAskLast(ctx context.Context, p *packet.Packet) error {
	jid, asker := packet.Bare(p.To), packet.Bare(p.From)
	if jid == asker {
		return nil
	}
	sees, err := s.sees(ctx, jid, asker)
	if err != nil {
		return err
	}
	if !sees {
		return packet.Refuse("forbidden", "")
	}
	if a := s.accounts.lock(jid); a != nil {
		defer a.mu.Unlock()
		if x := a.bound(packet.Resource(p.To)); x != nil && a.denies(x, privacy.PresenceOut, p.From) {
			return unavailable()
		}
	}
	return nil
}

// lastActivity says when an account was there last (section 4). Who is there but
// does not show it to the asker is not there.
func (s *Service) lastActivity(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if err := s.mayAskLast(ctx, p); err != nil {
		return packet.Pass, err
	}
	if !asksLast(p) {
		return packet.Pass, packet.Refuse("bad-request", "")
	}
	if len(s.shownTo(p.From, p.To)) > 0 {
		return s.result(ctx, p, xml.AppendEmpty(nil, "query", lastSpace, "seconds", "0"))
	}
	f, ok := s.departures.find(p.To)
	if !ok {
		it, found, err := s.store.Get(ctx, p.To, lastNS, lastNS)
		if err != nil {
			return packet.Pass, err
		}
		if found {
			f, ok = parseDeparture(it.Value)
		}
	}
	if !ok {
		return packet.Pass, packet.Refuse("item-not-found", "nothing is known of it")
	}
	seconds := max(int64(time.Since(f.at)/time.Second), 0)
	return s.result(ctx, p, xml.AppendElement(nil, "query", lastSpace, f.status, "seconds", strconv.FormatInt(seconds, 10)))
}

func parseDeparture(value []byte) (departure, bool) {
	el, ok := xml.First(value, "")
	if !ok {
		return departure{}, false
	}
	at, err := time.Parse(time.RFC3339, el.Attr("stamp"))
	return departure{at, el.Text()}, err == nil
}
