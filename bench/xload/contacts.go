package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// contacts makes users see each other's presence, through subscription
// handshakes (RFC 6121, 3.1): every user is online, asks all that are to be its
// contacts, and says yes to all who ask. What is there already is left alone.
func contacts(l *load) *Result {
	var failed failures
	if l.Hubs == 0 && l.Users%(l.Contacts+1) != 0 || l.Hubs > 0 && l.Users != l.Hubs+l.Contacts {
		failed.add(fmt.Errorf("%d users cannot have %d contacts each (%d hubs)", l.Users, l.Contacts, l.Hubs))
		return failed.result(nil)
	}
	members := make([]*member, l.Users)
	each(l.Users, l.workers, 0, func(i int) {
		c, err := l.Login(i, l.Resource)
		if err != nil {
			failed.add(err)
			return
		}
		m := &member{conn: c, refused: map[string]string{}, changed: make(chan struct{}, 1), ended: make(chan struct{})}
		if m.roster, err = c.fetchRoster(); err == nil {
			err = c.Present()
		}
		failed.add(err)
		members[i] = m
		go m.read()
	})
	if failed.n.Load() == 0 {
		each(l.Users, l.workers, 0, func(i int) {
			for _, n := range l.ContactsOf(i) {
				failed.add(members[i].subscribe(l.JID(n), l.Timeout))
			}
		})
	}
	each(l.Users, l.workers, 0, func(i int) {
		if m := members[i]; m != nil {
			m.leave()
		}
	})
	return failed.result(map[string]float64{"users": float64(l.Users), "contacts": float64(l.Contacts)})
}

// A member is an online user of a group.
type member struct {
	conn    *Conn
	mu      sync.Mutex
	roster  roster
	refused map[string]string // why, by contact: the error that came back
	changed chan struct{}     // something was added to one of these
	ended   chan struct{}     // nothing more is read
}

// read says yes to all who ask for a subscription, and keeps the roster.
func (m *member) read() {
	defer close(m.ended)
	for {
		el, err := m.conn.Next()
		if err != nil {
			return
		}
		switch {
		case isElement(el, "presence") && attribute(el, "type") == "subscribe":
			m.conn.Send([]byte("<presence to='"+bare(attribute(el, "from"))+"' type='subscribed'/>"), 1)
		case isElement(el, "iq") && attribute(el, "type") == "set":
			m.mu.Lock()
			m.roster.update(el)
			m.mu.Unlock()
			m.conn.Send([]byte("<iq type='result' id='"+attribute(el, "id")+"'/>"), 1)
			m.tell()
		case isElement(el, "presence") && attribute(el, "type") == "error":
			m.mu.Lock()
			m.refused[bare(attribute(el, "from"))] = string(el)
			m.mu.Unlock()
			m.tell()
		}
	}
}

// tell wakes who waits for a subscription.
func (m *member) tell() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// leave ends the stream, and waits a moment for the server to end it too.
func (m *member) leave() {
	m.conn.socket.SetReadDeadline(time.Now().Add(2 * time.Second))
	m.conn.end()
	<-m.ended
	m.conn.socket.Close()
}

func (m *member) sees(jid string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.roster.sees(jid)
}

// refusal returns the error that came back from a contact, "" if none did.
func (m *member) refusal(jid string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refused[jid]
}

// subscribe asks one user, and waits for the yes.
func (m *member) subscribe(jid string, timeout time.Duration) error {
	if m.sees(jid) {
		return nil
	}
	if err := m.conn.Send([]byte("<presence to='"+jid+"' type='subscribe'/>"), 1); err != nil {
		return err
	}
	late := time.After(timeout)
	for !m.sees(jid) {
		if why := m.refusal(jid); why != "" {
			return fmt.Errorf("%s: no subscription to %s: %s", m.conn.User, jid, why)
		}
		select {
		case <-m.changed:
		case <-m.ended:
			return errors.New(m.conn.User + ": the stream ended")
		case <-late:
			return fmt.Errorf("%s: no subscription to %s after %v", m.conn.User, jid, timeout)
		}
	}
	return nil
}
