package sm

import (
	"context"
	"fmt"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/carbons"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Explain says what Handle would do with a packet.
func (s *Service) Explain(ctx context.Context, p *packet.Packet) (packet.Verdict, string) {
	switch {
	case p.Kind == packet.Session:
		return s.explainSession(p)
	case packet.Local(p.To) == "":
		return explainHost(p)
	}
	if apart, err := s.isRefused(ctx, p); err == nil && apart {
		return explainRefusal(p)
	}
	a := s.accounts.lock(packet.Bare(p.To))
	if a == nil {
		a = &account{jid: packet.Bare(p.To)}
		a.mu.Lock()
	}
	defer a.mu.Unlock()
	switch p.Name {
	case "message":
		return s.explainMessage(ctx, a, p)
	case "presence":
		return explainPresence(a, p)
	case "iq":
		return explainIQ(a, p)
	}
	return packet.Pass, "it is no stanza"
}

// explainRefusal says what becomes of a stanza that an account does not let in.
func explainRefusal(p *packet.Packet) (packet.Verdict, string) {
	why := packet.Bare(p.To) + " does not let in what " + p.From + " sends (its block list or another privacy list)"
	if p.Name == "message" {
		return packet.Refuses, why
	}
	if _, err := refused(p); err != nil {
		return packet.Refuses, why
	}
	return packet.Claim, why + ": it is dropped"
}

func (s *Service) explainSession(p *packet.Packet) (packet.Verdict, string) {
	x := s.sessions.find(p.Far)
	switch {
	case p.Flags&packet.Down != 0:
		return packet.Pass, "it is on its way to a connection, not to a session"
	case x == nil && p.Far.IsZero():
		return packet.Claim, "the connection has no session yet; it may bind a resource or resume a session"
	case x == nil:
		return packet.Pass, "no session has this token: the connection is told that it has ended"
	}
	return packet.Claim, "it is from the client of " + x.jid
}

func explainHost(p *packet.Packet) (packet.Verdict, string) {
	if p.Name == "iq" && (p.Type == "get" || p.Type == "set") && packet.Resource(p.To) == "" {
		if el, ok := xml.First(p.Body, ns.Client); ok {
			switch el.NS() {
			case sessions.NS:
				if !sessions.Trusted(p) {
					return packet.Refuses, "only the server itself may ask for its sessions"
				}
				return packet.Claim, p.To + " answers the server's command"
			case ns.DiscoInfo, ns.DiscoItems, ns.Ping, ns.Session:
				return packet.Claim, p.To + " answers this itself"
			}
		}
	}
	return packet.Pass, "it is to the host itself, and nothing that the session manager answers"
}

// presenceText says who is there.
func (a *account) presenceText() string {
	switch n := len(a.sessions); n {
	case 0:
		return a.jid + " has no session"
	case 1:
		return a.jid + " has 1 resource"
	default:
		return fmt.Sprintf("%s has %d resources", a.jid, n)
	}
}

func (s *Service) explainMessage(ctx context.Context, a *account, p *packet.Packet) (packet.Verdict, string) {
	var room [8]*session
	targets, where := a.route(p, room[:0])
	switch where {
	case toStorage:
		if s.args().Offline.Max == 0 {
			return packet.Refuses, a.presenceText() + " that takes it, and no messages are kept"
		}
		return s.explainKeeping(ctx, a, p)
	case toSender:
		return packet.Refuses, a.presenceText() + " that takes it"
	case nowhere:
		return packet.Claim, a.presenceText() + " that takes it, and its sender need not know: it is dropped"
	}
	why := a.presenceText() + "; the message goes to " + texts(targets)
	if copies := a.copied(carbons.Received, p, targets, nil); len(copies) > 0 {
		why += ", and a copy to " + texts(copies)
	}
	return packet.Claim, why + a.waitingText(targets, p)
}

// waitingText says that a stanza waits for inactive clients.
func (a *account) waitingText(targets []*session, p *packet.Packet) string {
	for _, x := range targets {
		if x.isManaged() && x.inactive && canWait(p) {
			return "; it waits until somebody looks at an inactive client"
		}
	}
	return ""
}

func texts(sessions []*session) string {
	names := make([]string, 0, len(sessions))
	for _, x := range sessions {
		names = append(names, x.text())
	}
	return strings.Join(names, " and ")
}

// explainKeeping says what becomes of a message that nobody takes now. It asks
// storage whether there is such an account, with a not locked meanwhile.
func (s *Service) explainKeeping(ctx context.Context, a *account, p *packet.Packet) (packet.Verdict, string) {
	kept := a.presenceText() + " that takes it: it is kept until there is one"
	if len(a.sessions) > 0 {
		return packet.Claim, kept
	}
	a.mu.Unlock()
	defer a.mu.Lock()
	switch there, err := s.exists(ctx, a.jid); {
	case err != nil:
		return packet.Claim, kept + ", if there is such an account"
	case !there && s.tellsUnknown(p):
		return packet.Refuses, "there is no account " + a.jid
	case !there:
		return packet.Claim, "there is no account " + a.jid + ", which is nothing to its sender: it is dropped"
	}
	return packet.Claim, kept
}

func (x *session) text() string {
	switch {
	case x.conn.IsZero():
		return x.jid + " (whose connection is lost; it waits to be resumed)"
	case x.presence == nil:
		return x.jid + " (not available)"
	case x.inactive:
		return fmt.Sprintf("%s (priority %d, inactive)", x.jid, x.priority)
	}
	return fmt.Sprintf("%s (priority %d)", x.jid, x.priority)
}

func explainPresence(a *account, p *packet.Packet) (packet.Verdict, string) {
	resource := packet.Resource(p.To)
	switch {
	case isSubscription(p.Type):
		return packet.Claim, "it changes the subscription between " + a.jid + " and " + packet.Bare(p.From)
	case p.Type == "probe":
		return packet.Claim, "it is answered with the presence of " + a.jid + ", if " + packet.Bare(p.From) + " is subscribed to it"
	case resource != "" && a.bound(resource) == nil:
		return packet.Claim, a.presenceText() + " and none of this name: it is dropped"
	case resource != "":
		x := a.bound(resource)
		return packet.Claim, "it goes to " + x.text() + a.waitingText([]*session{x}, p)
	case p.Type == "error":
		return packet.Claim, a.presenceText() + "; it goes to all that are available or have asked for the roster" + a.waitingText(a.sessions, p)
	}
	return packet.Claim, a.presenceText() + "; it goes to all that are available" + a.waitingText(a.sessions, p)
}

func explainIQ(a *account, p *packet.Packet) (packet.Verdict, string) {
	resource := packet.Resource(p.To)
	asks := p.Type == "get" || p.Type == "set"
	switch {
	case resource != "" && a.bound(resource) != nil:
		return packet.Claim, "it goes to " + a.bound(resource).text()
	case !asks:
		return packet.Claim, "it answers nothing that was asked: it is dropped"
	case resource != "":
		return packet.Refuses, a.presenceText() + " and none of this name"
	}
	if el, ok := xml.First(p.Body, ns.Client); ok {
		switch el.NS() {
		case ns.Roster, ns.DiscoInfo, ns.DiscoItems, ns.Ping, ns.Carbons, ns.Session, privacy.BlockingNS, privacy.NS, lastSpace:
			return packet.Claim, "the server answers for " + a.jid
		}
	}
	return packet.Pass, "nothing here answers this for " + a.jid
}
