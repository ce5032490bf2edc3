package session

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// SASL is the feature of RFC 6120 part 6 on the initiating side. Of the credentials,
// Secure and Bindings are filled in from the connection, and Username, if empty, from
// the stream's own address.
func SASL(credentials sasl.Credentials) Feature {
	return func(ctx context.Context, n *Negotiator) (Progress, error) {
		if n.authenticated {
			return Skip, nil
		}
		offered := n.Offered().Mechanisms
		if len(offered) == 0 {
			return Skip, errors.New("sasl: not offered")
		}
		client, err := sasl.NewClient(n.complete(credentials), offered)
		if err != nil {
			return Skip, err
		}
		if err := n.authenticate(client); err != nil {
			return Skip, fmt.Errorf("sasl: %w", err)
		}
		n.authenticated = true
		return Again, nil
	}
}

// complete fills in what the connection knows.
func (n *Negotiator) complete(c sasl.Credentials) sasl.Credentials {
	if c.Username == "" {
		c.Username = n.Local().Local()
	}
	state := n.TLS()
	if state == nil {
		return c
	}
	c.Secure = true
	var server *x509.Certificate
	if len(state.PeerCertificates) > 0 {
		server = state.PeerCertificates[0]
	}
	c.Bindings = sasl.TLSBindings(state, sasl.ServerEndPoint(server))
	if types, ok := n.bindingTypes(); ok {
		c.Announced = types
		c.Bindings = slices.DeleteFunc(c.Bindings, func(b sasl.Binding) bool {
			return !slices.Contains(types, b.Type)
		})
	}
	return c
}

// bindingTypes are those that the server says it can check (XEP-0440).
func (n *Negotiator) bindingTypes() (types []string, ok bool) {
	el, ok := n.Offered().Find("sasl-channel-binding", ns.ChannelBinding)
	if !ok {
		return nil, false
	}
	for child := range el.Elements() {
		types = append(types, child.Attr("type"))
	}
	return types, true
}

// authenticate runs one exchange.
func (n *Negotiator) authenticate(client *sasl.Client) error {
	response, done, err := client.Step(nil)
	if err != nil {
		return err
	}
	out := xml.AppendElement(nil, "auth", ns.SASL, encode(response), "mechanism", client.Mechanism())
	for {
		if err := n.Write(out); err != nil {
			return err
		}
		t, err := n.Next()
		if err != nil {
			return err
		}
		if t.NS != ns.SASL {
			return fmt.Errorf("unexpected element %s", t.Name)
		}
		switch t.Name {
		case "challenge":
			in, err := decode(text(t))
			if err == nil {
				response, done, err = client.Step(nonNil(in))
			}
			if err != nil {
				n.Write(xml.AppendEmpty(nil, "abort", ns.SASL))
				return err
			}
			out = xml.AppendElement(nil, "response", ns.SASL, base64.StdEncoding.EncodeToString(response))
		case "success":
			return believe(client, done, text(t))
		case "failure":
			return failure(t)
		default:
			return fmt.Errorf("unexpected element %s", t.Name)
		}
	}
}

// believe checks a success: what comes with it is the last challenge.
func believe(client *sasl.Client, done bool, data string) error {
	in, err := decode(data)
	if err != nil {
		return err
	}
	if done && len(in) == 0 {
		return nil
	}
	if _, done, err = client.Step(nonNil(in)); err != nil {
		return err
	}
	if !done {
		return sasl.ErrServer
	}
	return nil
}

func failure(t *xml.Token) error {
	f := &sasl.Failure{Condition: sasl.NotAuthorized}
	for el := range xml.Elements(t.Body, ns.SASL) {
		if el.Name() == "text" {
			f.Text = el.Text()
		} else {
			f.Condition = sasl.Condition(el.Name())
		}
	}
	return f
}

// encode writes a message that might also not be there, the initial response or what
// comes with success: base64, and "=" for an empty one (RFC 6120 sections 6.4.2 and
// 6.4.6). Between them an empty message is an empty element.
func encode(message []byte) string {
	if len(message) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(message)
}

