package sm

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// A moment is a time in ticks since 1970.
type moment int64

// tick is how exact the clock is.
const tick = 250 * time.Millisecond

// A wheel is the clock of a service: coarse, but reading it costs nothing, and
// so do sessions that wait.
type wheel struct {
	at atomic.Int64

	mu   sync.Mutex
	due  map[moment][]*session
	done moment // what was due until then has been dealt with
}

// now returns the moment that it is.
func (w *wheel) now() moment { return moment(w.at.Load()) }

// set says what time it is.
func (w *wheel) set(now time.Time) { w.at.Store(now.UnixMilli() / tick.Milliseconds()) }

// wake has the clock look at a session at a moment, or earlier. The account is
// locked.
func (w *wheel) wake(x *session, at moment) {
	if x.due != 0 && x.due <= at {
		return
	}
	x.due = at
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.due == nil {
		w.due = map[moment][]*session{}
	}
	w.due[max(at, w.done+1)] = append(w.due[max(at, w.done+1)], x)
}

// take returns the sessions whose moment has come.
func (w *wheel) take() []*session {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done == 0 || now-w.done > moment(len(w.due))+60 { // few of many moments have any
		var list []*session
		for at, some := range w.due {
			if at <= now {
				list = append(list, some...)
				delete(w.due, at)
			}
		}
		w.done = now
		return list
	}
	var list []*session
	for ; w.done < now; w.done++ {
		list = append(list, w.due[w.done+1]...)
		delete(w.due, w.done+1)
	}
	return list
}

const (
	sweepEvery   = moment(time.Minute / tick)     // between two looks at all sessions
	silenceLimit = moment(5 * time.Minute / tick) // of a connection until it is asked whether it is there
	doubtEvery   = moment(5 * time.Second / tick) // between two times that all are asked
)

// advance does what is due.
func (s *Service) advance(now time.Time) {
	before := s.clock.now()
	s.clock.set(now)
	if s.clock.now() == before {
		return
	}
	for _, x := range s.clock.take() {
		s.look(x)
	}
	if before/sweepEvery != s.clock.now()/sweepEvery {
		s.sweep()
		s.background.Go(s.askOwn)
	}
	s.commit() // what was not worth a write of its own
	if s.clock.now()%moment(time.Second/tick) == 0 {
		s.compact()
	}
	s.repeats.forget(s.clock.now())
}

// look does what is due for a session.
func (s *Service) look(x *session) {
	a := x.account
	a.mu.Lock()
	x.due = 0
	if x.ended || !x.isManaged() {
		a.mu.Unlock()
		return
	}
	m, now := x.managed, s.clock.now()
	if x.conn.IsZero() {
		end := m.end()
		if now < end {
			s.clock.wake(x, end)
		}
		a.mu.Unlock()
		if now >= end {
			s.finish(x, ending{})
		}
		return
	}
	dead := s.lookAcks(x, now)
	conn := x.conn
	a.mu.Unlock()
	if dead {
		s.env.Log().Debug("the client does not acknowledge; its connection is given up", "session", x.jid)
		s.source.Deliver(s.ctx, streamEnd(conn, x.token, x.jid, "connection-timeout", nil), 0)
		s.closed(x, conn, true)
		return
	}
	s.drain(x)
	s.source.Flush()
}

// sweep asks connections that have long been silent whether they are there: the
// answer to one that is not is that it has ended.
func (s *Service) sweep() { s.probeAll("", s.clock.now()-silenceLimit) }

// doubt asks all connections of a section whether they are there, since one was not
// and had not said that it ends: the process may have died that had them all, and
// contacts are not to see for minutes who is gone.
func (s *Service) doubt(section string) {
	now := s.clock.now()
	last := s.doubted.Load()
	if now-moment(last) < doubtEvery || !s.doubted.CompareAndSwap(last, int64(now)) {
		return
	}
	s.background.Go(func() {
		s.probeAll(section, now+1)
		s.source.Flush()
	})
}

// probeAll asks the connections that were not heard of since a moment, of one
// section, or with "" of all.
func (s *Service) probeAll(section string, since moment) {
	s.sessions.each(func(x *session) {
		x.account.mu.Lock()
		silent := !x.conn.IsZero() && x.heard < since && (section == "" || x.conn.Section == section)
		conn := x.conn
		x.account.mu.Unlock()
		if silent {
			s.probe(x, conn)
		}
	})
}

// probe asks a connection whether it is there.
func (s *Service) probe(x *session, conn packet.Token) {
	p := streamEnd(conn, x.token, x.jid, "", nil)
	p.Name = "sync"
	s.source.Deliver(s.ctx, p, 0)
}
