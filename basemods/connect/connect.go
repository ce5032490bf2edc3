// Package connect makes a section a component of another server (XEP-0114): it
// connects, and connects again whenever the connection is lost. Packets routed to
// the section are written to the server, and what that says enters the tree. Or it
// links the section to another jabberd, natively.
package connect

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/hosts"
	"github.com/jabberii/server/plugins/sdk/peer"
	"github.com/jabberii/server/plugins/xmpp/component"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Module is connect as a configuration names it.
var Module = define()

func define() module.Module {
	m := module.Define("connect", "A connection to another server, as its component (XEP-0114). Packets for the section are sent to that "+
		"server, and what it says enters the tree. With the block native, the connection to another jabberd, over TLS.", module.On(packet.Normal, packet.Session), New)
	m.Claims = module.ClaimsAll
	m.XEPs = []module.XEP{
		{Number: 114, Name: "Jabber Component Protocol", Version: "1.6"},
		{Number: 199, Name: "XMPP Ping", Version: "2.0.1"},
	}
	return m
}

// Args are the arguments of connect.
type Args struct {
	To     string          `json:"to" required:"true" doc:"Where the server takes components, or the native link, host:port. A component's connection is not encrypted: the network has to be trusted."`
	Host   string          `json:"host" doc:"The component's name, a domain; required without native."`
	Secret string          `json:"secret" required:"true" secret:"true" doc:"What the component proves to know, or both servers on a native link."`
	Check  bool            `json:"check_from" default:"true" doc:"Refuse packets to the server that are not from the component's domain, for which most servers end the stream, and what the server sends to another domain or in the name of one that is served here. On a native link, refuse what the server sends from hosts that it may not speak for."`
	Native *native         `json:"native" doc:"Link with another jabberd, on the native link: nothing is lost, repeated or reordered when the connection breaks."`
	Hold   peer.Hold       `json:"hold" doc:"What waits while the server is away."`
	Ping   peer.Ping       `json:"ping" doc:"How a dead connection is found out."`
	Retry  retry           `json:"retry" doc:"When to connect again. The time doubles with each attempt, and is spread at random between half of it and the whole."`
	Login  module.Duration `json:"login_timeout" default:"30s" doc:"How long it may take to connect, handshake included."`
	Stanza module.Size     `json:"max_stanza" default:"1MiB" doc:"The largest stanza taken from the server; a larger one ends the stream."`
	Buffer module.Size     `json:"max_buffer" default:"4MiB" doc:"What may wait for the server, connected or not; further packets bounce, with resource-constraint."`
	Window int             `json:"window" default:"256" doc:"Packets of the server under way at once; with more it has to wait."`
}

// Component is the handler: the stream of one section.
type Component struct {
	env    module.Env
	args   Args
	name   jid.JID
	server *peer.Peer
}

// New makes the handler. It has no effects.
func New(env module.Env, a Args) (packet.Handler, error) {
	_, _, badAddress := net.SplitHostPort(a.To)
	switch {
	case badAddress != nil:
		return nil, module.BadArg("to", "%q is not host:port", a.To)
	case a.Secret == "":
		return nil, module.BadArg("secret", "is empty")
	case a.Window < 1:
		return nil, module.BadArg("window", "is less than 1")
	case a.Retry.First <= 0 || a.Retry.Most < a.Retry.First:
		return nil, module.BadArg("retry", "first is more than nothing, and at most the longest time, %v", a.Retry.Most)
	case a.Native != nil:
		return newServer(env, a)
	case a.Host == "":
		return nil, module.BadArg("host", "is required: the component's name")
	}
	name, err := jid.Parse(a.Host)
	switch {
	case err != nil:
		return nil, module.BadArg("host", "%v", err)
	case !name.IsServer():
		return nil, module.BadArg("host", "%q is not a domain", a.Host)
	}
	return &Component{env: env, args: a, name: name}, nil
}

