package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A Feature negotiates one stream feature on the initiating side. It is called when
// the peer has said what it offers, and again after each progress until it has made its
// own; it looks at what the negotiator knows and says Skip if it has no place now. An
// error ends the negotiation; a feature that must be there and is not is an error.
type Feature func(ctx context.Context, n *Negotiator) (Progress, error)

// Progress is what a feature has reached.
type Progress uint8

const (
	Skip     Progress = iota // nothing: ask the next one
	Done                     // it is negotiated, in the same stream
	Again                    // it is negotiated, and the stream begins again
	Complete                 // it is negotiated, and so is everything
)

// A Negotiator is the initiating side of a stream while it is being negotiated. It is
// for the features, and for one goroutine.
type Negotiator struct {
	config        *Config
	conn          net.Conn
	reader        *xml.Reader
	opened        bool // a stream before this one
	header        stream.Header
	offered       stream.Features
	local         jid.JID
	authenticated bool
	bound         bool
	registered    bool
	early         []stanza.Stanza // that came before negotiation was over
	management    *management     // XEP-0198, if it was enabled or resumed
	resuming      *resumption     // the session to resume, nil for a new one
	begun         *sasl.Client    // an exchange that was sent with the header
	wanted        string          // the mechanism that a token was asked for
}

// maxEarly bounds the stanzas that a peer may send before negotiation is over.
const maxEarly = 100

var errClosed = fmt.Errorf("stream closed by the peer: %w", io.EOF)

// Local is our own address: the configured one, and the bound one behind Bind.
func (n *Negotiator) Local() jid.JID { return n.local }

// Remote is the peer's address.
func (n *Negotiator) Remote() jid.JID { return n.config.Remote }

// Header is the last header of the peer.
func (n *Negotiator) Header() stream.Header { return n.header }

// Offered are the features that the peer offers at present.
func (n *Negotiator) Offered() stream.Features { return n.offered }

// Authenticated tells that the peer knows who we are: stanzas may be exchanged when it
// is also bound, if it wants that.
func (n *Negotiator) Authenticated() bool { return n.authenticated }

// TLS is the state of the encryption, nil without.
func (n *Negotiator) TLS() *tls.ConnectionState { return tlsState(n.conn) }

func tlsState(conn net.Conn) *tls.ConnectionState {
	secure, ok := conn.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	state := secure.ConnectionState()
	return &state
}

// Write sends bytes as they are.
func (n *Negotiator) Write(b []byte) error {
	if _, err := n.conn.Write(b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Next reads the next element of the stream's own, valid until the next call. Stanzas
// on the way are kept for the session. A stream error is a *stream.Error, the end of
// the stream an error that is io.EOF.
func (n *Negotiator) Next() (*xml.Token, error) {
	for {
		t, err := n.read()
		if err != nil {
			return nil, err
		}
		if !n.isStanza(t) {
			return t, nil
		}
		st, err := stanza.FromToken(t)
		if err != nil {
			return nil, err
		}
		if n.early = append(n.early, st); len(n.early) > maxEarly {
			return nil, errors.New("stanzas before the negotiation is over")
		}
	}
}

func (n *Negotiator) isStanza(t *xml.Token) bool {
	return stanza.IsName(t.Name) && t.NS == n.config.space()
}

// read reads one element, whatever it is.
func (n *Negotiator) read() (*xml.Token, error) {
	t, err := n.reader.Next()
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	switch t.Kind {
	case xml.Close:
		return nil, errClosed
	case xml.Open:
		return nil, errors.New("unexpected stream header")
	}
	if e, ok := stream.ParseError(t); ok {
		return nil, e
	}
	return t, nil
}

// request sends an IQ and reads its answer; other stanzas are kept.
func (n *Negotiator) request(iq stanza.Stanza) (stanza.Stanza, error) {
	if err := n.Write(iq.Append(nil, "")); err != nil {
		return stanza.Stanza{}, err
	}
	for {
		t, err := n.read()
		if err != nil {
			return stanza.Stanza{}, err
		}
		if !n.isStanza(t) {
			return stanza.Stanza{}, fmt.Errorf("unexpected element %s", t.Name)
		}
		st, err := stanza.FromToken(t)
		if err != nil {
			return stanza.Stanza{}, err
		}
		if st.Name == stanza.IQ && st.ID == iq.ID && !st.IsRequest() {
			if st.Type == stanza.TypeError {
				return st, stanza.ParseError(st.Body)
			}
			return st, nil
		}
		if n.early = append(n.early, st); len(n.early) > maxEarly {
			return stanza.Stanza{}, errors.New("stanzas before the negotiation is over")
		}
	}
}

// negotiate goes through the features until all that are there have been negotiated.
func (n *Negotiator) negotiate(ctx context.Context, features []Feature) error {
	left := slices.Clone(features)
	for again := true; ; {
		if again {
			if err := n.open(); err != nil {
				return err
			}
		}
		progress, err := Skip, error(nil)
		for i := 0; i < len(left) && progress == Skip; i++ {
			if progress, err = left[i](ctx, n); err != nil {
				return err
			}
			if progress != Skip {
				left = slices.Delete(left, i, i+1)
			}
		}
		if progress == Skip || progress == Complete {
			return nil
		}
		again = progress == Again
	}
}

// open begins a stream and reads what the peer offers.
func (n *Negotiator) open() error {
	if n.opened {
		n.reader.Reset(n.conn)
	}
	n.opened = true
	h := stream.Header{NS: n.config.space(), To: n.Remote(), Version: stream.Version, Lang: n.config.Lang}
	if n.TLS() != nil && n.config.Local.Local() != "" || h.NS != ns.Client {
		h.From = n.config.Local.Bare() // a client's own address is nobody's business in the clear
	}
	ahead, err := n.config.quick.ahead(n)
	if err != nil {
		return err
	}
	if err := n.Write(append(h.Append(nil), ahead...)); err != nil {
		return err
	}
	t, err := n.reader.Next()
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if n.header, err = stream.ParseHeader(t); err != nil {
		return err
	}
	if n.header.NS != n.config.space() {
		return &stream.Error{Condition: stream.InvalidNamespace}
	}
	if n.header.Version == "" {
		return &stream.Error{Condition: stream.UnsupportedVersion}
	}
	return n.readFeatures()
}

func (n *Negotiator) readFeatures() error {
	t, err := n.read()
	if err != nil {
		return err
	}
	features, ok := stream.ParseFeatures(t)
	if !ok {
		return fmt.Errorf("want stream features, got %s", t.Name)
	}
	n.offered = features
	return nil
}

// within runs f with a connection whose I/O ends when ctx does.
func within(ctx context.Context, conn net.Conn, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err := f()
	if !stop() {
		return errors.Join(ctx.Err(), err)
	}
	return err
}
