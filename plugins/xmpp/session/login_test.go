package session_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
)

// clientTLS connects with TLS before the stream.
func clientTLS(t *testing.T, conn net.Conn, config *tls.Config) net.Conn {
	t.Helper()
	config = config.Clone()
	config.ServerName = host.Domain()
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(timeout(t)); err != nil {
		t.Fatal(err)
	}
	return secure
}

func TestLogin(t *testing.T) {
	serverTLS, roots := certificate(t)
	secure := session.NewTLSServer(serverTLS)
	cases := []struct {
		name      string
		offer     string // off, optional, required, direct
		mechanism string
		resource  string
		plaintext bool
	}{
		{"STARTTLS, bound to the channel", "required", sasl.ScramSHA256Plus, "balcony", false},
		{"STARTTLS, optional", "optional", sasl.ScramSHA1Plus, "balcony", true},
		{"STARTTLS, SCRAM-SHA-1", "required", sasl.ScramSHA1, "chamber", false},
		{"STARTTLS, PLAIN", "required", sasl.Plain, "", false},
		{"direct TLS", "direct", sasl.ScramSHA256Plus, "chamber", false},
		{"direct TLS, PLAIN", "direct", sasl.Plain, "", false},
		{"in the clear", "off", sasl.ScramSHA256, "", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx := timeout(t)
			auth := accounts()
			auth.Mechanisms = []string{c.mechanism}
			offers := []session.Offer{session.OfferSASL(host, auth), session.OfferBind(bind)}
			if c.offer == "optional" || c.offer == "required" {
				offers = append([]session.Offer{session.OfferStartTLS(c.offer == "required")}, offers...)
			}
			ours, theirs := loopback(t)
			if c.offer == "direct" {
				theirs = tls.Server(theirs, serverTLS)
			}
			result := serve(ctx, theirs, acceptor(offers...), secure, session.Config{})
			if c.offer == "direct" {
				ours = clientTLS(t, ours, roots)
			}
			address, _ := juliet.WithResource(c.resource)
			client, err := session.Client(ctx, ours, session.Account{
				Address: address, Password: "pencil", TLS: roots, Plaintext: c.plaintext,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			r := <-result
			if r.err != nil {
				t.Fatal(r.err)
			}
			defer r.session.Close()
			want, _ := bind(ctx, juliet, c.resource)
			if client.Local() != want || r.session.Remote() != want || r.session.Local() != host {
				t.Fatalf("client %v, server %v, want %v", client.Local(), r.session.Remote(), want)
			}
			if (client.TLS() != nil) != (c.offer != "off") || (r.session.TLS() != nil) != (c.offer != "off") {
				t.Fatal("encrypted, or not, as it should not be")
			}
		})
	}
}

func TestLoginRefused(t *testing.T) {
	serverTLS, roots := certificate(t)
	_, strangers := certificate(t)
	secure := session.NewTLSServer(serverTLS)
	full := func() []session.Offer {
		return append([]session.Offer{session.OfferStartTLS(true)}, plain()...)
	}
	cases := []struct {
		name   string
		offers func() []session.Offer
		change func(*session.Account)
		check  func(error) bool
	}{
		{
			"wrong password", full, func(a *session.Account) { a.Password = "pen" },
			func(err error) bool { return errors.Is(err, sasl.NotAuthorized) },
		},
		{
			"no account", full, func(a *session.Account) { a.Address = jid.MustParse("tybalt@example.org") },
			func(err error) bool { return errors.Is(err, sasl.NotAuthorized) },
		},
		{
			"no such host", full, func(a *session.Account) { a.Address = jid.MustParse("juliet@example.com") },
			func(err error) bool {
				var e *stream.Error
				return errors.As(err, &e) && e.Condition == stream.HostUnknown
			},
		},
		{
			"resource in use", full, func(a *session.Account) { a.Address = jid.MustParse("juliet@example.org/taken") },
			func(err error) bool {
				var e *stanza.Error
				return errors.As(err, &e) && e.Condition == stanza.Conflict
			},
		},
		{
			"no TLS", func() []session.Offer { return plain() }, func(*session.Account) {},
			func(err error) bool { return strings.Contains(err.Error(), "starttls: not offered") },
		},
		{
			"stranger's certificate", full, func(a *session.Account) { a.TLS = strangers },
			func(err error) bool {
				var e *tls.CertificateVerificationError
				return errors.As(err, &e)
			},
		},
		{
			"no mechanism in common", full, func(a *session.Account) { a.Mechanisms = []string{sasl.ScramSHA512} },
			func(err error) bool { return errors.Is(err, sasl.ErrNoMechanism) },
		},
		{
			"no way to authenticate", func() []session.Offer { return nil },
			func(a *session.Account) { a.Plaintext = true },
			func(err error) bool { return strings.Contains(err.Error(), "sasl: not offered") },
		},
		{
			"nothing to bind", func() []session.Offer { return full()[:2] }, func(*session.Account) {},
			func(err error) bool { return strings.Contains(err.Error(), "bind: not offered") },
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx := timeout(t)
			ours, theirs := loopback(t)
			result := serve(ctx, theirs, acceptor(c.offers()...), secure, session.Config{})
			account := session.Account{Address: juliet, Password: "pencil", TLS: roots}
			c.change(&account)
			s, err := session.Client(ctx, ours, account)
			if err == nil || !c.check(err) {
				t.Fatalf("got %v, %v", s, err)
			}
			if _, err := ours.Write([]byte(" ")); !errors.Is(err, net.ErrClosed) {
				t.Fatalf("the connection is still open: %v", err)
			}
			if r := <-result; r.session != nil {
				r.session.Close()
			}
		})
	}
}

func TestLoginEndsWithItsContext(t *testing.T) {
	ours, _ := loopback(t)
	ctx, cancel := context.WithCancel(timeout(t))
	done := make(chan error, 1)
	go func() {
		_, err := session.Client(ctx, ours, session.Account{Address: juliet, Password: "pencil"})
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

// A server of the old kind wants a session behind bind, and is given one.
func TestOldSessions(t *testing.T) {
	for _, c := range []struct {
		feature string
		asked   bool
	}{
		{"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>", true},
		{"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>", false},
	} {
		ctx := timeout(t)
		ours, theirs := loopback(t)
		offers := []session.Offer{session.OfferSASL(host, accounts()), session.Advertise([]byte(c.feature)), session.OfferBind(bind)}
		result := serve(ctx, theirs, acceptor(offers...), nil, session.Config{})
		login := make(chan error, 1)
		var client *session.Session
		go func() {
			var err error
			client, err = session.Client(ctx, ours, session.Account{Address: juliet, Password: "pencil", Plaintext: true})
			login <- err
		}()
		r := <-result
		if r.err != nil {
			t.Fatal(r.err)
		}
		if c.asked {
			iq, err := r.session.Receive(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := iq.Find("session", ns.Session); !ok || iq.Type != stanza.TypeSet {
				t.Fatalf("got %+v", iq)
			}
			if err := r.session.Send(ctx, iq.Result(nil)); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-login; err != nil {
			t.Fatal(err)
		}
		client.Close()
		if st, err := r.session.Receive(ctx); !errors.Is(err, io.EOF) {
			t.Fatalf("got %+v, %v", st, err)
		}
	}
}
