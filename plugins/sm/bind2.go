package sm

import (
	"context"
	"crypto/rand"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
	logged "github.com/jabberii/server/plugins/sdk/entry"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// bind2 is how a session is wanted by Bind 2 (XEP-0386): with what its client would
// otherwise ask for one after the other. Nothing comes between.
type bind2 struct {
	id       string // of the client's installation, told by the connection; "" if it has none
	tag      string // what the resource is to begin with, may be empty
	carbons  bool
	inactive bool
	manage   bool   // with stream management,
	resume   string // and these attributes of enable
	max      string
}

// bindInline gives a connection its session within the authentication.
func (s *Service) bindInline(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	if x != nil {
		return s.boundInline(ctx, x, p) // nobody could say that it was done
	}
	account, err := jid.Parse(packet.Bare(p.From))
	if err != nil || account.Local() == "" {
		return s.refuseStream(ctx, p, "not-authorized")
	}
	b := readBind2(p)
	full, err := b.address(account)
	if err != nil {
		return s.refuseInline(ctx, p, packet.Refuse("bad-request", "the resource is no resource"))
	}
	x, old, reject := s.open(full, p, &b)
	if reject != nil {
		return s.refuseInline(ctx, p, reject)
	}
	if old.session != nil {
		s.bury(old.session, old.conn, ending{condition: old.condition})
	}
	if err := s.commit(); err != nil {
		return packet.Pass, err
	}
	s.tell(logged.SessionCreated, x)
	return s.boundInline(ctx, x, p)
}

func readBind2(p *packet.Packet) bind2 {
	b := bind2{id: attribute(p, "client")}
	for el := range xml.Elements(p.Body, ns.Bind2) {
		switch {
		case el.Is("tag", ns.Bind2):
			b.tag = el.Text()
		case el.Is("enable", ns.Carbons):
			b.carbons = true
		case el.Is("inactive", ns.ClientState):
			b.inactive = true
		case el.Is("enable", ns.StreamManagement):
			b.manage, b.resume, b.max = true, el.Attr("resume"), el.Attr("max")
		}
	}
	return b
}

// address makes the full JID: the tag, and what tells the client from others. A tag
// that cannot be part of a resource is left out.
func (b *bind2) address(account jid.JID) (jid.JID, error) {
	id := b.id
	if id == "" {
		id = newResource()
	}
	if b.tag != "" {
		if full, err := account.WithResource(b.tag + "/" + id); err == nil {
			return full, nil
		}
	}
	return account.WithResource(id)
}

// replaces reports whether a session is of the same client, under whichever tag.
func (b *bind2) replaces(x *session) bool {
	return b != nil && b.id != "" && (x.resource == b.id || strings.HasSuffix(x.resource, "/"+b.id))
}

// begin brings a new session into the state that its client wants. The account is
// locked, and nobody has seen the session.
func (b *bind2) begin(s *Service, x *session) {
	if b == nil {
		return
	}
	x.carbons, x.inactive = b.carbons, b.inactive
	if !b.manage {
		return
	}
	s.beginManaged(x, b.resume, b.max)
	x.managed.kind = isBound
	s.greet(x)
}

// boundInline tells a connection its session. Where it is managed that opens the
// connection, before all stanzas, as it does again after a death.
func (s *Service) boundInline(ctx context.Context, x *session, p *packet.Packet) (packet.Verdict, error) {
	if x.isManaged() {
		s.drain(x)
		return packet.Claim, nil
	}
	return packet.Claim, s.env.Deliver(ctx, &packet.Packet{
		Kind: packet.Session, Flags: packet.Down | x.doubt(), Host: p.Near.Host, Section: p.Near.Section, Near: x.token, Far: p.Near, Seq: seqBound,
		To: x.jid, Name: "bound", NS: ns.Bind2,
	})
}

// refuseInline says that there is no session.
func (s *Service) refuseInline(ctx context.Context, p *packet.Packet, reject *packet.Reject) (packet.Verdict, error) {
	return packet.Claim, s.env.Deliver(ctx, &packet.Packet{
		Kind: packet.Session, Flags: packet.Down, Host: p.Near.Host, Section: p.Near.Section, Far: p.Near,
		To: p.From, Name: "failed", NS: ns.Bind2, Body: errorBody(reject),
	})
}

// beginManaged gives a session stream management, which may be resumed as its client
// wishes. The account is locked.
func (s *Service) beginManaged(x *session, resume, max string) {
	m := s.newManaged(x)
	if resume == "true" || resume == "1" {
		m.max = s.resumeTime(max)
	}
	_, _ = rand.Read(m.id[:]) // it never fails
	x.managed = m
}

// before returns the session that has to end for another of this resource, nil if
// there is none. The account is locked.
func (a *account) before(resource string, b *bind2) *session {
	for _, x := range a.sessions {
		if x.resource == resource || b.replaces(x) {
			return x
		}
	}
	return nil
}
