// Package c2s is the service that holds the connections of clients: streams,
// TLS and SASL (RFC 6120). What a client says once it is authenticated goes to
// its session as packets of kind session, and what the session says goes to
// the client; c2s knows nothing of rosters, presence or stream management, but
// that a packet may want the client to be asked what it has.
package c2s

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/certs"
	"github.com/jabberii/server/plugins/sdk/idle"
	"github.com/jabberii/server/plugins/sdk/origin"
	"github.com/jabberii/server/plugins/sdk/proxied"
	"github.com/jabberii/server/plugins/sdk/turn"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Module is the service as a configuration names it: load "c2s". What is served
// by HTTP needs [With].
var Module = define(nil)

func define(routes *web.Routes) module.Module {
	m := module.Define("c2s", "Connections of clients: XMPP streams over TCP with STARTTLS or direct TLS, over WebSocket and BOSH, and SASL. "+
		"Each client's stanzas go to its session as packets of kind session.", module.On(packet.Session),
		func(env module.Env, a Args) (packet.Handler, error) { return newService(env, a, routes) })
	m.XEPs = standards
	return m
}

// Args are the arguments of c2s.
type Args struct {
	Listen     []string        `json:"listen" default:":5222" doc:"Addresses to listen on for streams that begin in the clear and go on with STARTTLS."`
	STARTTLS   string          `json:"starttls" default:"required" enum:"required,optional" doc:"Whether a client has to use TLS before it may log in. With optional, passwords may cross in the clear: for tests and trusted networks."`
	Mechanisms []string        `json:"mechanisms" default:"SCRAM-SHA-256,SCRAM-SHA-1,PLAIN" doc:"SASL mechanisms for passwords, the preferred first, without -PLUS: SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1, PLAIN. Accounts need keys for each SCRAM that is here; those made by jabberd have them for all three. EXTERNAL, OAUTHBEARER and ANONYMOUS come with client_ca, oauth and anonymous."`
	Binding    bool            `json:"channel_binding" default:"false" doc:"Whether SCRAM bound to the TLS channel (-PLUS) is offered to all clients, not only to those that log in by SASL2. Clients that know tls-unique only, such as slixmpp 1.8, then fail to log in with TLS 1.3."`
	Tokens     tokenArgs       `json:"tokens" doc:"Tokens with which clients log in again, without the password and in one round trip (FAST, XEP-0484)."`
	Guesses    guessArgs       `json:"guesses" doc:"Limits for logins that fail."`
	OAuth      *oauthArgs      `json:"oauth" doc:"Logins with a token of somebody else's (OAUTHBEARER, RFC 7628), a JWT (RFC 7519)."`
	Anonymous  []string        `json:"anonymous" doc:"Hosts where everybody is let in without a password, with an account that is made up and gone with the connection (ANONYMOUS, RFC 4505). Nobody logs in there in another way."`
	Register   []string        `json:"registration" hosts:"register" doc:"Hosts where clients may ask for an account before they log in (XEP-0077). What they ask goes to the host's section, whose module register decides; without such a module nobody gets an account."`
	TLS        tlsArgs         `json:"tls" doc:"Certificates, and where streams begin with TLS (XEP-0368)."`
	Proxies    []string        `json:"proxies" doc:"Addresses and networks of proxies before the server. What comes from them has to begin with the address of the client in the PROXY protocol, version 1 or 2; from others that is an error."`
	Timeout    module.Duration `json:"login_timeout" default:"1m" doc:"How long a client may take until it is authenticated."`
	Strangers  strangerArgs    `json:"unauthenticated" doc:"Limits for connections whose clients are not logged in. Further ones are told resource-constraint."`
	Quiet      quietArgs       `json:"quiet" doc:"What becomes of clients that say nothing."`
	Keepalive  keepaliveArgs   `json:"keepalive" doc:"How clients are noticed that are gone without a word: by TCP, also below WebSockets."`
	Stanza     module.Size     `json:"max_stanza" default:"256KiB" doc:"The largest stanza taken from a client; a larger one ends its stream."`
	Buffer     module.Size     `json:"max_buffer" default:"1MiB" doc:"What may wait to be written to one client; a client that reads too slowly for it loses its connection."`
	WebSocket  *websocketArgs  `json:"websocket" needs:"http" doc:"Streams over WebSocket (RFC 7395), which the module http of the same process serves."`
	BOSH       *boshArgs       `json:"bosh" needs:"http" doc:"Streams over HTTP requests (XEP-0124, XEP-0206), which the module http of the same process serves."`
	Max        int             `json:"max_connections" default:"100000" doc:"Connections at once; further ones are told resource-constraint."`
}

