package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/hosts"
	"github.com/jabberii/server/plugins/sdk/link"
	"github.com/jabberii/server/plugins/xmpp/jid"
)

// native is the block of arguments for the native link.
type native struct {
	CA          string      `json:"ca" file:"authorities" doc:"File with authorities, PEM. The other server has to show a certificate that one of them has signed. Without, and without pin, those of the system count."`
	Pin         []string    `json:"pin" doc:"SHA-256 of public keys, hexadecimal. The other server has to show a certificate with one of them. Without ca, nothing else is asked of the certificate."`
	ServerName  string      `json:"server_name" doc:"The name that the other server's certificate is for. Left out, it is the host of to."`
	Certificate string      `json:"certificate" file:"certificate" doc:"File with the certificate that this server shows, and those between it and its authority, PEM. For other servers that ask for one."`
	Key         string      `json:"key" file:"key" doc:"File with its private key, PEM."`
	From        []string    `json:"from" doc:"Hosts that the other server may speak for, also *.suffix. Without, those that no other section here serves."`
	Window      int         `json:"window" default:"4096" doc:"Packets of the other server that are under way here at once; further ones wait there."`
	Buffer      module.Size `json:"max_buffer" default:"64MiB" doc:"What may wait for the verdict of the other server, connected or not; further packets bounce, with resource-constraint."`
}

// minSecret is the shortest secret of a link: it guards all that the other server
// may say.
const minSecret = 16

// A Server is the handler: the link to the server that this one connects to.
type Server struct {
	*link.Link // from Start on
	env        module.Env
	args       Args
	tls        *tls.Config
}

func newServer(env module.Env, a Args) (packet.Handler, error) {
	n := a.Native
	switch {
	case len(a.Secret) < minSecret:
		return nil, module.BadArg("secret", "is shorter than %d characters, too short for a link between servers", minSecret)
	case n.Window < 1:
		return nil, module.BadArg("native.window", "is less than 1")
	case (n.Certificate == "") != (n.Key == ""):
		return nil, module.BadArg("native.certificate", "certificate and key belong together")
	case a.Host != "":
		return nil, module.BadArg("host", "is a component's name; a native link goes by the hosts of its section")
	}
	for _, p := range n.Pin {
		if _, err := link.ParsePin(p); err != nil {
			return nil, module.BadArg("native.pin", "%v", err)
		}
	}
	for i, h := range n.From {
		prepared, err := hosts.Prepare(h)
		if err != nil {
			return nil, module.BadArg("native.from", "%v", err)
		}
		n.From[i] = prepared
	}
	return &Server{env: env, args: a}, nil
}

// Start reads the certificates and begins to wait for the other server. Whether
// it is there is not asked.
func (s *Server) Start(context.Context) error {
	a, n := s.args, s.args.Native
	name, _, err := net.SplitHostPort(a.To)
	if err != nil {
		return err
	}
	if n.ServerName != "" {
		name = n.ServerName
	}
	t := link.TLS{Certificate: path(s.env, n.Certificate), Key: path(s.env, n.Key), Authorities: path(s.env, n.CA), Pins: n.Pin, Name: name}
	if s.tls, err = t.Client(); err != nil {
		return err
	}
	admit := func(string) bool { return true }
	if a.Check {
		admit = link.SpeaksFor(s.env, n.From)
	}
	s.Link = link.New(link.Config{
		Env: s.env, Peer: a.To, Names: jid.NewCache(4096), Secret: a.Secret, Admit: admit,
		Packet: int(a.Stanza), Window: n.Window, Buffer: int(n.Buffer), Hold: a.Hold, Ping: a.Ping,
	})
	return nil
}

// path makes a relative path one below the data folder; "" stays.
func path(env module.Env, file string) string {
	if file == "" {
		return ""
	}
	return env.Path(file)
}

// Run keeps the section connected until ctx is done.
func (s *Server) Run(ctx context.Context) error {
	tend, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go s.Tend(tend)
	s.args.Retry.keep(ctx, s.env.Log().With("address", s.args.To), s.connect)
	return nil
}

// connect is the life of one connection.
func (s *Server) connect(ctx context.Context) error {
	login, done := context.WithTimeout(ctx, s.args.Login.Std())
	stream, err := s.dial(login)
	done()
	if err != nil {
		return err
	}
	s.env.Log().Info("linked to another server", "address", s.args.To)
	if err = stream.Run(ctx); errors.Is(err, io.EOF) {
		err = errors.New("the other server has left")
	}
	return ended{err}
}

func (s *Server) dial(ctx context.Context) (*link.Stream, error) {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", s.args.To)
	if err != nil {
		return nil, err
	}
	stream, err := s.Connect(ctx, nc, s.tls)
	if err != nil {
		return nil, fmt.Errorf("link with %s: %w", s.args.To, err)
	}
	return stream, nil
}

// Close gives up what has no verdict.
func (s *Server) Close() error {
	s.Link.Close()
	return nil
}
