package c2s_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/c2s"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/xdb/memory"
)

// whole is a server whose sessions are those of sm.
func whole(args string) sdktest.Plan {
	return sdktest.Plan{
		Modules: []module.Module{c2s.Module, sm.Module, memory.Module},
		Sections: []module.Section{
			sdktest.Section("c2s", packet.Session, sdktest.Block("c2s", args)),
			sdktest.Service("users", sdktest.Host(domain), sdktest.Block("sm", "{}")),
			sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("memory", "{}")),
		},
	}
}

const directTLS = `"listen":[],"tls":{"listen":["127.0.0.1:0"]}`

const installation = "d4565fa7-4d72-4749-b3d3-740edbf87770"

// A trips counts the round trips of a client in TLS until it is logged in: how often it
// waits for an answer to what it has written.
type trips struct {
	*tls.Conn
	mu      sync.Mutex
	written bool
	n       int
	read    []byte // until it is logged in
	in      bool
}

func (c *trips) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.written = true
	c.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *trips) Read(b []byte) (int, error) {
	c.mu.Lock()
	if c.written && !c.in {
		c.n++
	}
	c.written = false
	c.mu.Unlock()
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.in {
		c.read = append(c.read, b[:n]...)
		c.in = bytes.Contains(c.read, []byte("</success>"))
	}
	return n, err
}

func (c *trips) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func dialTLS(t *testing.T, address string) *trips {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: domain, NextProtos: []string{"xmpp-client"}, MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &trips{Conn: conn}
}

// quick logs in by SASL2, and returns how many round trips that took.
func quick(t *testing.T, address string, a session.Account) (*session.Session, int, error) {
	t.Helper()
	conn := dialTLS(t, address)
	if a.Address.IsZero() {
		a.Address = jid.MustParse("ann@" + domain + "/phone")
	}
	if a.Agent == (session.Agent{}) {
		a.Agent = session.Agent{ID: installation, Software: "test"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	s, err := session.Client(ctx, conn, a)
	if err != nil {
		return nil, conn.count(), err
	}
	t.Cleanup(s.Drop)
	return s, conn.count(), nil
}

// A client with SASL2, Bind 2 and FAST logs in again with a token in one round trip, and
// so it resumes its session.
func TestQuickLogin(t *testing.T) {
	sdktest.Both(t, whole("{"+directTLS+"}"), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		first, n, err := quick(t, address, session.Account{Password: "secret"})
		if err != nil || n != 3 {
			t.Fatalf("with the password: %d round trips, %v", n, err)
		}
		token := first.Token()
		full := first.Local().String()
		if !strings.HasPrefix(full, "ann@example.org/phone/") || len(full) < 36 || strings.Contains(full, installation) {
			t.Errorf("bound %s", full)
		}
		if token.Mechanism != sasl.HTSHA256Expr || time.Until(token.Expiry) < 20*24*time.Hour || !first.Resumable() {
			t.Fatalf("token %+v, resumable %v", token, first.Resumable())
		}
		notInStorage(t, h, token.Secret)
		first.Close()

		second, n, err := quick(t, address, session.Account{Token: token})
		if err != nil || n != 1 {
			t.Fatalf("with the token: %d round trips, %v", n, err)
		}
		if second.Local().String() != full || second.Token() != token {
			t.Errorf("bound %s, token %+v", second.Local(), second.Token())
		}
		echo(t, second, "before")
		second.Drop()
		conn := dialTLS(t, address)
		if err := second.Resume(t.Context(), conn); err != nil || conn.count() != 1 {
			t.Fatalf("resumption: %d round trips, %v", conn.count(), err)
		}
		echo(t, second, "after")

		third, n, err := quick(t, address, session.Account{Token: token})
		if err != nil || n != 1 || third.Local().String() != full {
			t.Fatalf("again: %d round trips, %s, %v", n, third.Local(), err)
		}
		if _, err := second.Receive(t.Context()); err == nil || !strings.Contains(err.Error(), "conflict") {
			t.Errorf("the session of before ends with %v", err)
		}
	})
}

// echo has a message to oneself come back.
func echo(t *testing.T, s *session.Session, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Message(ctx, s.Local(), text); err != nil {
		t.Fatal(err)
	}
	for {
		st, err := s.Receive(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if st.Name == stanza.Message && strings.Contains(string(st.Body), ">"+text+"<") {
			break
		}
	}
	if err := s.Sync(ctx); err != nil {
		t.Fatal(err)
	}
}

func notInStorage(t *testing.T, h *sdktest.Harness, secret string) {
	t.Helper()
	items, err := xdb.New(asker{h}, "test").GetAll(t.Context(), "ann@"+domain, account.Tokens)
	if err != nil || len(items) != 1 {
		t.Fatalf("tokens in storage: %v, %v", items, err)
	}
	if strings.Contains(string(items[0].Value), strings.TrimPrefix(secret, "secret-token:fast-")) {
		t.Errorf("the token is in storage: %s", items[0].Value)
	}
}

// A session that is gone is replaced by a new one, within the same login.
func TestQuickLoginAfterTheSessionHasEnded(t *testing.T) {
	sdktest.Both(t, whole("{"+directTLS+"}"), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		conn := dialTLS(t, address)
		text := "<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>" +
			"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AGFubgBzZWNyZXQ=</initial-response>" +
			"<resume xmlns='urn:xmpp:sm:3' previd='gone' h='0'/><bind xmlns='urn:xmpp:bind:0'><tag>x</tag></bind></authenticate>" +
			"<iq type='get' id='p' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq></stream:stream>"
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		out := readAll(t, conn)
		rest := out
		for _, want := range []string{
			"<authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-256-PLUS<", "<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR<",
			"<feature var='urn:xmpp:carbons:2'/>", "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256<",
			"<success xmlns='urn:xmpp:sasl:2'>", "<authorization-identifier>ann@example.org/x/", "<failed xmlns='urn:xmpp:sm:3'><item-not-found",
			"<bound xmlns='urn:xmpp:bind:0'/></success>", "<stream:features", "<sm xmlns='urn:xmpp:sm:3'/>", "</stream:features>", "type='result' id='p'", "</stream:stream>",
		} {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Fatalf("no %s in its place in\n%s", want, out)
			}
			rest = after
		}
	})
}

