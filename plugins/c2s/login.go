package c2s

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/jabberii/server/jabberd/module"
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
		case domain == "" || h.To != h.To.Server():
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
	verified, err := account.Verifies(ctx, xdb.New(s.env, s.env.Section()), address.Domain())
	kept = kept && err == nil
	h = &session.Host{Address: address, Offers: s.offers(address, secret, kept, verified)}
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

// offers are what streams to a host are offered, in order.
func (s *Service) offers(host jid.JID, secret []byte, kept, verified bool) []session.Offer {
	required := s.args.STARTTLS == "required"
	auth := s.authenticator(host.Domain(), secret, !required)
	if verified {
		s.verify(auth, host.Domain())
	}
	bound := *auth
	if !verified {
		bound.Mechanisms = s.mechanisms(true)
	}
	quick := session.SASL2{Authenticator: &bound, Bind: inlineFeatures}
	if s.isAnonymous(host.Domain()) {
		auth = s.anonymous()
		quick.Authenticator = auth
	} else {
		store := xdb.New(s.env, s.env.Section())
		if !verified {
			quick.Upgrades, quick.UpgradeTo = upgrades{store}, upgradeTo
		}
		if kept && s.args.Tokens.Lifetime > 0 {
			quick.Tokens = &tokens{args: s.args.Tokens, store: store, secret: secret}
		}
	}
	offers := []session.Offer{session.OfferStartTLS(required), s.offerLimits()}
	if slices.Contains(s.args.Register, host.Domain()) {
		offers = append(offers, session.OfferRegistration(host))
	}
	return append(offers,
		session.OfferSASL2(host, quick),
		session.OfferSASL(host, auth),
		session.Advertise([]byte(sessionFeatures)),
		&capabilities{s: s, host: host.Domain()},
	)
}

// inlineFeatures are what a session begins with where its client asks for it (XEP-0386).
var inlineFeatures = []string{ns.Carbons, ns.ClientState, ns.StreamManagement}

// mechanisms are those of the configuration, and those that it has brought by other
// arguments; with those bound to the channel for clients that know what there is to bind to.
func (s *Service) mechanisms(bound bool) []string {
	var list []string
	if s.authority != nil {
		list = append(list, sasl.External)
	}
	for _, name := range s.args.Mechanisms {
		if bound && strings.HasPrefix(name, "SCRAM-") {
			list = append(list, name+"-PLUS")
		}
	}
	list = append(list, s.args.Mechanisms...)
	if s.issuer != nil {
		list = append(list, sasl.OAuthBearer)
	}
	return list
}

// checkMechanisms reports a mechanism that is none for passwords.
func checkMechanisms(names []string) error {
	for _, name := range names {
		switch name {
		case sasl.ScramSHA512, sasl.ScramSHA256, sasl.ScramSHA1, sasl.Plain:
		default:
			return module.BadArg("mechanisms", "%q is not one of SCRAM-SHA-512, SCRAM-SHA-256, SCRAM-SHA-1 and PLAIN", name)
		}
	}
	return nil
}

// authenticator asks xdb, namespace auth, for the SCRAM keys of accounts.
func (s *Service) authenticator(domain string, secret []byte, plain bool) *sasl.Authenticator {
	store := xdb.New(s.env, s.env.Section())
	a := &sasl.Authenticator{
		External:   byCertificate(store, domain),
		Mechanisms: s.mechanisms(s.args.Binding), Secret: secret, PlainText: plain,
		Learned: s.learned(store, domain),
		Keys: func(ctx context.Context, username string, hash sasl.Hash) (sasl.Keys, error) {
			owner := username + "@" + domain
			if err := attemptOf(ctx).allowed(owner); err != nil {
				return sasl.Keys{}, err
			}
			credentials, err := attemptOf(ctx).read(ctx, store, owner)
			if err != nil {
				return sasl.Keys{}, err
			}
			return credentials.Keys(hash)
		},
	}
	if s.issuer != nil {
		a.Bearer, a.Discovery = s.issuer.bearer(domain), s.args.OAuth.Discovery
	}
	return a
}
