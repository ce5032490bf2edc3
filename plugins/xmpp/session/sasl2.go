package session

import (
	"context"
	"encoding/base64"
	"errors"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// SASL2 is what OfferSASL2 offers.
type SASL2 struct {
	Authenticator *sasl.Authenticator
	Tokens        Tokens      // FAST (XEP-0484); nil is without
	Upgrades      Upgrades    // XEP-0480; nil is without
	UpgradeTo     []sasl.Hash // the hashes that accounts should have keys for
	Bind          []string    // features that Bind 2 enables, by their names in service discovery
}

// OfferSASL2 is XEP-0388 on the receiving side: an authentication that needs no restart of
// the stream, and brings the client, if the Acceptor can Establish one, its session, by Bind 2
// (XEP-0386) or resumption (XEP-0198). It has its place in front of OfferSASL, and no effect
// where the channel is not secure. Usernames are as there.
func OfferSASL2(host jid.JID, s SASL2) Offer {
	return &offerSASL2{SASL2: s, host: host, auth: completed(host, s.Authenticator)}
}

type offerSASL2 struct {
	SASL2
	host jid.JID
	auth sasl.Authenticator
}

// login is an authentication by SASL2 that is under way.
type login struct {
	request  *loginRequest
	exchange *sasl.Server
	account  jid.JID // once the exchange is over
	data     []byte  // goes with the success, or with the first task; nil if there is none
	due      bool    // the client's token is to be replaced
	tasks    []sasl.Hash
	salt     []byte // of the task at hand, once it has begun
}

func (o *offerSASL2) Pending(*Receiver) bool { return false }

func (o *offerSASL2) Append(dst []byte, r *Receiver) []byte {
	if !r.account.IsZero() || !r.channel.Secure {
		return dst
	}
	offer := o.auth.Offer(r.channel)
	if len(offer) == 0 {
		return dst
	}
	dst = r.announce(dst, offer)
	dst = xml.AppendStart(dst, "authentication", ns.SASL2)
	for _, name := range offer {
		dst = xml.AppendElement(dst, "mechanism", "", name)
	}
	dst = o.appendInline(dst, r)
	if o.Upgrades != nil {
		dst = appendUpgrades(dst, o.UpgradeTo)
	}
	return xml.AppendEnd(dst, "authentication")
}

func (o *offerSASL2) appendInline(dst []byte, r *Receiver) []byte {
	tokens := o.tokenOffer(r)
	if len(tokens) == 0 && r.acceptor.Establish == nil {
		return dst
	}
	dst = xml.AppendStart(dst, "inline", "")
	dst = appendFast(dst, tokens)
	if r.acceptor.Establish != nil {
		dst = xml.AppendEmpty(dst, "sm", ns.StreamManagement)
		dst = xml.AppendStart(dst, "bind", ns.Bind2)
		dst = xml.AppendStart(dst, "inline", "")
		for _, name := range o.Bind {
			dst = xml.AppendEmpty(dst, "feature", "", "var", name)
		}
		dst = xml.AppendEnd(xml.AppendEnd(dst, "inline"), "bind")
	}
	return xml.AppendEnd(dst, "inline")
}

func (o *offerSASL2) Feed(ctx context.Context, r *Receiver, t *xml.Token) (Reply, bool) {
	if t.NS != ns.SASL2 || !r.account.IsZero() || !r.channel.Secure {
		return Reply{}, false
	}
	reply, err := o.feed(ctx, r, t)
	if err == nil {
		return reply, true
	}
	var exchange *sasl.Server
	if r.login != nil {
		exchange = r.login.exchange
	}
	r.login = nil
	if end := (*stream.Error)(nil); errors.As(err, &end) {
		return r.Fail(err), true
	}
	var f *sasl.Failure
	var c sasl.Condition
	switch {
	case errors.As(err, &f):
	case errors.As(err, &c):
		f = &sasl.Failure{Condition: c, Cause: err}
	default:
		f = &sasl.Failure{Condition: sasl.TemporaryAuthFailure, Cause: err}
	}
	return r.Failed(appendFailure2(nil, f), refused(exchange, t.Attr("mechanism"), f)), true
}

// feed takes one element of a login.
func (o *offerSASL2) feed(ctx context.Context, r *Receiver, t *xml.Token) (Reply, error) {
	switch {
	case t.Name == "abort":
		return Reply{}, &sasl.Failure{Condition: sasl.Aborted}
	case t.Name == "authenticate" && r.login == nil:
		return o.begin(ctx, r, t)
	case t.Name == "authenticate":
		return Reply{}, &stream.Error{Condition: stream.BadFormat, Text: "in the middle of a login"}
	case t.Name == "response" && r.login != nil && r.login.account.IsZero():
		in, err := decode2(text(t))
		if err != nil {
			return Reply{}, err
		}
		return o.step(ctx, r, in)
	case r.login != nil && len(r.login.tasks) > 0:
		out, err := o.task(ctx, r.login, t)
		if err != nil || out != nil {
			return Reply{Out: out}, err
		}
		return o.next(ctx, r)
	}
	return Reply{}, &sasl.Failure{Condition: sasl.MalformedRequest, Text: "out of place"}
}

func (o *offerSASL2) begin(ctx context.Context, r *Receiver, t *xml.Token) (Reply, error) {
	q, err := parseRequest(t)
	if err != nil {
		return Reply{}, err
	}
	l := &login{request: q}
	auth := &o.auth
	if q.fast != nil && o.Tokens != nil && sasl.IsToken(q.mechanism) {
		auth = o.withTokens(q, func(username string) (jid.JID, error) { return jid.New(username, o.host.Domain(), "") }, &l.due)
	}
	if l.exchange, err = auth.Start(q.mechanism, r.channel); err != nil {
		return Reply{}, err
	}
	r.login = l
	return o.step(ctx, r, q.response)
}

// step takes a message of the exchange.
func (o *offerSASL2) step(ctx context.Context, r *Receiver, in []byte) (Reply, error) {
	l := r.login
	out, done, err := l.exchange.Step(ctx, in)
	if err != nil {
		return Reply{}, err
	}
	if !done {
		return Reply{Out: xml.AppendElement(nil, "challenge", ns.SASL2, base64.StdEncoding.EncodeToString(out))}, nil
	}
	l.data = out
	if l.account, err = r.authenticated(o.host, l.exchange); err != nil {
		return Reply{}, err
	}
	if from := r.header.From; l.exchange.Authzid() != "" && !from.IsZero() && from.Bare() != l.account {
		return Reply{}, &sasl.Failure{Condition: sasl.InvalidAuthzid, Text: "the stream is from somebody else"}
	}
	if l.tasks, err = o.upgrades(ctx, l); err != nil {
		return Reply{}, err
	}
	return o.next(ctx, r)
}

// next goes on to the next task, or to the end.
func (o *offerSASL2) next(ctx context.Context, r *Receiver) (Reply, error) {
	l := r.login
	if len(l.tasks) > 0 {
		out := appendContinue(nil, l)
		l.data = nil
		return Reply{Out: out}, nil
	}
	var session Established
	in := &l.request.inline
	if in.Account = l.account; r.acceptor.Establish != nil && (in.Resume != nil || in.Bind != nil) {
		var err error
		if session, err = r.acceptor.Establish(ctx, *in); err != nil {
			return Reply{}, err
		}
	}
	out := xml.AppendStart(nil, "success", ns.SASL2)
	out = l.appendData(out)
	identity := l.account
	if !session.Address.IsZero() {
		identity = session.Address
	}
	out = xml.AppendElement(out, "authorization-identifier", "", identity.String())
	out = append(out, session.Out...)
	out, err := o.appendToken(ctx, out, r)
	out = xml.AppendEnd(out, "success")
	r.account, r.address, r.managed, r.login = l.account, session.Address, session.Managed, nil
	if !session.Resumed {
		out = r.Features(out)
	}
	return Reply{Out: out, Err: err}, nil
}

func (l *login) appendData(dst []byte) []byte {
	if l.data == nil {
		return dst
	}
	return xml.AppendElement(dst, "additional-data", "", base64.StdEncoding.EncodeToString(l.data))
}

func appendFailure2(dst []byte, f *sasl.Failure) []byte {
	dst = xml.AppendStart(dst, "failure", ns.SASL2)
	dst = xml.AppendEmpty(dst, string(f.Condition), ns.SASL)
	if f.Text != "" {
		dst = xml.AppendElement(dst, "text", "", f.Text, "xml:lang", "en")
	}
	return xml.AppendEnd(dst, "failure")
}
