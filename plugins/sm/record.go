package sm

import (
	"encoding/binary"
	"errors"
	"math"
	"sync"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/journal"
)

// A record of the journal is what happened to a session, or to several at
// once: its kind, and what the kind has, in the order of the fields here.
type kind byte

const (
	recState    kind = 1 + iota // what a session is; see appendState
	recEnding                   // it has ended; what that leads to is under way
	recEnd                      // that too has ended
	recIn                       // a stanza of the client: token, number, Seq, stanza
	recDone                     // its handling has ended: token, number
	recOut                      // a stanza to clients: how many and their tokens, when, ..., stanza
	recAck                      // a client has stanzas: token, number
	recDirected                 // an address sees the presence of a session, or no longer: token, address, bool
	recSkip                     // a stanza to a client, not sent yet, is not needed: token, number; those behind move up
)

// A state goes on with what was added to it since: a tag, and a string that
// depends on it. So a journal of an older build can be read.
const (
	tagCarbons  = 1 + iota // the client wants copies: nothing
	tagInactive            // nobody looks at the client: nothing
	tagActive              // the privacy list of the session: its name
	tagBlocking            // the client has asked for the block list: nothing
	tagGuarded             // the account may have privacy lists: nothing
	tagRefused             // a handler has refused stanzas: the Seq of the last, in decimals
)

// errRecord is what a record is that cannot be read.
var errRecord = errors.New("a record of sessions that cannot be read")

// errNewer is what a record is that this build does not know.
var errNewer = errors.New("a newer version of the server wrote this journal of sessions: " +
	"run that one, or move the folder away, which ends the sessions that are in it")

// buffers are for records that are being made.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

func appendString[T ~string | ~[]byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendToken(b []byte, t packet.Token) []byte {
	b = appendString(appendString(b, t.Host), t.Section)
	b = binary.AppendUvarint(b, uint64(t.Slot))
	b = binary.AppendUvarint(b, uint64(t.Incarnation))
	return binary.AppendUvarint(b, uint64(t.Node))
}

// appendStanza writes what makes a stanza, and where it comes from.
func appendStanza(b []byte, p *packet.Packet) []byte {
	for _, s := range [...]string{p.To, p.From, p.Name, p.Type, p.ID, p.Lang, p.Attrs} {
		b = appendString(b, s)
	}
	b = appendString(b, p.Body)
	b = appendToken(b, p.Near)
	return binary.AppendUvarint(b, p.Seq)
}

// A reader reads what the functions above wrote. Strings and bytes are copied.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) bool() bool { return r.byte() != 0 }

func (r *reader) token() packet.Token {
	return packet.Token{
		Host: r.string(), Section: r.string(), Slot: uint32(r.uint()), Incarnation: uint32(r.uint()), Node: uint32(r.uint()),
	}
}

func (r *reader) stanza() packet.Packet {
	p := packet.Packet{
		To: r.string(), From: r.string(), Name: r.string(), Type: r.string(), ID: r.string(), Lang: r.string(), Attrs: r.string(),
	}
	if body := r.bytes(); len(body) > 0 {
		p.Body = append([]byte(nil), body...)
	}
	p.Near, p.Seq = r.token(), r.uint()
	return p
}

// append puts a record into the journal, which is written later.
func (s *Service) append(write func([]byte) []byte) (journal.Pos, error) {
	b := buffers.Get().(*[]byte)
	*b = write((*b)[:0])
	at, err := s.journal.Append(*b)
	if cap(*b) <= 64<<10 {
		buffers.Put(b)
	}
	return at, err
}

// commit writes what is in the journal.
func (s *Service) commit() error { return s.commitTo(math.MaxUint64) }

// commitTo is commit for the records up to one of them.
func (s *Service) commitTo(at journal.Pos) error {
	err := s.journal.CommitTo(at)
	if err != nil {
		s.env.Log().Error("journal: " + err.Error())
	}
	return err
}

// note is append where a failure can only be logged: what was done stays done.
func (s *Service) note(write func([]byte) []byte) journal.Pos {
	at, err := s.append(write)
	if err != nil {
		s.env.Log().Error("journal: " + err.Error())
	}
	return at
}

// journalState records what a session is now. The account is locked.
func (s *Service) journalState(x *session) journal.Pos {
	at := s.note(func(b []byte) []byte { return appendState(b, x) })
	if !x.recorded {
		x.recorded, x.place = true, at
	}
	return at
}

// appendState writes all of a session but its queue and its directed presence.
func appendState(b []byte, x *session) []byte {
	b = appendToken(append(b, byte(recState)), x.token)
	b = appendString(b, x.jid)
	b = appendToken(b, x.conn)
	b = binary.AppendUvarint(b, x.seq)
	b = binary.AppendUvarint(b, x.base)
	b = appendBool(appendBool(b, x.interested), x.account.isSpooling(x))
	b = append(b, byte(x.priority))
	b = appendBool(b, x.presence != nil)
	if x.presence != nil {
		p := x.available()
		b = appendStanza(b, &p)
	}
	b = appendBool(b, x.isManaged())
	if m := x.managed; m != nil {
		b = append(b, m.id[:]...)
		b = append(b, byte(m.kind))
		for _, n := range [...]uint64{uint64(m.max), uint64(m.lost), m.received, m.acked, m.first, m.helloH} {
			b = binary.AppendUvarint(b, n)
		}
	}
	if x.carbons {
		b = appendString(append(b, tagCarbons), "")
	}
	if x.inactive {
		b = appendString(append(b, tagInactive), "")
	}
	if x.active != "" {
		b = appendString(append(b, tagActive), x.active)
	}
	if x.blocking {
		b = appendString(append(b, tagBlocking), "")
	}
	if m := x.managed; m != nil && m.refused > 0 {
		b = appendString(append(b, tagRefused), count(m.refused))
	}
	if x.account.guard.Load() != open {
		b = appendString(append(b, tagGuarded), "")
	}
	return b
}

// journalDirected records that an address sees the presence of a session, or
// no longer. The account is locked.
func (s *Service) journalDirected(x *session, jid string, sees bool) journal.Pos {
	return s.note(func(b []byte) []byte {
		return appendBool(appendString(appendToken(append(b, byte(recDirected)), x.token), jid), sees)
	})
}

// journalEnding records that a session has ended, journalEnd that nothing is
// left to be done about it. The account is locked.
func (s *Service) journalEnding(x *session) {
	s.note(func(b []byte) []byte { return appendToken(append(b, byte(recEnding)), x.token) })
}

func (s *Service) journalEnd(x *session) {
	x.buried = true
	s.note(func(b []byte) []byte { return appendToken(append(b, byte(recEnd)), x.token) })
}

// journalIn records a stanza of the client.
func (s *Service) journalIn(x *session, number, seq uint64, p *packet.Packet) (journal.Pos, error) {
	return s.append(func(b []byte) []byte {
		b = appendToken(append(b, byte(recIn)), x.token)
		b = binary.AppendUvarint(b, number)
		b = binary.AppendUvarint(b, seq)
		return appendStanza(b, p)
	})
}

// journalDone records that the handling of a stanza of the client has ended.
func (s *Service) journalDone(x *session, number uint64) {
	s.note(func(b []byte) []byte {
		return binary.AppendUvarint(appendToken(append(b, byte(recDone)), x.token), number)
	})
}

// journalOut records a stanza to managed sessions.
func (s *Service) journalOut(managed []*session, q *queued) (journal.Pos, error) {
	return s.append(func(b []byte) []byte {
		b = binary.AppendUvarint(append(b, byte(recOut)), uint64(len(managed)))
		for _, x := range managed {
			b = appendToken(b, x.token)
			b = binary.AppendUvarint(b, x.managed.last()+1)
		}
		return q.append(b)
	})
}

func (q *queued) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(q.at))
	b = appendString(b, q.stored)
	b = appendBool(b, q.copies != nil && q.copies.taken)
	return appendStanza(b, &q.p)
}