// A client whose login is fine, but that gets no session, is told why, and may try
// again on the same stream: here it comes when another has gone.
func TestQuickLoginWithoutASession(t *testing.T) {
	p := whole("{" + directTLS + "}")
	p.Sections[1] = sdktest.Service("users", sdktest.Host(domain), sdktest.Block("sm", `{"max_sessions":1}`))
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		const bind = "<bind xmlns='urn:xmpp:bind:0'/></authenticate>"
		one, in := talkTLS(t, address, loginWith+bind)
		until(t, in, "</success>")
		two, in2 := talkTLS(t, address, loginWith+bind)
		const refused = "<failure xmlns='urn:xmpp:sasl:2'><temporary-auth-failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>" +
			"<text xml:lang='en'>the account has too many sessions</text></failure>"
		until(t, in2, refused)
		io.WriteString(one, closed)
		h.Logged("session.closed")
		_, again, _ := strings.Cut(loginWith, "'http://etherx.jabber.org/streams'>")
		io.WriteString(two, again+bind)
		until(t, in2, "</success>")
	})
}

// talkTLS is talk in TLS.
func talkTLS(t *testing.T, address, say string) (io.Writer, *bufio.Reader) {
	t.Helper()
	conn := dialTLS(t, address)
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, say); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// Stream management that began within the login is not offered again: some clients
// take what is offered, and give up when it is refused.
func TestQuickLoginOffersManagementOnce(t *testing.T) {
	sdktest.Both(t, whole("{"+directTLS+"}"), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		for _, c := range []struct {
			name, ask string
			offered   bool
		}{
			{"enabled", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>", false},
			{"not enabled", "<enable xmlns='urn:xmpp:carbons:2'/>", true},
		} {
			conn := dialTLS(t, address)
			if _, err := conn.Write([]byte("<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>" +
				"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AGFubgBzZWNyZXQ=</initial-response>" +
				"<bind xmlns='urn:xmpp:bind:0'>" + c.ask + "</bind></authenticate></stream:stream>")); err != nil {
				t.Fatal(err)
			}
			out := readAll(t, conn)
			_, features, found := strings.Cut(out, "</success>")
			if !found || strings.Contains(out, "<enabled") == c.offered || strings.Contains(features, "<sm ") != c.offered {
				t.Errorf("%s: %s", c.name, out)
			}
			if strings.Contains(features, "<bind ") || !strings.Contains(features, "<ver ") {
				t.Errorf("%s: behind the login are offered %s", c.name, features)
			}
		}
	})
}

