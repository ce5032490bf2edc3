package c2s

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/entry"
	"github.com/jabberii/server/plugins/sdk/origin"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/sdk/turn"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// window is how many packets of one connection may be under way: no more, since
// with another process behind it they all stand before those of anybody else.
const window = 16

// startTag is about how many bytes the start tag of a stanza has, with its end.
const startTag = 100

// A conn is one connection of a client. Its goroutine reads; whoever has
// something for the client appends to what is to be written. A client that says
// nothing for a while has no goroutine, see park.go.
type conn struct {
	s      *Service
	t      transport
	token  packet.Token
	domain string
	source module.Source
	sent   uint64        // Seq of the last packet up
	heard  atomic.Uint32 // tick in which the client said something last
	asked  atomic.Uint32 // tick in which it was asked whether it is there, see quiet.go
	pinged atomic.Bool   // by a ping of ours
	pace   turn.Pace

	alone atomic.Bool // no other goroutine goes on: it logs in, or has ended

	ending  atomic.Bool // our side of the stream ends with what is being written, see end.go
	leaving atomic.Bool // it has ended

	mu      sync.Mutex
	parked  bool
	address string             // the full JID once the session has bound it, the account's before
	far     packet.Token       // the session
	seen    uint64             // Seq of the last packet down
	managed bool               // its session manages the stream (XEP-0198)
	tried   *attempt           // until the client has its session
	answers chan packet.Packet // with room for the one that a login waits for; nil if it doesn't
	out     outbox

	// What lives as long as a connection must not be as large as a packet, which
	// comes and goes: the pages that hold both are never free, 2 KiB a connection.
	_ [8]byte
}

// serve begins the life of a connection over TCP.
func (s *Service) serve(nc net.Conn, direct bool) {
	c := &conn{s: s}
	c.overTCP(nc)
	if !direct {
		c.live(nil)
		return
	}
	c.live(func(ctx context.Context, r *session.Receiver) error { return c.secure(ctx, r, "") })
}

// live is the life of a connection. Begin, if not nil, does what comes before
// the stream.
func (c *conn) live(begin func(ctx context.Context, r *session.Receiver) error) {
	client := c.t.RemoteAddr()
	account, err := c.login(begin)
	if err != nil && !errors.Is(err, io.EOF) {
		c.s.env.Log().Debug("login: "+err.Error(), "client", client.String())
		c.linger()
	}
	c.s.strangers.Leave(origin.Counted(client))
	if err != nil {
		if c.source == nil {
			c.gone()
			return
		}
		c.out.forget()
		c.finish(&lost{err}) // it may have a session already
		return
	}
	held := c.source != nil
	if !held || !c.isOf(account) {
		c.enter(account)
	}
	if held {
		c.alone.Store(false)
		go c.flush()
	}
	c.run()
}

// pass has another goroutine go on, while this one waits with a packet that is
// not its client's to wait for.
func (c *conn) pass() {
	if !c.alone.Load() {
		go c.run()
	}
}

// run sends what the client says to its session until the connection ends, or
// is parked, or another goroutine goes on.
func (c *conn) run() {
	c.s.waken(c)
	err := c.read()
	for errors.Is(err, os.ErrDeadlineExceeded) && !c.leaving.Load() {
		if c.park() {
			return
		}
		c.s.waken(c)
		err = c.read()
	}
	if !errors.Is(err, module.ErrPassed) {
		c.finish(err)
	}
}

// close closes the transport, in one of its two ways, and has whoever reads notice.
func (c *conn) close(how func() error) {
	c.t.Leave(c)
	how()
	c.Wake()
}

// gone ends the life of a connection.
func (c *conn) gone() {
	c.t.Close()
	c.t.Rest()
	c.s.release()
}

