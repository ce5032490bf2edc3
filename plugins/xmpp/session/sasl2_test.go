package session_test

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/fast"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const agent = "d4565fa7-4d72-4749-b3d3-740edbf87770"

// A quickServer has juliet, whose password is pencil, her tokens, and one session.
type quickServer struct {
	*session.Acceptor
	server, client *tls.Config

	mu      sync.Mutex
	pairs   map[string]*fast.Pair // by agent
	life    time.Duration         // of tokens
	offers  []session.Offer
	due     bool // each token is to be replaced
	missing []sasl.Hash
	added   []sasl.Keys
	asked   []session.Inline
	refuse  error // to establish sessions
	previd  string
}

func newQuickServer(t *testing.T) *quickServer {
	t.Helper()
	q := &quickServer{pairs: map[string]*fast.Pair{}, life: time.Hour}
	q.server, q.client = certificate(t)
	q.offers = []session.Offer{
		session.OfferStartTLS(true),
		session.OfferSASL2(host, session.SASL2{
			Authenticator: accounts(), Tokens: q, Upgrades: q, UpgradeTo: []sasl.Hash{sasl.SHA256, sasl.SHA512},
			Bind: []string{ns.StreamManagement},
		}),
		session.OfferSASL(host, accounts()),
		session.OfferBind(bind),
	}
	q.Acceptor = acceptor(q.offers...)
	q.Establish = q.establish
	return q
}

func (q *quickServer) key(account jid.JID, agent string) *fast.Key {
	return &fast.Key{Secret: []byte("a secret of this server"), Account: account.String(), Agent: agent}
}

func (q *quickServer) Use(_ context.Context, account jid.JID, u session.TokenUse, proves func(string) bool) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.pairs[u.Agent]
	if p == nil {
		return false, sasl.NotAuthorized
	}
	_, _, err := p.Use(time.Now(), fast.Use{Mechanism: u.Mechanism, Count: u.Count, Invalidate: u.Invalidate}, q.key(account, u.Agent), proves)
	return q.due, err
}

func (q *quickServer) Issue(_ context.Context, account jid.JID, agent, mechanism string) (session.Token, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pairs[agent] == nil {
		q.pairs[agent] = &fast.Pair{}
	}
	g := q.pairs[agent].Issue(time.Now(), mechanism, q.life)
	return session.Token{Mechanism: mechanism, Secret: q.key(account, agent).Token(g), Expiry: g.Expiry}, nil
}

func (q *quickServer) Missing(context.Context, jid.JID) ([]sasl.Hash, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.missing, nil
}

func (q *quickServer) Add(_ context.Context, _ jid.JID, k sasl.Keys) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.added = append(q.added, k)
	q.missing = slices.DeleteFunc(q.missing, func(h sasl.Hash) bool { return h == k.Hash })
	return nil
}

func (q *quickServer) establish(_ context.Context, in session.Inline) (s session.Established, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked = append(q.asked, in)
	if q.refuse != nil {
		return s, q.refuse
	}
	if in.Resume != nil {
		if in.Resume.Previous == q.previd {
			s.Address, err = in.Account.WithResource("balcony/1")
			s.Resumed = true
			s.Out = xml.AppendEmpty(nil, "resumed", ns.StreamManagement, "previd", q.previd, "h", in.Resume.Handled)
			return s, err
		}
		s.Out = []byte("<failed xmlns='urn:xmpp:sm:3'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
	}
	if in.Bind != nil {
		s.Address, err = in.Account.WithResource(in.Bind.Tag + "/1")
		s.Out = append(s.Out, "<bound xmlns='urn:xmpp:bind:0'>"...)
		if strings.Contains(string(in.Bind.Features), "urn:xmpp:sm:3") {
			q.previd = "first"
			s.Out = append(s.Out, "<enabled xmlns='urn:xmpp:sm:3' id='first' resume='true'/>"...)
		}
		s.Out = append(s.Out, "</bound>"...)
	}
	return s, err
}

// A trips counts the round trips of a client in TLS: how often it waits for an answer
// to what it has written.
type trips struct {
	*tls.Conn
	mu      sync.Mutex
	written bool
	n       int
}

func (c *trips) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.written = true
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *trips) Read(b []byte) (int, error) {
	c.mu.Lock()
	if c.written {
		c.n++
	}
	c.written = false
	c.mu.Unlock()
	return c.Conn.Read(b)
}

