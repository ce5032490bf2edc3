package session

import (
	"context"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// feedHeader answers the header of a stream with one of ours and the features.
func (r *Receiver) feedHeader(ctx context.Context, t *xml.Token) Reply {
	h, err := stream.ParseHeader(t)
	if err != nil {
		return r.Fail(err)
	}
	restart := r.host != nil
	r.header = h
	if err := r.checkHeader(h); err != nil {
		return r.Fail(err)
	}
	if restart && h.To != r.host.Address {
		return r.Fail(&stream.Error{Condition: stream.HostUnknown, Text: "the stream was to another host"})
	}
	if !r.account.IsZero() && !h.From.IsZero() && h.From.Bare() != r.account {
		return r.Fail(&stream.Error{Condition: stream.InvalidFrom, Text: "somebody else has authenticated"})
	}
	if !restart {
		if r.host, err = r.acceptor.Open(ctx, r, h); err != nil {
			r.host = nil
			return r.Fail(err)
		}
	}
	if r.acceptor.NS == ns.Client && !h.From.IsZero() && h.From.Domain() != r.host.Address.Domain() {
		return r.Fail(&stream.Error{Condition: stream.InvalidFrom, Text: "an account of another host"})
	}
	r.phase = negotiating
	out := r.Features(r.appendHeader(nil))
	return r.step(Reply{Out: out})
}

func (r *Receiver) checkHeader(h stream.Header) error {
	switch {
	case h.NS != r.acceptor.NS && r.acceptor.Framing != Messages:
		return &stream.Error{Condition: stream.InvalidNamespace}
	case h.Version == "":
		return &stream.Error{Condition: stream.UnsupportedVersion}
	}
	return nil
}

// appendHeader writes our header, the answer to the last one of the peer. One has to
// be sent before any error (RFC 6120 4.9.1.2), even if there was nothing to answer.
func (r *Receiver) appendHeader(dst []byte) []byte {
	r.opened = true
	h := r.header.Reply()
	h.NS = r.acceptor.NS
	if h.Version == "" {
		h.Version = stream.Version
	}
	if r.host != nil {
		h.From = r.host.Address
	}
	return r.acceptor.Framing.appendHeader(dst, h)
}
