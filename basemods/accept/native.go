package accept

import (
	"context"
	"crypto/tls"
	"errors"
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
	Certificate string      `json:"certificate" required:"true" file:"certificate" doc:"File with the certificate that this server shows, and those between it and its authority, PEM."`
	Key         string      `json:"key" required:"true" file:"key" doc:"File with its private key, PEM."`
	CA          string      `json:"ca" file:"authorities" doc:"File with authorities, PEM. The other server has to show a certificate that one of them has signed."`
	Pin         []string    `json:"pin" doc:"SHA-256 of public keys, hexadecimal. The other server has to show a certificate with one of them."`
	From        []string    `json:"from" doc:"Hosts that the other server may speak for, also *.suffix. Without, those that no other section here serves."`
	Window      int         `json:"window" default:"4096" doc:"Packets of the other server that are under way here at once; further ones wait there."`
	Buffer      module.Size `json:"max_buffer" default:"64MiB" doc:"What may wait for the verdict of the other server, connected or not; further packets bounce, with resource-constraint."`
}

// minSecret is the shortest secret of a link: it guards all that the other server
// may say.
const minSecret = 16

// A Server is the handler: the link to the server that connects.
type Server struct {
	*link.Link // from Start on
	env        module.Env
	args       Args
	door       door
	tls        *tls.Config
}

func newServer(env module.Env, a Args) (packet.Handler, error) {
	n := a.Native
	if len(a.Secret) < minSecret {
		return nil, module.BadArg("secret", "is shorter than %d characters, too short for a link between servers", minSecret)
	}
	if n.Window < 1 {
		return nil, module.BadArg("native.window", "is less than 1")
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
	return &Server{env: env, args: a, door: door{env: env, most: a.Max}}, nil
}

// Start reads the certificate, binds the listeners and begins to wait for the
// other server.
func (s *Server) Start(ctx context.Context) error {
	a, n := s.args, s.args.Native
	t := link.TLS{Certificate: path(s.env, n.Certificate), Key: path(s.env, n.Key), Authorities: path(s.env, n.CA), Pins: n.Pin}
	var err error
	if s.tls, err = t.Server(); err != nil {
		return err
	}
	admit := func(string) bool { return true }
	if a.From {
		admit = link.SpeaksFor(s.env, n.From)
	}
	s.Link = link.New(link.Config{
		Env: s.env, Peer: "the server of " + s.env.Section(), Names: jid.NewCache(4096), Secret: a.Secret, Admit: admit,
		Packet: int(a.Stanza), Window: n.Window, Buffer: int(n.Buffer), Hold: a.Hold, Ping: a.Ping,
	})
	return s.door.listen(ctx, a.Listen, "another server", "pin", link.Pin(s.tls.Certificates[0].Leaf))
}

// path makes a relative path one below the data folder; "" stays.
func path(env module.Env, file string) string {
	if file == "" {
		return ""
	}
	return env.Path(file)
}

// Run takes connections until ctx is done, and then ends the one there is.
func (s *Server) Run(ctx context.Context) error {
	tend, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	go s.Tend(tend)
	s.door.run(ctx, s.serve)
	return nil
}

// serve is the life of a connection.
func (s *Server) serve(ctx context.Context, nc net.Conn) {
	log := s.env.Log().With("address", nc.RemoteAddr().String())
	login, done := context.WithTimeout(ctx, s.args.Login.Std())
	stream, err := s.Accept(login, nc, s.tls)
	done()
	if err != nil {
		if ctx.Err() == nil {
			log.Warn("refused a server: " + err.Error())
		}
		return
	}
	log.Info("another server is connected")
	if err := stream.Run(ctx); errors.Is(err, io.EOF) || ctx.Err() != nil {
		log.Info("the other server has left")
	} else {
		log.Warn("the link to the other server has ended: " + err.Error())
	}
}

// Close gives up what has no verdict.
func (s *Server) Close() error {
	s.Link.Close()
	return nil
}
