// Package bosh carries XMPP over HTTP requests (BOSH, XEP-0124, and its profile
// for XMPP, XEP-0206), on the side of the server, and with [Dial] on that of the
// client.
//
// A client sends what it has to say in a request, and the server keeps a request
// until it has something to say itself. Requests are numbered, so that one whose
// response was lost on the way may be sent again and is answered with the same.
//
// [Server] is the handler of the requests. Each session that a client begins is
// given to [Config].Open as a [Session], which is read token by token and written
// to like a stream over TCP: for a stream's header there is a token Open, made of
// what the client says when it begins or restarts its session, and for the end
// one of the kind Close. Between requests a session has no goroutine.
//
// Everything has a bound: the requests of a session that wait (one more than it
// may hold), the size of each, the responses that are kept, and how long a
// session lives without a request.
package bosh

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/plugins/xmpp/xml"
)

// NS is the namespace of the element around everything.
const NS = "http://jabber.org/protocol/httpbind"

// major and minor are the version of XEP-0124 that we speak.
const major, minor = 1, 11

// nsXMPP is that of the attributes which XEP-0206 adds.
const nsXMPP = "urn:xmpp:xbosh"

// A Config says what sessions may do.
type Config struct {
	Wait       time.Duration // the longest that a request is kept
	Hold       int           // the most requests that are kept of a session
	Inactivity time.Duration // how long a session lives without a request
	MaxPause   time.Duration // and how long if its client says that it pauses; 0 is no pause
	Polling    time.Duration // between empty requests of a client that polls; 0 is any time
	Limits     xml.Limits    // of elements; the bytes are also those of a request
	Sessions   int           // at once, also those that have just ended

	// Open is given a session that begins and the request by which it does, and
	// returns at once. If it returns false there is no room for the session.
	Open func(s *Session, r *http.Request) bool
	// Secure reports whether a request came encrypted, maybe to a proxy; nil looks at its
	// connection only. A session that began so is not for requests that did not.
	Secure func(r *http.Request) bool
}

// A Server answers the requests of sessions.
type Server struct {
	config Config

	mu       sync.Mutex
	sessions map[string]*Session
}

// New returns a server without sessions.
func New(c Config) *Server {
	if c.Limits.Bytes == 0 {
		c.Limits.Bytes = xml.DefaultBytes
	}
	if c.Secure == nil {
		c.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	return &Server{config: c, sessions: map[string]*Session{}}
}

// A Condition says why a session ends (XEP-0124, 17.2).
type Condition string

// The conditions.
const (
	BadRequest          Condition = "bad-request"
	ImproperAddressing  Condition = "improper-addressing"
	InternalServerError Condition = "internal-server-error"
	ItemNotFound        Condition = "item-not-found"
	PolicyViolation     Condition = "policy-violation"
	RemoteStreamError   Condition = "remote-stream-error"
)

// Times within which a client has to send a request and to take its response.
const (
	requestTime  = 30 * time.Second
	responseTime = 30 * time.Second
)

// firstResponse is how long a session that begins waits for what to say first,
// even that of a client that polls.
const firstResponse = 10 * time.Second

// ServeHTTP answers a request, at the latest when it may not be kept any longer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST, OPTIONS")
		http.Error(w, "This is for XMPP over BOSH (XEP-0124), by POST.", http.StatusMethodNotAllowed)
		return
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(requestTime))
	// What is around the elements needs a little room too.
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(s.config.Limits.Bytes)+4<<10))
	control.SetReadDeadline(time.Time{})
	if err != nil {
		respond(w, terminated(nil, PolicyViolation, nil))
		return
	}
	respond(w, s.answer(text, r))
}

// respond writes a response.
func respond(w http.ResponseWriter, body []byte) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(responseTime))
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Write(body)
}

// answer returns the response to a request, as soon as there is one. A connection that may
// not have one is cut.
func (s *Server) answer(text []byte, r *http.Request) []byte {
	q, err := parse(text, s.config.Limits)
	if err != nil {
		return terminated(nil, BadRequest, nil)
	}
	session, problem := s.find(q, r)
	if problem != "" {
		return terminated(nil, problem, nil)
	}
	if session.secure && !s.config.Secure(r) { // XEP-0124 section 19.1: nor is the session ended
		panic(http.ErrAbortHandler)
	}
	session.take(q)
	wait := session.wait
	if q.begins {
		wait = max(wait, firstResponse)
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case body := <-q.answer:
		return body
	case <-late.C:
	case <-r.Context().Done(): // the client will send it again, if it is still there
	}
	session.release(q)
	return <-q.answer
}

// find returns the session of a request, which may begin it.
func (s *Server) find(q *request, r *http.Request) (*Session, Condition) {
	if q.sid != "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		if known := s.sessions[q.sid]; known != nil {
			return known, ""
		}
		return nil, ItemNotFound
	}
	if len(q.to) == 0 {
		return nil, ImproperAddressing
	}
	session := s.newSession(q)
	session.secure = s.config.Secure(r)
	if !s.enter(session) || !s.config.Open(session, r) {
		session.forget()
		return nil, InternalServerError
	}
	return session, ""
}

func (s *Server) enter(session *Session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sessions) >= s.config.Sessions {
		return false
	}
	s.sessions[session.sid] = session
	return true
}

// lower is the lower one of a version and ours, which is also for a client that says
// none (XEP-0124 section 7.2).
func lower(theirs string) string {
	first, second, _ := strings.Cut(theirs, ".")
	x, err := strconv.ParseUint(first, 10, 16)
	y, err2 := strconv.ParseUint(second, 10, 16)
	if err != nil || err2 != nil || x > major || x == major && y > minor {
		x, y = major, minor
	}
	return fmt.Sprintf("%d.%d", x, y)
}

// newSession makes the session that a request asks for.
func (s *Server) newSession(q *request) *Session {
	session := &Session{
		server: s, sid: rand.Text(), rid: q.rid - 1, wait: min(q.wait, s.config.Wait), hold: min(q.hold, s.config.Hold),
		acks: q.ack != 0, version: lower(q.ver), scanner: xml.NewScanner(s.config.Limits),
	}
	session.cond = sync.NewCond(&session.mu)
	session.polls = session.hold == 0 || session.wait == 0
	session.requests = max(session.hold, 1) + 1
	session.allowed = s.config.Inactivity
	session.idle = time.AfterFunc(session.allowed, session.forget)
	return session
}