type tlsArgs struct {
	Listen    []string `json:"listen" doc:"Addresses to listen on for direct TLS."`
	Authority string   `json:"client_ca" file:"authorities" doc:"File with the certificates, PEM, below data_dir if relative, of who signs those of clients. With it clients are asked for a certificate, and may log in by one that names their account (SASL EXTERNAL, XEP-0178). The file is read again when it changes."`
	certs.Args
}

// Service is the handler: the connections of one section.
type Service struct {
	env       module.Env
	args      Args
	acceptors [3]*session.Acceptor // by framing
	guesses   guesses
	refusals  refusals
	issuer    *issuer // of the tokens of OAUTHBEARER; nil without
	certs     *certs.Store
	servers   tlsServers
	proxies   proxied.Proxies
	authority *certs.Authorities // of clients; nil if they are not asked for certificates
	secret    []byte             // for decoys, where storage has none
	warned    atomic.Bool        // of that

	routes *web.Routes
	hung   []func()      // what takes our routes down
	up     chan struct{} // closed when it runs

	ctx     context.Context // of what connections deliver
	done    context.CancelFunc
	opening context.Context // of logins
	refuse  context.CancelCauseFunc
	wg      sync.WaitGroup // connections

	line   *turn.Line    // of clients that send much
	lot    *idle.Lot     // nil where there is none
	ticks  atomic.Uint32 // see park.go
	parked atomic.Int64  // in this tick

	listeners []listener
	hosts     hostTable
	addresses *jid.Cache
	open      *origin.Limit // all connections
	strangers *origin.Limit

	together together // what is written with others

	mu     sync.Mutex
	ending bool // no further client by HTTP
	awake  map[*conn]struct{}
	slots  []*conn // by token slot
	free   []uint32
	next   uint32 // incarnation
}

type listener struct {
	net.Listener
	direct bool // TLS from the first byte
}

func newService(env module.Env, a Args, routes *web.Routes) (*Service, error) {
	if err := errors.Join(module.CheckListen("listen", a.Listen), module.CheckListen("tls.listen", a.TLS.Listen),
		checkMechanisms(a.Mechanisms), a.Guesses.check(), a.Keepalive.check(), a.Strangers.check(), a.OAuth.check(), a.checkRegister()); err != nil {
		return nil, err
	}
	proxies, err := proxied.Parse("proxies", a.Proxies)
	if err != nil {
		return nil, err
	}
	store, err := certs.New(env, packet.Session, a.TLS.Args)
	if err != nil {
		return nil, module.BadArg("tls", "%v", err)
	}
	s := &Service{env: env, args: a, certs: store, proxies: proxies, secret: make([]byte, 32), routes: routes, up: make(chan struct{})}
	if err := s.checkWeb(); err != nil {
		return nil, err
	}
	s.guesses.args = a.Guesses
	s.limit()
	s.issuer = newIssuer(s, a.OAuth)
	rand.Read(s.secret)
	// A process before this one may have given tokens, which sessions still know.
	var start [4]byte
	rand.Read(start[:])
	s.next = binary.LittleEndian.Uint32(start[:])
	s.addresses = jid.NewCache(4096)
	s.acceptors = [...]*session.Acceptor{s.newAcceptor(session.Document), s.newAcceptor(session.Messages), s.newAcceptor(session.Bodies)}
	s.ctx, s.done = context.WithCancel(context.Background())
	s.opening, s.refuse = context.WithCancelCause(s.ctx)
	s.awake = map[*conn]struct{}{}
	return s, nil
}

// Start binds the listeners.
func (s *Service) Start(ctx context.Context) error {
	if err := errors.Join(s.certs.Start(ctx), s.startAuthority(ctx)); err != nil {
		return err
	}
	for _, a := range s.args.Listen {
		if err := s.listen(ctx, a, false); err != nil {
			return err
		}
	}
	for _, a := range s.args.TLS.Listen {
		if err := s.listen(ctx, a, true); err != nil {
			return err
		}
	}
	return s.hang()
}

func (s *Service) listen(ctx context.Context, address string, direct bool) error {
	l, err := s.env.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	s.listeners = append(s.listeners, listener{l, direct})
	s.env.Log().Info("listening for clients", "address", l.Addr().String(), "direct_tls", direct)
	return nil
}