func (c *trips) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// dial is a connection that is in TLS, and what becomes of it at the server.
func (q *quickServer) dial(t *testing.T) (*trips, <-chan accepted) {
	t.Helper()
	ours, theirs := loopback(t)
	result := make(chan accepted, 1)
	ctx := timeout(t)
	go func() {
		s, err := session.Accept(ctx, tls.Server(theirs, q.server), q.Acceptor, nil, session.Config{})
		result <- accepted{s, err}
	}()
	config := q.client.Clone()
	config.ServerName = host.Domain()
	conn := tls.Client(ours, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		t.Fatal(err)
	}
	return &trips{Conn: conn}, result
}

func (q *quickServer) login(t *testing.T, a session.Account) (*session.Session, int, error) {
	t.Helper()
	conn, result := q.dial(t)
	a.Address, a.Agent = jid.MustParse("juliet@example.org/balcony"), session.Agent{ID: agent, Software: "test", Device: "this"}
	s, err := session.Client(timeout(t), conn, a)
	if err != nil {
		conn.Close()
	}
	r := <-result
	if r.err == nil {
		t.Cleanup(r.session.Drop)
	}
	if err == nil {
		t.Cleanup(s.Drop)
	}
	return s, conn.count(), err
}

// A client logs in with its password and is given a token; with that it logs in again
// within one round trip: its session is new, or the one that it had.
func TestOneRoundTripWithAToken(t *testing.T) {
	q := newQuickServer(t)
	first, trips, err := q.login(t, session.Account{Password: "pencil"})
	if err != nil {
		t.Fatal(err)
	}
	if trips != 3 { // the header, then two of SCRAM
		t.Errorf("%d round trips with a password", trips)
	}
	token := first.Token()
	if token.Mechanism != sasl.HTSHA256Expr || token.Secret == "" || token.Expiry.IsZero() {
		t.Fatalf("token %+v", token)
	}
	if first.Local().String() != "juliet@example.org/balcony/1" || !first.Resumable() {
		t.Errorf("bound %s, resumable %v", first.Local(), first.Resumable())
	}
	second, trips, err := q.login(t, session.Account{Token: token})
	if err != nil || trips != 1 {
		t.Fatalf("with a token: %d round trips, %v", trips, err)
	}
	if second.Local().String() != "juliet@example.org/balcony/1" || second.Token() != token {
		t.Errorf("bound %s, token %+v", second.Local(), second.Token())
	}
	conn, _ := q.dial(t)
	if err := second.Resume(timeout(t), conn); err != nil || conn.count() != 1 {
		t.Errorf("resumption: %d round trips, %v", conn.count(), err)
	}
	in := q.asked[len(q.asked)-1]
	if in.Agent != agent || in.Account != juliet || in.Bind != nil || in.Resume == nil || *in.Resume != (session.Resume{Previous: "first", Handled: "0"}) {
		t.Errorf("asked for %+v", in)
	}
	q.mu.Lock()
	q.previd = "another"
	q.mu.Unlock()
	conn, _ = q.dial(t)
	if err := second.Resume(timeout(t), conn); !errors.Is(err, session.ErrNotResumed) {
		t.Errorf("a session that is gone: %v", err)
	}
}

func TestTokensAreReplaced(t *testing.T) {
	q := newQuickServer(t)
	first, _, err := q.login(t, session.Account{Password: "pencil"})
	if err != nil {
		t.Fatal(err)
	}
	q.due = true
	second, trips, err := q.login(t, session.Account{Token: first.Token()})
	if err != nil || trips != 1 || second.Token() == first.Token() || second.Token().Mechanism != sasl.HTSHA256Expr {
		t.Fatalf("%d round trips, token %+v, %v", trips, second.Token(), err)
	}
	q.due = false
	if _, _, err := q.login(t, session.Account{Token: first.Token()}); err != nil {
		t.Errorf("the old token before the new one is used: %v", err)
	}
	if _, _, err := q.login(t, session.Account{Token: second.Token()}); err != nil {
		t.Errorf("the new token: %v", err)
	}
	if _, _, err := q.login(t, session.Account{Token: first.Token()}); !errors.Is(err, sasl.NotAuthorized) {
		t.Errorf("the old token after that: %v", err)
	}
	again, trips, err := q.login(t, session.Account{Token: first.Token(), Password: "pencil"})
	if err != nil || trips != 3 || again.Token() == first.Token() {
		t.Errorf("the old token, then the password: %d round trips, %v", trips, err)
	}
}