func TestTokens(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, whole("{"+directTLS+`,"guesses":{"delay":"0s"},"tokens":{"renew":"0s","clients":2}}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		store := xdb.New(asker{h}, "test")
		refused := func(name string, token session.Token, agent string) {
			t.Helper()
			if _, _, err := quick(t, address, session.Account{Token: token, Agent: session.Agent{ID: agent}}); !errors.Is(err, sasl.NotAuthorized) {
				t.Errorf("%s: %v", name, err)
			}
		}
		login := func(name string, a session.Account, agent string) session.Token {
			t.Helper()
			a.Agent.ID = agent
			s, _, err := quick(t, address, a)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return s.Token()
		}
		one := login("password", session.Account{Password: "secret"}, "a")
		two := login("token", session.Account{Token: one}, "a")
		if one == two {
			t.Fatal("the token is not renewed")
		}
		if three := login("the old one, while the new one was not used", session.Account{Token: one}, "a"); three == two {
			t.Error("a token twice")
		} else {
			login("the new one", session.Account{Token: three}, "a")
		}
		refused("one that was used up", one, "a")
		refused("one that was never used", two, "a")

		one = login("password", session.Account{Password: "secret"}, "a")
		refused("another client's", one, "b")
		weaker := one
		weaker.Mechanism = sasl.HTSHA256None
		refused("with another mechanism", weaker, "a")
		if got := login("falls back to the password", session.Account{Token: weaker, Password: "secret"}, "a"); got == weaker {
			t.Error("the refused token is kept")
		}
		for _, agent := range []string{"b", "c", "d"} {
			login("password", session.Account{Password: "secret"}, agent)
		}
		if items, err := store.GetAll(t.Context(), "ann@"+domain, account.Tokens); err != nil || len(items) != 2 {
			t.Errorf("%d clients have tokens, %v", len(items), err)
		}
		disabled := login("password", session.Account{Password: "secret"}, "a")
		if err := account.Disable(t.Context(), store, "ann@"+domain); err != nil {
			t.Fatal(err)
		}
		if _, _, err := quick(t, address, session.Account{Token: disabled, Agent: session.Agent{ID: "a"}}); !errors.Is(err, sasl.AccountDisabled) {
			t.Errorf("an account that is disabled: %v", err)
		}
		refused("a guess at one that is disabled", two, "a")
		if err := account.Enable(t.Context(), store, "ann@"+domain); err != nil {
			t.Fatal(err)
		}
		login("an account that is enabled again", session.Account{Token: disabled}, "a")
		last := login("password", session.Account{Password: "secret"}, "a")
		if err := account.SetPassword(t.Context(), store, "ann@"+domain, "other", nil); err != nil {
			t.Fatal(err)
		}
		refused("after another password", last, "a")
	})
}

// putKeys makes an account that has keys of one hash only.
func putKeys(t *testing.T, store *xdb.Store, owner string, keys sasl.Keys) error {
	text, err := keys.MarshalText()
	if err == nil {
		_, err = store.Put(t.Context(), owner, account.NS, "scram-"+strings.ToLower(string(keys.Hash)), text)
	}
	return err
}

func TestUpgrade(t *testing.T) {
	sdktest.Both(t, whole("{"+directTLS+"}"), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		store := xdb.New(asker{h}, "test")
		for name, mechanism := range map[string]string{"ann": sasl.ScramSHA1, "bob": sasl.Plain} {
			owner := name + "@" + domain
			keys, err := sasl.NewKeys(sasl.SHA1, "secret", sasl.NewSalt(), sasl.MinIterations)
			if err == nil {
				err = putKeys(t, store, owner, keys)
			}
			if err != nil {
				t.Fatal(err)
			}
			a := session.Account{Address: jid.MustParse(owner + "/x"), Password: "secret", Mechanisms: []string{mechanism}}
			if _, _, err := quick(t, address, a); err != nil {
				t.Fatalf("%s: %v", mechanism, err)
			}
			for _, hash := range []sasl.Hash{sasl.SHA256, sasl.SHA512} {
				if k, err := account.Keys(t.Context(), store, owner, hash); err != nil || !k.Verify("secret") {
					t.Errorf("%s: no keys for %s: %v", mechanism, hash, err)
				}
			}
			a.Mechanisms = []string{sasl.ScramSHA256Plus}
			if _, _, err := quick(t, address, a); err != nil {
				t.Errorf("%s then SCRAM-SHA-256-PLUS: %v", mechanism, err)
			}
		}
	})
}

func TestMechanisms(t *testing.T) {
	for _, test := range []struct{ name, args, bad string }{
		{"one that is none", `{"mechanisms":["MD5"]}`, "MD5"},
		{"bound", `{"mechanisms":["SCRAM-SHA-1-PLUS"]}`, "SCRAM-SHA-1-PLUS"},
		{"no window", `{"guesses":{"window":"0s"}}`, "window"},
		{"keys in the clear", `{"oauth":{"issuer":"x","audience":"y","keys":"http://example.org/keys"}}`, "https"},
	} {
		if _, err := c2s.Module.New(nil, []byte(test.args)); err == nil || !strings.Contains(err.Error(), test.bad) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	sdktest.Both(t, whole("{"+directTLS+`,"mechanisms":["SCRAM-SHA-512"]}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		if _, _, err := quick(t, address, session.Account{Password: "secret", Mechanisms: []string{sasl.ScramSHA512Plus}}); err != nil {
			t.Error(err)
		}
		if _, _, err := quick(t, address, session.Account{Password: "secret", Mechanisms: []string{sasl.Plain, sasl.ScramSHA256}}); !errors.Is(err, sasl.ErrNoMechanism) {
			t.Error(err)
		}
	})
}

