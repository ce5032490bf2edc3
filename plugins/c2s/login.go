package c2s

import (
	"context"
	"sync"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stream"
)

// sessionFeatures are what a session offers (RFC 6120 section 7, RFC 6121
// sections 2.6 and 3.4, XEP-0198, XEP-0352).
const sessionFeatures = "<bind xmlns='" + ns.Bind + "'/><sm xmlns='" + ns.StreamManagement + "'/>" +
	"<ver xmlns='" + ns.RosterVersions + "'/><sub xmlns='" + ns.PreApproval + "'/><csi xmlns='" + ns.ClientState + "'/>"

// hostTable keeps what streams to one host are offered.
type hostTable struct {
	mu    sync.Mutex
	hosts map[string]*session.Host
}

func (s *Service) newAcceptor(framing session.Framing) *session.Acceptor {
	return &session.Acceptor{NS: ns.Client, Framing: framing, Open: func(ctx context.Context, r *session.Receiver, h stream.Header) (*session.Host, error) {
		if framing != session.Document && !r.Channel().Secure && s.args.STARTTLS == "required" {
			return nil, &stream.Error{Condition: stream.PolicyViolation, Text: "use https"}
		}
		domain := h.To.Domain()
		switch {
		case domain == "":
			return nil, &stream.Error{Condition: stream.ImproperAddressing, Text: "which host is the stream to?", Lang: "en"}
		case !s.env.Serves(packet.Session, domain):
			return nil, &stream.Error{Condition: stream.HostUnknown}
		}
		return s.host(ctx, h.To.Server()), nil
	}}
}

// maxHosts bounds the table: with more hosts than that it begins anew.
const maxHosts = 10000

func (s *Service) host(ctx context.Context, address jid.JID) *session.Host {
	s.hosts.mu.Lock()
	h := s.hosts.hosts[address.Domain()]
	s.hosts.mu.Unlock()
	if h != nil {
		return h
	}
	secret, kept := s.decoys(ctx, address.Domain())
	required := s.args.STARTTLS == "required"
	h = &session.Host{Address: address, Offers: []session.Offer{
		session.OfferStartTLS(required),
		s.offerLimits(),
		session.OfferSASL(address, s.authenticator(address.Domain(), secret, !required)),
		session.Advertise([]byte(sessionFeatures)),
		&capabilities{s: s, host: address.Domain()},
	}}
	if !kept {
		return h // the next stream looks again
	}
	s.hosts.mu.Lock()
	defer s.hosts.mu.Unlock()
	if s.hosts.hosts == nil || len(s.hosts.hosts) >= maxHosts {
		s.hosts.hosts = map[string]*session.Host{}
	}
	s.hosts.hosts[address.Domain()] = h
	return h
}

// authenticator asks xdb, namespace auth, for the SCRAM keys of accounts.
func (s *Service) authenticator(domain string, secret []byte, plain bool) *sasl.Authenticator {
	store := xdb.New(s.env, s.env.Section())
	mechanisms := []string{sasl.ScramSHA256, sasl.ScramSHA1, sasl.Plain}
	if s.args.Binding {
		mechanisms = append([]string{sasl.ScramSHA256Plus, sasl.ScramSHA1Plus}, mechanisms...)
	}
	if s.authority != nil {
		mechanisms = append([]string{sasl.External}, mechanisms...)
	}
	return &sasl.Authenticator{
		External:   byCertificate(store, domain),
		Mechanisms: mechanisms, Secret: secret, PlainText: plain,
		Keys: func(ctx context.Context, username string, hash sasl.Hash) (sasl.Keys, error) {
			return account.Keys(ctx, store, username+"@"+domain, hash)
		},
	}
}
