// Package accept takes connections of external components (XEP-0114): programs
// that are domains of their own, in whatever language. Packets for the hosts of
// its section are written to their components, and what these say enters the tree.
// Or it takes the connection of another jabberd, on the native link.
package accept

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/peer"
	"github.com/jabberii/server/plugins/xmpp/component"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Module is accept as a configuration names it.
var Module = define()

func define() module.Module {
	m := module.Define("accept", "Connections of external components (XEP-0114). Each host of the section is a component, which is sent "+
		"the packets for it, and what it says enters the tree. With the block native, the connection of another jabberd instead, over TLS.", module.On(packet.Normal, packet.Session), New)
	m.Claims = module.ClaimsAll
	m.XEPs = []module.XEP{
		{Number: 114, Name: "Jabber Component Protocol", Version: "1.6"},
		{Number: 199, Name: "XMPP Ping", Version: "2.0.1"},
	}
	return m
}

// Args are the arguments of accept.
type Args struct {
	Listen []string        `json:"listen" default:"127.0.0.1:5347" doc:"Addresses to listen on. Components are not encrypted: the network has to be trusted."`
	Secret string          `json:"secret" required:"true" secret:"true" doc:"What components, or the other server, prove to know."`
	From   bool            `json:"check_from" default:"true" doc:"End the stream of a component that sends from another domain than its own, and refuse what another server sends from hosts that it may not speak for. Without, either may speak for everybody."`
	Native *native         `json:"native" doc:"Take another jabberd instead of components, on the native link: nothing is lost, repeated or reordered when the connection breaks."`
	Hold   peer.Hold       `json:"hold" doc:"What waits while a component, or the other server, is away."`
	Ping   peer.Ping       `json:"ping" doc:"How a dead connection is found out."`
	Login  module.Duration `json:"login_timeout" default:"30s" doc:"How long a handshake may take."`
	Stanza module.Size     `json:"max_stanza" default:"1MiB" doc:"The largest stanza taken from a component; a larger one ends its stream. Another server's is refused."`
	Buffer module.Size     `json:"max_buffer" default:"4MiB" doc:"What may wait for one component, connected or not; further packets bounce, with resource-constraint."`
	Window int             `json:"window" default:"256" doc:"Packets of one component under way at once; with more it has to wait."`
	Max    int             `json:"max_connections" default:"1000" doc:"Connections at once, before and behind the handshake; further ones are closed at once."`
}

// Components is the handler: the components of one section.
type Components struct {
	env   module.Env
	args  Args
	door  door
	names *jid.Cache

	mu    sync.RWMutex
	peers map[string]*peer.Peer // by host
}

// New makes the handler. It has no effects.
func New(env module.Env, a Args) (packet.Handler, error) {
	switch {
	case a.Secret == "":
		return nil, module.BadArg("secret", "is empty")
	case len(a.Listen) == 0:
		return nil, module.BadArg("listen", "is empty")
	case a.Window < 1:
		return nil, module.BadArg("window", "is less than 1")
	}
	if err := module.CheckListen("listen", a.Listen); err != nil {
		return nil, err
	}
	if a.Native != nil {
		return newServer(env, a)
	}
	return &Components{env: env, args: a, door: door{env: env, most: a.Max}, names: jid.NewCache(4096), peers: map[string]*peer.Peer{}}, nil
}

// Start binds the listeners, and begins to wait for the components.
func (c *Components) Start(ctx context.Context) error {
	if err := c.door.listen(ctx, c.args.Listen, "components"); err != nil {
		return err
	}
	for _, host := range c.env.Hosts() {
		c.peer(host)
	}
	return nil
}

// Run takes connections until ctx is done, and then ends those there are.
func (c *Components) Run(ctx context.Context) error {
	c.door.run(ctx, c.serve)
	return nil
}

// serve is the life of a connection.
func (c *Components) serve(ctx context.Context, nc net.Conn) {
	conn := peer.NewConn(nc)
	log := c.env.Log().With("address", nc.RemoteAddr().String())
	reader := xml.NewReader(conn, xml.Limits{Bytes: int(c.args.Stanza)})
	name, p, err := c.negotiate(ctx, conn, reader)
	log = log.With("host", name)
	if err != nil {
		conn.Close()
		if ctx.Err() == nil && !errors.Is(err, io.EOF) {
			log.Warn("refused a component: " + err.Error())
		}
		return
	}
	log.Info("a component is connected")
	err = p.Serve(ctx, conn, reader)
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		log.Info("a component has left")
		return
	}
	log.Warn("the stream of a component has ended: " + err.Error())
}

// negotiate returns the name that a component gives, and its peer, taken, once it
// has proved to know the secret.
func (c *Components) negotiate(ctx context.Context, conn net.Conn, reader *xml.Reader) (string, *peer.Peer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.args.Login.Std())
	defer cancel()
	var known, taken *peer.Peer
	r := component.NewReceiver(&component.Acceptor{
		Secret: func(_ context.Context, name jid.JID) (string, error) {
			if known = c.peer(name.Domain()); known == nil {
				return "", &stream.Error{Condition: stream.HostUnknown}
			}
			return c.args.Secret, nil
		},
		Attach: func(context.Context, jid.JID) error {
			if !known.Take() {
				return &stream.Error{Condition: stream.Conflict, Text: "the component is connected already"}
			}
			taken = known
			return nil
		},
	})
	err := r.Negotiate(ctx, conn, reader)
	if err != nil && taken != nil {
		taken.Release()
	}
	return r.Name().String(), taken, err
}

// peer returns the peer of a host, nil if that is none of the section's. A name
// with a star is no component's.
func (c *Components) peer(host string) *peer.Peer {
	c.mu.RLock()
	p := c.peers[host]
	c.mu.RUnlock()
	if p != nil || host == "" || host[0] == '*' || !slices.Contains(c.env.Hosts(), host) {
		return p
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.peers[host]; p != nil {
		return p
	}
	p = peer.New(peer.Config{
		Env: c.env, Host: host, Names: c.names, Admit: c.admit(host),
		Buffer: int(c.args.Buffer), Hold: c.args.Hold, Ping: c.args.Ping, Window: c.args.Window,
	})
	c.peers[host] = p
	return p
}

// admit judges the addresses of what the component of a host sends.
func (c *Components) admit(host string) func(*packet.Packet) error {
	return func(p *packet.Packet) error {
		switch {
		case p.From == "" || c.args.From && packet.Domain(p.From) != host:
			return &stream.Error{Condition: stream.InvalidFrom}
		case p.To == "":
			return packet.Refuse("bad-request", "a component has to say to whom")
		}
		return nil
	}
}

// Handle gives packets to the components that they are for.
func (c *Components) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if p.Kind != packet.Normal {
		return packet.Pass, nil
	}
	to := c.peer(p.Branch())
	if to == nil {
		return packet.Pass, packet.Refuse("service-unavailable", "no component has this name")
	}
	return packet.Claim, to.Put(ctx, p)
}

// Explain says what Handle would do.
func (c *Components) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	if p.Kind != packet.Normal {
		return packet.Pass, "components take stanzas only"
	}
	to := c.peer(p.Branch())
	if to == nil {
		return packet.Refuses, "service-unavailable: no component has this name"
	}
	return to.Explain(p)
}

// Close ends the peers. What still waits for a component is lost.
func (c *Components) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for host, p := range c.peers {
		if n := p.Close(); n > 0 {
			c.env.Log().Warn("packets that waited for a component are lost", "host", host, "packets", n)
		}
	}
	return nil
}