func readAll(t *testing.T, conn io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(conn)
	if err != nil && len(b) == 0 {
		t.Fatal(err)
	}
	return string(b)
}

// loginWith begins a login of ann by SASL2.
const loginWith = "<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>" +
	"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AGFubgBzZWNyZXQ=</initial-response>"

var resumable = regexp.MustCompile(`<enabled [^>]*\bid='([^']+)'`)

// readTo reads until a connection has said what is wanted.
func readTo(t *testing.T, conn net.Conn, want string) string {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	var out []byte
	for b := make([]byte, 4096); !strings.Contains(string(out), want); {
		n, err := conn.Read(b)
		if out = append(out, b[:n]...); err != nil {
			t.Fatalf("no %s in %s: %v", want, out, err)
		}
	}
	return string(out)
}

// Of connections that resume one session at the same time the last one has it, and each
// of the others is told that it has not.
func TestResumptionsAtOnce(t *testing.T) {
	sdktest.Both(t, whole("{"+directTLS+"}"), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		for range 5 {
			first := dialTLS(t, address)
			if _, err := io.WriteString(first, loginWith+"<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind></authenticate>"); err != nil {
				t.Fatal(err)
			}
			id := resumable.FindStringSubmatch(readTo(t, first, "</success>"))
			text := loginWith + "<resume xmlns='urn:xmpp:sm:3' previd='" + id[1] + "' h='0'/></authenticate>"
			const all = 8
			ended := make(chan string, all)
			var conns []*trips
			for range all {
				conn := dialTLS(t, address)
				conns = append(conns, conn)
				go func() {
					io.WriteString(conn, text)
					out, _ := io.ReadAll(conn)
					ended <- string(out)
				}()
			}
			for range all - 1 {
				select {
				case out := <-ended:
					if !strings.Contains(out, "<conflict ") {
						t.Errorf("ended with %s", out)
					}
				case <-time.After(30 * time.Second):
					t.Fatal("a connection without a session is not ended")
				}
			}
			for _, conn := range conns {
				conn.Close()
			}
		}
	})
}
