package session

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
	"golang.org/x/net/idna"
)

// StartTLS is the feature of RFC 6120 part 5 on the initiating side. If the stream
// is not encrypted yet and encryption is not offered, negotiation ends: use
// StartTLSIfOffered for networks that are trusted. The configuration's ServerName is
// the remote domain unless it has one; nil is the same as the zero Config.
func StartTLS(config *tls.Config) Feature { return startTLS(config, true) }

// StartTLSIfOffered is StartTLS, but goes on in the clear if the peer has no TLS,
// or if somebody on the way says so.
func StartTLSIfOffered(config *tls.Config) Feature { return startTLS(config, false) }

func startTLS(config *tls.Config, required bool) Feature {
	return func(ctx context.Context, n *Negotiator) (Progress, error) {
		if n.TLS() != nil {
			return Skip, nil
		}
		if !n.Offered().StartTLS {
			if required {
				return Skip, errors.New("starttls: not offered")
			}
			return Skip, nil
		}
		if err := n.Write([]byte("<starttls xmlns='" + ns.StartTLS + "'/>")); err != nil {
			return Skip, err
		}
		t, err := n.Next()
		if err != nil {
			return Skip, err
		}
		if t.Name != "proceed" || t.NS != ns.StartTLS {
			return Skip, fmt.Errorf("starttls: refused with %s", t.Name)
		}
		if err := n.handshake(ctx, config); err != nil {
			return Skip, fmt.Errorf("starttls: %w", err)
		}
		return Again, nil
	}
}

// handshake puts the connection into TLS.
func (n *Negotiator) handshake(ctx context.Context, config *tls.Config) error {
	if n.reader.Buffered() > 0 {
		return errors.New("data in the clear behind the start of TLS")
	}
	if config == nil {
		config = new(tls.Config)
	}
	if config.ServerName == "" {
		name, err := idna.Lookup.ToASCII(strings.Trim(n.Remote().Domain(), "[]"))
		if err != nil {
			name = strings.Trim(n.Remote().Domain(), "[]") // an address
		}
		config = config.Clone()
		config.ServerName = name
	}
	conn := tls.Client(n.conn, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	n.conn = conn
	n.reader.Reset(conn)
	return nil
}

// OfferStartTLS is the feature of RFC 6120 part 5 on the receiving side; if it is
// required, nothing else is offered before. The handshake is the owner's, see the step
// Encrypt.
func OfferStartTLS(required bool) Offer { return offerTLS(required) }

type offerTLS bool // required

func (o offerTLS) Append(dst []byte, r *Receiver) []byte {
	if r.secured || !r.account.IsZero() {
		return dst
	}
	return stream.AppendStartTLS(dst, bool(o))
}

func (o offerTLS) Pending(r *Receiver) bool { return bool(o) && !r.secured }

func (o offerTLS) Feed(_ context.Context, r *Receiver, t *xml.Token) (Reply, bool) {
	if t.NS != ns.StartTLS {
		return Reply{}, false
	}
	if t.Name != "starttls" || r.secured || !r.account.IsZero() {
		reply := r.closed()
		reply.Out = append([]byte("<failure xmlns='"+ns.StartTLS+"'/>"), reply.Out...)
		reply.Err = errors.New("starttls: out of place")
		return reply, true
	}
	return Reply{Out: []byte("<proceed xmlns='" + ns.StartTLS + "'/>"), Step: Encrypt}, true
}