// Start begins to wait for the server. Whether it is there is not asked.
func (c *Component) Start(context.Context) error {
	c.server = peer.New(peer.Config{
		Env: c.env, Host: c.name.Domain(), Names: jid.NewCache(4096), Admit: c.admit,
		Buffer: int(c.args.Buffer), Hold: c.args.Hold, Ping: c.args.Ping, Window: c.args.Window,
	})
	return nil
}

// Run keeps the section connected until ctx is done.
func (c *Component) Run(ctx context.Context) error {
	c.args.Retry.keep(ctx, c.env.Log().With("host", c.name.Domain(), "address", c.args.To), c.connect)
	return nil
}

// connect is the life of one connection.
func (c *Component) connect(ctx context.Context) error {
	conn, reader, err := c.negotiate(ctx)
	if err != nil {
		return err
	}
	c.env.Log().Info("connected as a component", "host", c.name.Domain(), "address", c.args.To)
	if err = c.server.Serve(ctx, conn, reader); errors.Is(err, io.EOF) {
		return errors.New("the server has closed the stream")
	}
	return err
}

// negotiate opens a connection and takes the peer for it.
func (c *Component) negotiate(ctx context.Context) (*peer.Conn, *xml.Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, c.args.Login.Std())
	defer cancel()
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", c.args.To)
	if err != nil {
		return nil, nil, err
	}
	conn := peer.NewConn(nc)
	reader := xml.NewReader(conn, xml.Limits{Bytes: int(c.args.Stanza)})
	err = component.Negotiate(ctx, conn, reader, component.Config{Name: c.name, Secret: c.args.Secret})
	if err == nil && !c.server.Take() {
		err = errors.New("the section is closed")
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, reader, nil
}

// admit judges the addresses of what the server sends.
func (c *Component) admit(p *packet.Packet) error {
	switch {
	case p.From == "" || p.To == "":
		return packet.Refuse("bad-request", "a stanza to a component has both addresses")
	case !c.args.Check || p.From == c.name.Domain() && p.To == p.From: // a ping, sent back
		return nil
	case packet.Domain(p.To) != c.name.Domain():
		return packet.Refuse("not-allowed", "this is the component "+c.name.Domain())
	case c.servedElsewhere(packet.Domain(p.From)):
		return packet.Refuse("not-allowed", "the sender's domain is not yours")
	}
	return nil
}

// servedElsewhere reports whether a domain belongs to other sections than this one.
func (c *Component) servedElsewhere(domain string) bool {
	if !c.env.Serves(packet.Normal, domain) {
		return false
	}
	return !hosts.Below(c.env.Hosts(), domain)
}

// Handle gives packets to the server.
func (c *Component) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	switch {
	case p.Kind != packet.Normal:
		return packet.Pass, nil
	case !c.speaksFor(p):
		return packet.Pass, packet.Refuse("not-allowed", "the other server takes only what comes from "+c.name.Domain())
	}
	return packet.Claim, c.server.Put(ctx, p)
}

// speaksFor reports whether a packet may be sent in the name of the component.
func (c *Component) speaksFor(p *packet.Packet) bool {
	return !c.args.Check || packet.Domain(p.From) == c.name.Domain()
}

// Explain says what Handle would do.
func (c *Component) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	switch {
	case p.Kind != packet.Normal:
		return packet.Pass, "a component takes stanzas only"
	case !c.speaksFor(p):
		return packet.Refuses, "not-allowed: it is not from " + c.name.Domain()
	case c.server == nil: // not started
		return packet.Claim, "it is written to " + c.args.To + ", or waits for it"
	}
	return c.server.Explain(p)
}

// Close ends the peer. What still waits for the server is lost.
func (c *Component) Close() error {
	if n := c.server.Close(); n > 0 {
		c.env.Log().Warn("packets that waited for the server are lost", "host", c.name.Domain(), "packets", n)
	}
	return nil
}