func TestQuickLoginIsRefused(t *testing.T) {
	q := newQuickServer(t)
	if _, _, err := q.login(t, session.Account{Password: "pen"}); !errors.Is(err, sasl.NotAuthorized) || len(q.asked) > 0 {
		t.Errorf("wrong password: %v, asked for %v", err, q.asked)
	}
	stolen := session.Token{Mechanism: sasl.HTSHA256Expr, Secret: "secret-token:fast-x"}
	if _, _, err := q.login(t, session.Account{Token: stolen}); !errors.Is(err, sasl.NotAuthorized) || len(q.asked) > 0 {
		t.Errorf("wrong token: %v, asked for %v", err, q.asked)
	}
	q.refuse = errors.New("no room")
	if _, _, err := q.login(t, session.Account{Password: "pencil"}); !errors.Is(err, sasl.TemporaryAuthFailure) {
		t.Errorf("no session: %v", err)
	}
	q.refuse = &stream.Error{Condition: stream.ResourceConstraint}
	var end *stream.Error
	if _, _, err := q.login(t, session.Account{Password: "pencil"}); !errors.As(err, &end) || end.Condition != stream.ResourceConstraint {
		t.Errorf("no stream: %v", err)
	}
}

func TestUpgrade(t *testing.T) {
	q := newQuickServer(t)
	q.missing = []sasl.Hash{sasl.SHA512, sasl.SHA256}
	for range 2 { // the second time there is nothing to do
		s, _, err := q.login(t, session.Account{Password: "pencil", Mechanisms: []string{sasl.ScramSHA1}})
		if err != nil {
			t.Fatal(err)
		}
		if s.Local().Resource() == "" {
			t.Error("not bound")
		}
	}
	if len(q.added) != 2 {
		t.Fatalf("%d keys", len(q.added))
	}
	for _, k := range q.added {
		if !k.Verify("pencil") || k.Verify("pen") {
			t.Errorf("keys for %s are not those of the password", k.Hash)
		}
	}
}

// While a login is under way, and once a task is, anything else ends the stream (XEP-0388
// sections 2.4 and 5.7).
func TestNothingElseDuringALogin(t *testing.T) {
	const (
		sasl2 = "xmlns='urn:xmpp:sasl:2'"
		begun = "<authenticate " + sasl2 + " mechanism='SCRAM-SHA-1'><initial-response>biwsbj1qdWxpZXQscj1hYmM=</initial-response></authenticate>"
		whole = "<authenticate " + sasl2 + " mechanism='PLAIN'><initial-response>AGp1bGlldABwZW5jaWw=</initial-response>" +
			"<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade></authenticate>"
	)
	cases := []struct {
		name, in string
		want     []string
	}{
		{"a stanza", begun + "<message to='romeo@example.org'/>", []string{"<challenge", "<stream:error", "[close]"}},
		{"SASL of RFC 6120", begun + auth, []string{"<challenge", "<stream:error", "[close]"}},
		{"registration", begun + "<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>", []string{"<challenge", "<stream:error", "[close]"}},
		{"another login", begun + whole, []string{"<challenge", "<stream:error", "[close]"}},
		{"another login within a task", whole + whole, []string{"<continue", "<stream:error", "[close]"}},
		{"SASL of RFC 6120 within a task", whole + auth, []string{"<continue", "<stream:error", "[close]"}},
		{"an abort, then another login", begun + "<abort " + sasl2 + "/>" + begun, []string{"<challenge", "<aborted", "<challenge"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			q := newQuickServer(t)
			q.missing = []sasl.Hash{sasl.SHA512}
			a := acceptor(append([]session.Offer{session.OfferRegistration(host)}, q.offers...)...)
			a.Register = func(context.Context, stanza.Stanza) ([]byte, error) { return nil, nil }
			told := connect(a).feed(t, open+startTLS+open+c.in)
			rest, found := told, false
			for _, w := range c.want {
				if _, rest, found = strings.Cut(rest, w); !found {
					t.Fatalf("no %s in %s", w, told)
				}
			}
			if strings.Contains(told, "<success") {
				t.Errorf("logged in: %s", told)
			}
		})
	}
}