// login negotiates the stream until the client is authenticated.
func (c *conn) login(begin func(ctx context.Context, r *session.Receiver) error) (jid.JID, error) {
	ctx, cancel := context.WithTimeoutCause(c.s.opening, c.s.args.Timeout.Std(), &stream.Error{Condition: stream.ConnectionTimeout})
	defer cancel()
	defer context.AfterFunc(ctx, c.interrupt)()
	tried := &attempt{g: &c.s.guesses, address: origin.Of(c.t.RemoteAddr())}
	ctx = withAttempt(ctx, tried)
	c.mu.Lock()
	c.tried = tried
	c.mu.Unlock()
	acceptor := *c.s.acceptors[c.t.Framing()]
	acceptor.Establish, acceptor.Register = c.establish, c.register
	r := session.NewReceiver(&acceptor)
	if begin != nil {
		if err := begin(ctx, r); err != nil {
			return jid.JID{}, err
		}
	}
	for {
		t, err := c.t.Next()
		var reply session.Reply
		switch {
		case err == nil:
			reply = r.Feed(ctx, t)
		case errors.Is(err, io.EOF):
			return jid.JID{}, err
		case ctx.Err() != nil:
			reply = r.Fail(context.Cause(ctx))
		default:
			reply = r.Fail(err)
		}
		if why := (*session.Refused)(nil); errors.As(reply.Err, &why) {
			c.refusedLogin(tried, r.Host().Address.Domain(), why)
			if errors.Is(why, sasl.NotAuthorized) { // a wrong password, or somebody guesses
				slowDown(ctx, tried.failed())
			}
		}
		if err := c.t.Answer(reply.Out); err != nil {
			return jid.JID{}, err
		}
		switch reply.Step {
		case session.Restart:
			c.t.Restart()
		case session.Encrypt:
			if err := c.secure(ctx, r, r.Host().Address.Domain()); err != nil {
				return jid.JID{}, err
			}
		case session.Ready:
			account := r.Account()
			c.s.env.Log().Info("logged in", entry.Event, entry.Authenticated, "host", account.Domain(), "account", account.String(), "client", c.remote())
			return account, nil
		case session.Close:
			return jid.JID{}, reply.Err
		}
	}
}

// secure puts the connection into TLS.
func (c *conn) secure(ctx context.Context, r *session.Receiver, host string) error {
	channel, err := c.t.Encrypt(ctx, host)
	if err != nil {
		return err
	}
	r.Secured(channel)
	return nil
}

// handOver lets go what the client has said, before its transport waits for more:
// in one write to the session's process for all that came together. A client that
// says much takes turns with others who do, behind those who don't. It has said
// something, if only a space.
func (c *conn) handOver() {
	if c.source != nil {
		c.source.Flush()
		if c.pace.Due(c.s.ticks.Load()) {
			c.s.line.Wait()
		}
	}
	c.heard.Store(c.s.ticks.Load())
}

func (c *conn) remote() string { return c.t.RemoteAddr().String() }

// read sends what the client says to its session, until the stream ends. The
// error is io.EOF if the client closed its stream, a *stream.Error if it is to
// be told why it is closed, os.ErrDeadlineExceeded if it has said nothing for a
// while, and any other if the connection is lost.
func (c *conn) read() error {
	if c.leaving.Load() {
		c.t.SetReadDeadline(time.Now().Add(farewell))
	}
	for {
		t, err := c.t.Next()
		switch {
		case err != nil:
			return whyOver(err)
		case t.Kind == xml.Close:
			return io.EOF
		case c.ending.Load() || c.isPong(t):
			continue
		case t.NS == ns.Stream && t.Name == "error": // the client ends its stream with it
			return io.EOF
		case t.NS == ns.Stream:
			return &stream.Error{Condition: stream.BadFormat, Text: "out of place", Lang: "en"}
		case t.Kind != xml.Child:
			return &stream.Error{Condition: stream.BadFormat}
		}
		c.pace.Came(len(t.Body) + len(t.Rest) + startTag)
		if err := c.up(t); err != nil {
			return err
		}
	}
}

