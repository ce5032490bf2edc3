package session

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// An Account is what a client logs in with.
type Account struct {
	// Address is the account. Its resource is asked for; without, the server chooses.
	Address  jid.JID
	Password string
	// TLS is the configuration for STARTTLS; nil is the same as the zero Config.
	TLS *tls.Config
	// Plaintext allows a server without STARTTLS, with SCRAM but not PLAIN.
	Plaintext bool
	// Mechanisms of SASL, the best first; nil is the default of package sasl.
	Mechanisms []string
	// Agent, if it is not zero, has the client log in by SASL2, where the server has it and the
	// connection has TLS, and bind by Bind 2: then the server chooses the resource, and
	// Address's begins it.
	Agent Agent
	// Token, if it is not zero, is what the client logs in with, within one round trip; if
	// it is refused, the password is tried. It needs the Agent that it was given to, and
	// comes from Session.Token.
	Token Token
	// Bearer is a token of OAUTHBEARER, which has to be among the Mechanisms then.
	Bearer string
	// Register has the account made first, with the password (XEP-0077), by an Invitation if
	// there is one (XEP-0445).
	Register   bool
	Invitation string
	// Window is how many stanzas may be unacknowledged (XEP-0198); 0 is the default,
	// and less is no stream management.
	Window int

	// Session has further settings; NS, Local, Remote and Features are filled in.
	Session Config
}

// Client logs in: STARTTLS unless the connection has TLS already, SASL, stream
// management and bind. Errors are those of Initiate.
func Client(ctx context.Context, conn net.Conn, a Account) (*Session, error) {
	config := a.Session
	config.NS, config.Local, config.Remote = ns.Client, a.Address, a.Address.Server()
	start := StartTLS(a.TLS)
	if a.Plaintext {
		start = StartTLSIfOffered(a.TLS)
	}
	credentials := sasl.Credentials{Password: a.Password, Token: a.Bearer, Mechanisms: a.Mechanisms}
	config.Features = []Feature{start}
	if a.Register {
		config.Features = append(config.Features, Register(a.Password, a.Invitation))
	}
	if a.Agent != (Agent{}) {
		window := a.Window
		if window == 0 {
			window = defaultWindow
		}
		config.quick = &quick{agent: a.Agent, credentials: credentials, tag: a.Address.Resource(), window: window, token: a.Token}
		config.Features = append(config.Features, config.quick.feature)
	}
	config.Features = append(config.Features, SASL(credentials))
	if a.Window >= 0 {
		config.Features = append(config.Features, StreamManagement(a.Window))
	}
	config.Features = append(config.Features, Bind(a.Address.Resource()))
	return Initiate(ctx, conn, config)
}

// Message sends a chat message with a body.
func (s *Session) Message(ctx context.Context, to jid.JID, body string) error {
	return s.Send(ctx, stanza.Stanza{
		Name: stanza.Message, Type: stanza.TypeChat, To: to, Body: xml.AppendElement(nil, "body", "", body),
	})
}

// Presence tells the server that we are there, or something else: a type of presence,
// "" for being there.
func (s *Session) Presence(ctx context.Context, kind string) error {
	return s.Send(ctx, stanza.Stanza{Name: stanza.Presence, Type: kind})
}

// A Contact is one item of a roster, RFC 6121 part 2.
type Contact struct {
	Address      jid.JID
	Name         string
	Subscription string // none, to, from, both
	Ask          string // subscribe, if that was asked for
	Groups       []string
}

// Roster asks for the own roster. Servers push changes to who has asked.
func (s *Session) Roster(ctx context.Context) ([]Contact, error) {
	reply, err := s.Request(ctx, stanza.Stanza{
		Name: stanza.IQ, Type: stanza.TypeGet, Body: xml.AppendEmpty(nil, "query", ns.Roster),
	})
	if err != nil {
		return nil, err
	}
	query, _ := reply.Find("query", ns.Roster)
	var contacts []Contact
	for item := range query.Elements() {
		address, err := jid.Parse(item.Attr("jid"))
		if err != nil {
			return nil, err
		}
		c := Contact{
			Address: address, Name: item.Attr("name"), Subscription: item.Attr("subscription"), Ask: item.Attr("ask"),
		}
		for group := range item.Elements() {
			c.Groups = append(c.Groups, group.Text())
		}
		contacts = append(contacts, c)
	}
	return contacts, nil
}
