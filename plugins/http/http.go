// Package http is the module that listens for HTTP. What it serves are the
// routes that other modules of its process have hung up (package sdk/web), such
// as WebSocket and BOSH of c2s, what its own blocks forward to other processes,
// and host-meta, by which clients find the former.
package http

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/certs"
	"github.com/jabberii/server/plugins/sdk/origin"
	"github.com/jabberii/server/plugins/sdk/web"
)

// Args are the arguments of http.
type Args struct {
	Listen   []string          `json:"listen" doc:"Addresses to listen on without TLS: for proxies on this machine, such as 127.0.0.1:5280."`
	TLS      tlsArgs           `json:"tls" doc:"Certificates, and where connections are in TLS (HTTP/1.1 and HTTP/2)."`
	External string            `json:"external" doc:"The URL, https, by which clients reach this server, as they are told; {host} in it stands for the host they ask about: https://{host}. Without, it is what they have asked, or where TLS is listened for."`
	Proxies  []string          `json:"trusted_proxies" default:"127.0.0.0/8,::1" doc:"Addresses and networks of proxies that are believed when they say who has asked them."`
	Told     string            `json:"proxy_header" default:"X-Forwarded-For" enum:"X-Forwarded-For,Forwarded" doc:"The header in which they say it: X-Forwarded-For with X-Forwarded-Proto, or Forwarded (RFC 7239). Only the one that the proxies set themselves; what a client says in the other counts for nothing."`
	Origins  []string          `json:"cors_origins" default:"*" doc:"Origins of web pages that may use what is served, as https://chat.example.org; * is any."`
	Links    map[string]string `json:"links" doc:"Further links in host-meta: what is served elsewhere, by its relation."`
	Forward  []forwardArgs     `json:"forward" doc:"Passes requests to another process, WebSockets too."`
	Header   module.Duration   `json:"header_timeout" default:"10s" doc:"How long a client may take for the header of a request."`
	Idle     module.Duration   `json:"idle_timeout" default:"2m" doc:"How long a connection without a request is kept."`
	Max      int               `json:"max_connections" default:"20000" doc:"Connections at once, without those that have become WebSockets; further ones are closed at once."`
	Address  int               `json:"per_address" default:"500" doc:"And of these from one address, of IPv6 one /64. Those from trusted_proxies do not count. 0 is any number."`
}

type tlsArgs struct {
	Listen []string `json:"listen" doc:"Addresses to listen on."`
	certs.Args
}

type forwardArgs struct {
	Path string `json:"label" label:"path; with a slash at its end also all that is below it"`
	To   string `json:"to" required:"true" doc:"Where the process listens: http://127.0.0.1:8080, or unix:/run/upload.sock."`
}

// standards are the extensions that the module brings.
var standards = []module.XEP{
	{Number: 156, Name: "Discovering Alternative XMPP Connection Methods", Version: "1.4.0"},
}

// With returns the module, for what others of the process have hung up on routes.
func With(routes *web.Routes) module.Module {
	m := module.Define("http", "HTTP: what modules of the same process serve, such as WebSocket and BOSH of c2s, what is forwarded to "+
		"others, and host-meta, by which clients find it.", module.On(packet.Normal, packet.Session),
		func(env module.Env, a Args) (packet.Handler, error) { return newService(env, a, routes) })
	m.Passive, m.Claims, m.XEPs = true, module.ClaimsNone, standards
	return m
}

// A Service listens. It takes no packets.
type Service struct {
	env     module.Env
	args    Args
	routes  *web.Routes // of the process
	own     web.Routes  // its own, which come first
	trusted []netip.Prefix
	certs   *certs.Store
	server  *http.Server
	open    origin.Limit

	clear, secure []net.Listener
	over          func()
}

func newService(env module.Env, a Args, routes *web.Routes) (*Service, error) {
	err := errors.Join(module.CheckListen("listen", a.Listen), module.CheckListen("tls.listen", a.TLS.Listen))
	if err == nil && len(a.Listen)+len(a.TLS.Listen) == 0 {
		err = module.BadArg("listen", "is needed, or that of tls")
	}
	if err != nil {
		return nil, err
	}
	if a.Max < 1 || a.Address < 0 {
		return nil, module.BadArg("max_connections", "is %d, with %d per_address; there is at least one, and no negative number", a.Max, a.Address)
	}
	s := &Service{env: env, args: a, routes: routes}
	s.open.What, s.open.All, s.open.Each, s.open.Log = "HTTP connections", a.Max, a.Address, env.Log()
	if err := errors.Join(s.checkExternal(), s.trust(), s.forwards()); err != nil {
		return nil, err
	}
	if s.certs, err = certs.New(env, packet.Session, a.TLS.Args); err != nil {
		return nil, module.BadArg("tls", "%v", err)
	}
	s.hangMeta()
	s.server = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: a.Header.Std(), IdleTimeout: a.Idle.Std(), MaxHeaderBytes: 32 << 10,
		TLSConfig: s.certs.Config("", "h2", "http/1.1"),
		ErrorLog:  slog.NewLogLogger(env.Log().Handler(), slog.LevelDebug),
		ConnState: s.leave,
	}
	return s, nil
}

// Handle passes: packets are not its matter.
func (s *Service) Handle(context.Context, *packet.Packet) (packet.Verdict, error) {
	return packet.Pass, nil
}

// Start binds the listeners.
func (s *Service) Start(ctx context.Context) (err error) {
	if len(s.args.TLS.Listen) > 0 {
		if err := s.certs.Start(ctx); err != nil {
			return err
		}
	}
	if s.clear, err = s.listen(ctx, s.args.Listen, false); err != nil {
		return err
	}
	if s.secure, err = s.listen(ctx, s.args.TLS.Listen, true); err != nil {
		return err
	}
	s.over = s.routes.Serving()
	return nil
}

func (s *Service) listen(ctx context.Context, addresses []string, secure bool) ([]net.Listener, error) {
	var list []net.Listener
	for _, a := range addresses {
		l, err := s.env.Listen(ctx, "tcp", a)
		if err != nil {
			return list, err
		}
		list = append(list, door{l, s})
		s.env.Log().Info("listening for HTTP", "address", l.Addr().String(), "tls", secure)
	}
	return list, nil
}

// Run serves until ctx is done.
func (s *Service) Run(ctx context.Context) error {
	defer s.over()
	var serving sync.WaitGroup
	for _, l := range s.clear {
		serving.Go(func() { s.server.Serve(l) })
	}
	for _, l := range s.secure {
		serving.Go(func() { s.server.ServeTLS(l, "", "") })
	}
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if s.server.Shutdown(ending) != nil {
		s.server.Close()
	}
	serving.Wait()
	return nil
}

// farewell is how long requests have to end.
const farewell = 2 * time.Second

// A door lets in as many connections as there may be.
type door struct {
	net.Listener
	s *Service
}

func (d door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil || d.s.open.Enter(d.s.place(c)) {
			return c, err
		}
		c.Close()
	}
}

// place is what a connection counts for: none if it is a proxy's, which has many clients.
func (s *Service) place(c net.Conn) string {
	if at, ok := c.RemoteAddr().(*net.TCPAddr); ok && s.trusts(at.AddrPort().Addr().Unmap()) {
		return ""
	}
	return origin.Of(c.RemoteAddr())
}

// leave forgets connections that the door let in. One that becomes a WebSocket is
// somebody else's.
func (s *Service) leave(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateHijacked, http.StateClosed:
		s.open.Leave(s.place(c))
	}
}