// Run takes connections until ctx is done, and then ends those there are.
func (s *Service) Run(ctx context.Context) error {
	lot, err := idle.NewLot()
	switch {
	case err == nil:
		defer lot.Close()
		s.lot = lot
	case !errors.Is(err, errors.ErrUnsupported):
		return err
	}
	if s.line, err = turn.NewLine(); err != nil {
		return err
	}
	defer s.line.Close()
	for _, l := range s.listeners {
		s.wg.Add(1)
		go s.accept(l)
	}
	close(s.up)
	if s.hung != nil && !s.routes.Served() {
		s.env.Log().Warn("nobody serves WebSocket and BOSH: there is no http in this process")
	}
	if a := s.args.WebSocket; a != nil && a.Ping > 0 {
		s.wg.Go(func() { s.pingAll(ctx) })
	}
	s.look(ctx)
	s.takeDown()
	for _, l := range s.listeners {
		l.Close()
	}
	s.shutdown()
	return nil
}

// accept takes connections until the listener is closed.
func (s *Service) accept(l listener) {
	defer s.wg.Done()
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // too many open files: wait for some to be closed
			s.env.Log().Warn("accept: " + err.Error())
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
			continue
		case !s.open.Enter(""):
			s.turnAway(c, l.direct)
			continue
		}
		s.wg.Add(1)
		go s.take(c, l.direct)
	}
}

// take serves a connection, with the address of its client.
func (s *Service) take(nc net.Conn, direct bool) {
	s.watch(nc)
	client, err := s.proxies.Accept(nc)
	switch {
	case err != nil:
		s.env.Log().Warn(err.Error())
		nc.Close()
		s.release()
	case !s.meet(client.RemoteAddr()):
		s.turnAway(client, direct)
		s.release()
	default:
		s.serve(client, direct)
	}
}

// Handle takes packets down to a client.
func (s *Service) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if p.Kind != packet.Session || p.Flags&packet.Down == 0 {
		return packet.Pass, nil
	}
	c := s.find(p.Far)
	if c == nil {
		return packet.Pass, packet.Refuse("item-not-found", "the connection is gone")
	}
	return packet.Claim, c.down(ctx, p)
}

// Explain says what Handle would do.
func (s *Service) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	switch c := s.find(p.Far); {
	case p.Flags&packet.Down == 0:
		return packet.Pass, "it is on its way to a session, not to a connection"
	case c == nil:
		return packet.Refuses, "no connection has this token: the session is told that it is gone"
	default:
		return packet.Claim, "it is written to the client at " + c.remote()
	}
}

// find returns the connection with a token, nil if it is gone.
func (s *Service) find(t packet.Token) *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if int(t.Slot) >= len(s.slots) {
		return nil
	}
	if c := s.slots[t.Slot]; c != nil && c.token.Incarnation == t.Incarnation {
		return c
	}
	return nil
}

// enter gives a connection its token.
func (s *Service) enter(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	slot := uint32(len(s.slots))
	if n := len(s.free); n > 0 {
		slot = s.free[n-1]
		s.free = s.free[:n-1]
	} else {
		s.slots = append(s.slots, nil)
	}
	id := s.env.Section()
	c.token = packet.Token{Host: id, Section: id, Slot: slot, Incarnation: s.next}
	s.slots[slot] = c
}

func (s *Service) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots[c.token.Slot] = nil
	s.free = append(s.free, c.token.Slot)
}

// shutdown ends all connections: their clients are told, and those who do not
// listen are cut off.
func (s *Service) shutdown() {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.refuse(&stream.Error{Condition: stream.SystemShutdown})
	gone := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(gone)
	}()
	for _, c := range s.all() {
		c.end("system-shutdown")
	}
	select {
	case <-gone:
		s.done()
		return
	case <-time.After(farewell):
	}
	s.done()
	for _, c := range s.all() {
		c.close(c.t.Cut)
	}
	<-gone
}

// all returns the connections that are logged in, or were and are about to end.
func (s *Service) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Keys(s.awake))
	for _, c := range s.slots {
		if c != nil {
			if _, twice := s.awake[c]; !twice {
				all = append(all, c)
			}
		}
	}
	return all
}

func (s *Service) limits() xml.Limits { return xml.Limits{Bytes: int(s.args.Stanza)} }
