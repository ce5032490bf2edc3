package session

import (
	"context"
	"errors"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// An Acceptor is what the receiving side of all streams of one listener has in
// common. It is not changed by its receivers.
type Acceptor struct {
	// NS is the namespace of stanzas: ns.Client or ns.Server.
	NS string
	// Open chooses the host by the header that begins a stream; its To may be zero. An
	// error that is a *stream.Error is what the peer is told, host-unknown for example.
	// It is asked once a connection: the headers of restarts have to name the same host.
	Open func(ctx context.Context, r *Receiver, h stream.Header) (*Host, error)
	// Establish gives a connection its session within SASL2 (XEP-0388): by resumption, or by
	// Bind 2. It may ask elsewhere. What goes wrong is a *stream.Error, which ends the stream,
	// or any other error, with which the login fails. Nil offers neither.
	Establish func(ctx context.Context, in Inline) (Established, error)
	// Register answers an IQ to the host of a client that has no account yet, for
	// OfferRegistration. What goes wrong is a *stanza.Error, which the client is told, a
	// *stream.Error, which ends the stream, or any other error: internal-server-error.
	Register func(ctx context.Context, iq stanza.Stanza) (body []byte, err error)
	Framing  Framing
	// Attempts is how many failures to authenticate end the stream. 0 means 3.
	Attempts int
}

// A Host is what a stream to one address is offered. Connections share it.
type Host struct {
	Address jid.JID
	// Offers are the features in the order of negotiation: an offer that is pending
	// hides those behind it.
	Offers []Offer
}

// An Offer is a stream feature on the receiving side. It keeps what belongs to one
// stream in the Receiver, and is used by many at a time.
type Offer interface {
	// Append writes the feature's element with its namespace, or nothing if it has no
	// place in the present state of the stream.
	Append(dst []byte, r *Receiver) []byte
	// Pending tells whether stanzas, and the offers behind this one, have to wait.
	Pending(r *Receiver) bool
	// Feed is given an element that nobody in front has taken. It returns false if the
	// element is not the feature's.
	Feed(ctx context.Context, r *Receiver, t *xml.Token) (Reply, bool)
}

// A Step is what the owner of a connection does after it has written a reply.
type Step uint8

// The steps.
const (
	Continue Step = iota // feed the next token
	Restart              // reset the scanner: a new header comes on the same connection
	Encrypt              // do the TLS handshake, call Secured, reset the scanner
	Ready                // negotiation is over: what comes now are stanzas
	Close                // close the connection; feed no more
)

var stepNames = [...]string{"continue", "restart", "encrypt", "ready", "close"}

// String returns the step in lower case.
func (s Step) String() string { return stepNames[s] }

// A Reply says what to do with a connection: first write Out, then take the step.
type Reply struct {
	Out  []byte // belongs to the caller; may be empty
	Step Step
	Err  error // for the log: with Close why, an io.EOF is a peer that closed its stream; a *Refused why it failed to authenticate
}

// A Receiver negotiates the receiving side of one stream. It does no I/O and has no
// goroutine: whoever owns the connection scans it and feeds the tokens one by one
// until the step is Ready or Close. A Receiver is small, and is of no use after that.
// It is for one goroutine at a time.
type Receiver struct {
	acceptor *Acceptor
	host     *Host
	header   stream.Header
	phase    phase
	opened   bool // our header was sent in the present stream
	secured  bool // by TLS
	channel  sasl.Channel
	account  jid.JID
	address  jid.JID
	managed  bool // by XEP-0198
	exchange *sasl.Server
	login    *login // under way, by SASL2
	failures int
	asked    int // before the login, see OfferRegistration
}

type phase uint8

const (
	expectHeader phase = iota
	negotiating
	ended // ready or closed
)

// NewReceiver returns a receiver that waits for the header of a stream.
func NewReceiver(a *Acceptor) *Receiver { return &Receiver{acceptor: a} }

// Header is the last header that the peer sent.
func (r *Receiver) Header() stream.Header { return r.header }

// Host is the host that the stream is for, nil before the header came.
func (r *Receiver) Host() *Host { return r.host }

// Channel is what is known of the connection.
func (r *Receiver) Channel() sasl.Channel { return r.channel }

// Account is whom the peer has authenticated as, zero before: a bare JID, or a
// domain on a server's stream.
func (r *Receiver) Account() jid.JID { return r.account }

// Authenticate sets the account; for offers that authenticate in ways of their own.
func (r *Receiver) Authenticate(account jid.JID) { r.account = account }

// Address is the full JID that was bound by OfferBind, else the account.
func (r *Receiver) Address() jid.JID {
	if r.address.IsZero() {
		return r.account
	}
	return r.address
}

// Secured tells the receiver that the connection now runs in TLS: after the step
// Encrypt, and before the first token of a connection that began with TLS.
func (r *Receiver) Secured(c sasl.Channel) { r.secured, r.channel = true, c }

// Secure describes a connection that is as good as encrypted without TLS, a unix
// socket for example. STARTTLS is still on offer.
func (r *Receiver) Secure(c sasl.Channel) { r.channel = c }

// Feed takes the next token. It blocks only where a feature asks elsewhere, SASL for
// an account's keys for example; ctx bounds that.
func (r *Receiver) Feed(ctx context.Context, t *xml.Token) Reply {
	switch {
	case r.phase == ended:
		return Reply{Step: Close, Err: errors.New("session: fed after the end of negotiation")}
	case r.isClose(t):
		return r.closed()
	case r.phase == expectHeader:
		return r.feedHeader(ctx, t)
	case t.Kind != xml.Child || t.NS == ns.Framing:
		return r.Fail(&stream.Error{Condition: stream.BadFormat, Text: "a header without a restart"})
	}
	if e, ok := stream.ParseError(t); ok {
		reply := r.closed()
		reply.Err = e
		return reply
	}
	if r.login != nil && t.NS != ns.SASL2 { // nothing else while it is under way (XEP-0388 section 2.4)
		return r.Fail(&stream.Error{Condition: stream.NotAuthorized, Text: "in the middle of a login"})
	}
	for _, o := range r.reachable() {
		if reply, mine := o.Feed(ctx, r, t); mine {
			return r.step(reply)
		}
	}
	if stanza.IsName(t.Name) && t.NS == r.acceptor.NS || r.account.IsZero() {
		return r.Fail(&stream.Error{Condition: stream.NotAuthorized})
	}
	return r.Fail(&stream.Error{Condition: stream.UnsupportedStanzaType})
}

// Fail ends the stream for an error of the owner's: one of the scanner, a deadline,
// the end of the server. The peer is told the *stream.Error in it, or that of the
// scanner's complaint, else internal-server-error.
func (r *Receiver) Fail(err error) Reply {
	var out []byte
	if !r.opened {
		out = r.appendHeader(out)
	}
	r.phase = ended
	out = stream.ErrorOf(err).Append(out)
	return Reply{Out: r.acceptor.Framing.appendClose(out), Step: Close, Err: err}
}

// Failed counts a failure to authenticate, which the peer was told of in out, and
// ends the stream after the last one allowed. For offers.
func (r *Receiver) Failed(out []byte, err error) Reply {
	r.failures++
	attempts := r.acceptor.Attempts
	if attempts == 0 {
		attempts = 3
	}
	if r.failures < attempts {
		return Reply{Out: out, Err: err}
	}
	reply := r.Fail(&stream.Error{Condition: stream.PolicyViolation, Text: "too many attempts"})
	reply.Out = append(out, reply.Out...)
	reply.Err = err
	return reply
}

// Features writes the element with what is on offer at present.
func (r *Receiver) Features(dst []byte) []byte {
	var parts [][]byte
	r.channel.Announced = nil
	for _, o := range r.reachable() {
		if part := o.Append(nil, r); len(part) > 0 {
			parts = append(parts, part)
		}
	}
	return stream.AppendFeatures(dst, parts...)
}

// reachable are the offers up to the first that is pending.
func (r *Receiver) reachable() []Offer {
	for i, o := range r.host.Offers {
		if o.Pending(r) {
			return r.host.Offers[:i+1]
		}
	}
	return r.host.Offers
}

func (r *Receiver) pending() bool {
	all := r.reachable()
	return len(all) > 0 && all[len(all)-1].Pending(r)
}

// step brings the receiver to where a feature's reply leaves it.
func (r *Receiver) step(reply Reply) Reply {
	switch reply.Step {
	case Restart, Encrypt:
		r.phase, r.opened = expectHeader, false
	case Continue:
		if !r.pending() {
			reply.Step, r.phase = Ready, ended
		}
	case Ready, Close:
		r.phase = ended
	}
	return reply
}

func (r *Receiver) isClose(t *xml.Token) bool {
	return t.Kind == xml.Close ||
		r.acceptor.Framing == Messages && t.Kind == xml.Child && t.Name == "close" && t.NS == ns.Framing
}

// closed answers a peer that closes its stream.
func (r *Receiver) closed() Reply {
	var out []byte
	if !r.opened {
		out = r.appendHeader(out)
	}
	r.phase = ended
	return Reply{Out: r.acceptor.Framing.appendClose(out), Step: Close, Err: errClosed}
}