// whyOver is the error of read for one of Next.
func whyOver(err error) error {
	var syntax *xml.SyntaxError
	var refused *stream.Error
	switch {
	case errors.As(err, &syntax), errors.As(err, &refused):
		return stream.ErrorOf(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	}
	return &lost{err}
}

// lost is the error of a connection that ended without its stream's end.
type lost struct{ error }

// isForSessions reports whether an element is one that a client may send: others of the
// same names are those by which connection and session speak with one another.
func isForSessions(t *xml.Token) bool {
	switch t.NS {
	case ns.Client:
		return t.Name == "message" || t.Name == "presence" || t.Name == "iq"
	case "", sessions.Refused, ns.Bind2: // bind is part of a login
		return false
	}
	return true
}

// up sends one element to the session.
func (c *conn) up(t *xml.Token) error {
	if !isForSessions(t) {
		return &stream.Error{Condition: stream.UnsupportedStanzaType}
	}
	c.mu.Lock()
	p := packet.Packet{Kind: packet.Session, Host: c.domain, From: c.address, Near: c.token, Far: c.far}
	tried := c.tried
	c.mu.Unlock()
	p.Name, p.Type, p.Lang, p.NS = t.Name, t.Type, t.Lang, t.NS
	if p.NS == ns.Client {
		p.NS = ""
	}
	p.ID, p.Attrs, p.Body = string(t.ID), string(t.Rest), bytes.Clone(t.Body)
	tried.date(&p)
	if len(t.From) > 0 {
		from, err := c.s.addresses.ParseBytes(t.From)
		if err != nil || from.String() != p.From && from.String() != packet.Bare(p.From) {
			return &stream.Error{Condition: stream.InvalidFrom}
		}
	}
	if len(t.To) > 0 {
		to, err := c.s.addresses.ParseBytes(t.To)
		switch {
		case err == nil:
			p.To = to.String()
		case p.NS == "": // other elements are to nobody
			refuse(&p, stanza.JIDMalformed)
		}
	}
	return c.send(&p)
}

// send numbers a packet and puts it into the tree.
func (c *conn) send(p *packet.Packet) error {
	c.sent++
	p.Seq = c.sent
	switch err := c.source.Deliver(c.s.ctx, p, p.Seq); {
	case errors.Is(err, module.ErrPassed):
		return err
	case err != nil:
		return &stream.Error{Condition: stream.SystemShutdown}
	}
	return nil
}

// down takes a packet from the session.
func (c *conn) down(ctx context.Context, p *packet.Packet) error {
	if p.Flags&packet.Bounced != 0 && p.Name != "end" {
		return c.refused(ctx, p)
	}
	c.mu.Lock()
	if tried := c.tried; tried != nil && p.Flags&packet.Recheck != 0 {
		c.mu.Unlock()
		if err := c.recheck(ctx, tried, p); err != nil {
			return err
		}
		c.mu.Lock()
	}
	if p.Seq != 0 {
		if p.Seq <= c.seen {
			c.mu.Unlock()
			return nil
		}
		c.seen = p.Seq
	}
	if !p.Near.IsZero() && p.Flags&packet.Bounced == 0 {
		if c.far != p.Near {
			c.far, c.tried = p.Near.Own(), nil
		}
		if packet.Resource(c.address) == "" && packet.Resource(p.To) != "" {
			c.address = strings.Clone(p.To)
		}
	}
	if isManaging(p) {
		c.managed = true
	}
	seen, answered := c.seen, c.answer(p)
	c.mu.Unlock()
	switch {
	case answered:
	case p.Flags&packet.Bounced != 0 && p.Name == "end":
		c.end(stream.InternalServerError)
	case p.Name == "end" && p.NS == "":
		c.endFor(stream.Condition(p.Type), p.Body)
	case p.Name == "sync" && p.NS == "":
		return c.sync(ctx, seen)
	default:
		if p.NS != "" {
			p.To = "" // only stanzas are to somebody
		}
		c.writeTogether(ctx, p)
	}
	return nil
}

// isManaging reports whether a packet down says that the session manages the stream.
func isManaging(p *packet.Packet) bool {
	return p.NS == ns.StreamManagement && (p.Name == "enabled" || p.Name == "resumed") || p.NS == ns.Bind2 && len(p.Body) > 0 && p.Name == "bound"
}

// sync tells a session manager that was restarted how far both sides are.
func (c *conn) sync(ctx context.Context, seen uint64) error {
	c.mu.Lock()
	p := packet.Packet{Kind: packet.Session, Host: c.domain, From: c.address, Near: c.token, Far: c.far, Name: "sync",
		Attrs: " down='" + strconv.FormatUint(seen, 10) + "'"}
	c.mu.Unlock()
	return c.s.env.Deliver(ctx, &p)
}

// finish tells the session that its connection has ended.
func (c *conn) finish(why error) {
	c.alone.Store(true)
	c.s.leave(c) // from here on nobody can believe that a packet has reached the client
	how := "end"
	var told *stream.Error
	var gone *lost
	switch {
	case errors.As(why, &gone), c.ending.Load(): // a stream that we have ended may be resumed
		how = "lost"
	case errors.As(why, &told):
		c.endWith(told)
	default:
		c.end("")
	}
	c.mu.Lock()
	p := packet.Packet{Kind: packet.Session, Host: c.domain, From: c.address, Near: c.token, Far: c.far, Name: "close", Type: how}
	c.mu.Unlock()
	if c.s.isAnonymous(c.domain) {
		c.vanish(p)
	} else {
		c.send(&p)
		c.source.Flush()
	}
	c.out.wait()
	if told != nil {
		c.linger()
	}
	c.source.Close()
	c.s.asleep(c)
	c.gone()
}