// decode reads what the stream carries: nil is no message, which is not an empty one.
func decode(text string) ([]byte, error) {
	switch text {
	case "":
		return nil, nil
	case "=":
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, &sasl.Failure{Condition: sasl.IncorrectEncoding, Cause: err}
	}
	return b, nil
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// text is the character data of an element.
func text(t *xml.Token) string { return string(xml.AppendUnescaped(nil, t.Body)) }

// OfferSASL is the feature of RFC 6120 part 6 on the receiving side, with the types of
// channel binding (XEP-0440) where there are any. Usernames are localparts at the host,
// or, on a server's stream, domains; unless the authenticator has functions of its own
// for it, they are prepared as RFC 7622 says, and an authzid has to be the account's
// bare JID. A peer may authenticate once.
func OfferSASL(host jid.JID, a *sasl.Authenticator) Offer {
	return &offerSASL{host: host, auth: completed(host, a)}
}

// completed is an authenticator with the functions that accounts of a host need.
func completed(host jid.JID, a *sasl.Authenticator) sasl.Authenticator {
	auth := *a
	if auth.Prepare == nil {
		auth.Prepare = func(username string) (string, error) {
			j, err := jid.New(username, host.Domain(), "")
			return j.Local(), err
		}
	}
	if auth.Authorize == nil {
		auth.Authorize = func(_ context.Context, username, authzid string) error {
			asked, err := jid.Parse(authzid)
			account, err2 := jid.New(username, host.Domain(), "")
			if err != nil || err2 != nil || asked != account && authzid != username {
				return sasl.InvalidAuthzid
			}
			return nil
		}
	}
	return auth
}

type offerSASL struct {
	host jid.JID
	auth sasl.Authenticator
}

func (o *offerSASL) Append(dst []byte, r *Receiver) []byte {
	if !r.account.IsZero() {
		return dst
	}
	offer := o.auth.Offer(r.channel)
	dst = r.announce(dst, offer)
	return stream.AppendMechanisms(dst, offer...)
}

// announce tells of the types of channel binding (XEP-0440) if a mechanism that is
// offered needs one, once for all ways to authenticate.
func (r *Receiver) announce(dst []byte, offer []string) []byte {
	if r.channel.Announced != nil || len(r.channel.Bindings) == 0 || !slices.ContainsFunc(offer, isBound) {
		return dst
	}
	dst = xml.AppendStart(dst, "sasl-channel-binding", ns.ChannelBinding)
	for _, b := range r.channel.Bindings {
		r.channel.Announced = append(r.channel.Announced, b.Type)
		dst = xml.AppendEmpty(dst, "channel-binding", "", "type", b.Type)
	}
	return xml.AppendEnd(dst, "sasl-channel-binding")
}

func isBound(mechanism string) bool { return strings.HasSuffix(mechanism, "-PLUS") }

func (o *offerSASL) Pending(r *Receiver) bool { return r.account.IsZero() }

func (o *offerSASL) Feed(ctx context.Context, r *Receiver, t *xml.Token) (Reply, bool) {
	if t.NS != ns.SASL || !r.account.IsZero() {
		return Reply{}, false
	}
	out, err := o.feed(ctx, r, t)
	if err == nil && r.account.IsZero() {
		return Reply{Out: out}, true
	}
	exchange := r.exchange
	r.exchange = nil
	if err != nil {
		var f *sasl.Failure
		if !errors.As(err, &f) {
			f = &sasl.Failure{Condition: sasl.TemporaryAuthFailure, Cause: err}
		}
		return r.Failed(appendFailure(nil, f), refused(exchange, t.Attr("mechanism"), err)), true
	}
	return Reply{Out: out, Step: Restart}, true
}

// feed takes one element of an exchange and makes the next one.
func (o *offerSASL) feed(ctx context.Context, r *Receiver, t *xml.Token) ([]byte, error) {
	in, err := decode(text(t))
	if err != nil {
		return nil, err
	}
	switch {
	case t.Name == "abort":
		return nil, &sasl.Failure{Condition: sasl.Aborted}
	case t.Name == "auth" && r.exchange == nil:
		if r.exchange, err = o.auth.Start(string(t.Attr("mechanism")), r.channel); err != nil {
			return nil, err
		}
	case t.Name == "response" && r.exchange != nil:
		in = nonNil(in)
	default:
		return nil, &sasl.Failure{Condition: sasl.MalformedRequest, Text: "out of place"}
	}
	out, done, err := r.exchange.Step(ctx, in)
	if err != nil {
		return nil, err
	}
	if !done {
		return xml.AppendElement(nil, "challenge", ns.SASL, base64.StdEncoding.EncodeToString(out)), nil
	}
	if r.account, err = r.authenticated(o.host, r.exchange); err != nil {
		return nil, err
	}
	if out == nil {
		return xml.AppendEmpty(nil, "success", ns.SASL), nil
	}
	return xml.AppendElement(nil, "success", ns.SASL, encode(out)), nil
}

// authenticated is the address of whom an exchange has authenticated.
func (r *Receiver) authenticated(host jid.JID, exchange *sasl.Server) (jid.JID, error) {
	if r.acceptor.NS == ns.Server {
		return jid.New("", exchange.Username(), "")
	}
	return jid.New(exchange.Username(), host.Domain(), "")
}

func appendFailure(dst []byte, f *sasl.Failure) []byte {
	dst = xml.AppendStart(dst, "failure", ns.SASL)
	dst = xml.AppendEmpty(dst, string(f.Condition), "")
	if f.Text != "" {
		dst = xml.AppendElement(dst, "text", "", f.Text, "xml:lang", "en")
	}
	return xml.AppendEnd(dst, "failure")
}