// journalSkip records that a stanza to a client is not needed.
func (s *Service) journalSkip(x *session, number uint64) journal.Pos {
	return s.note(func(b []byte) []byte {
		return binary.AppendUvarint(appendToken(append(b, byte(recSkip)), x.token), number)
	})
}

// journalAck records how many stanzas the client has.
func (s *Service) journalAck(x *session) {
	s.note(func(b []byte) []byte {
		return binary.AppendUvarint(appendToken(append(b, byte(recAck)), x.token), x.managed.acked)
	})
}

// Compaction: what stays valid for long is appended again, so that the
// segments before can be released.
const (
	roomy     = 8 << 20 // bytes of journal that are no reason for anything
	longLived = 4       // a session is written again when a quarter of the journal is younger
)

// compact releases what the journal needs no more.
func (s *Service) compact() {
	size := s.journal.Size()
	if size < roomy {
		return
	}
	next := s.journal.Next()
	old := next - journal.Pos(size/longLived)
	oldest := next
	s.sessions.each(func(x *session) {
		a := x.account
		a.mu.Lock()
		defer a.mu.Unlock()
		if x.ended {
			return
		}
		if x.place < old {
			s.rewrite(x)
		}
		oldest = min(oldest, x.place)
		if x.isManaged() && len(x.managed.pending) > 0 {
			oldest = min(oldest, x.managed.pending[0].place)
		}
	})
	oldest = s.dying.oldest(oldest)
	if s.commit() != nil {
		return
	}
	if err := s.journal.Release(oldest); err != nil {
		s.env.Log().Error("journal: " + err.Error())
	}
}

// rewrite appends all of a session again. The account is locked.
func (s *Service) rewrite(x *session) {
	place, err := s.append(func(b []byte) []byte { return appendState(b, x) })
	if err != nil {
		return
	}
	for jid := range x.directed {
		s.journalDirected(x, jid, true)
	}
	if m := x.managed; m != nil {
		for i, q := range m.queue.all() {
			_, err := s.append(func(b []byte) []byte {
				b = appendToken(binary.AppendUvarint(append(b, byte(recOut)), 1), x.token)
				return q.append(binary.AppendUvarint(b, m.acked+1+uint64(i)))
			})
			if err != nil {
				return
			}
		}
	}
	x.place = place
}
