package sasl_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/sasl"
)

func TestOffer(t *testing.T) {
	full := accounts(t, "pencil")
	full.Mechanisms = nil
	full.External = func(context.Context, *x509.Certificate, string) (string, error) { return "juliet", nil }
	full.Anonymous = func(context.Context, string) (string, error) { return "guest", nil }
	few := *full
	few.Mechanisms = []string{sasl.Plain, sasl.ScramSHA1, "UNHEARD-OF"}
	verify := &sasl.Authenticator{Verify: func(context.Context, string, string) error { return nil }}
	short := *full
	short.Secret = []byte("short")
	certified := secure
	certified.Certificate = &x509.Certificate{}

	cases := []struct {
		name    string
		auth    *sasl.Authenticator
		channel sasl.Channel
		want    string
	}{
		{"in the clear", full, sasl.Channel{}, "SCRAM-SHA-256 SCRAM-SHA-1 ANONYMOUS"},
		{"over TLS", full, sasl.Channel{Secure: true}, "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN ANONYMOUS"},
		{
			"with bindings and a certificate", full, certified,
			"SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS EXTERNAL SCRAM-SHA-256 SCRAM-SHA-1 PLAIN ANONYMOUS",
		},
		{"as configured", &few, secure, "PLAIN SCRAM-SHA-1"},
		{"passwords checked elsewhere", verify, secure, "PLAIN"},
		{"a secret too short for decoys", &short, secure, "ANONYMOUS"},
		{"nobody to ask", &sasl.Authenticator{}, secure, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(c.auth.Offer(c.channel), " "); got != c.want {
				t.Fatalf("got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestPlainMessages(t *testing.T) {
	auth := accounts(t, "pencil")
	cases := []struct {
		name, message string
		want          sasl.Condition // empty: accepted
	}{
		{"right", "\x00juliet\x00pencil", ""},
		{"authzid", "juliet\x00juliet\x00pencil", ""},
		{"other authzid", "romeo\x00juliet\x00pencil", sasl.InvalidAuthzid},
		{"wrong password", "\x00juliet\x00pen", sasl.NotAuthorized},
		{"no account", "\x00romeo\x00pencil", sasl.NotAuthorized},
		{"empty", "", sasl.MalformedRequest},
		{"no password", "\x00juliet\x00", sasl.MalformedRequest},
		{"no username", "\x00\x00pencil", sasl.MalformedRequest},
		{"one part too few", "juliet\x00pencil", sasl.MalformedRequest},
		{"one part too many", "\x00juliet\x00pencil\x00", sasl.MalformedRequest},
		{"not UTF-8", "\x00juliet\x00pencil\xff", sasl.MalformedRequest},
		{"too long", "\x00juliet\x00" + strings.Repeat("x", 9000), sasl.MalformedRequest},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server, err := auth.Start(sasl.Plain, secure)
			if err != nil {
				t.Fatal(err)
			}
			_, done, err := server.Step(context.Background(), []byte(c.message))
			switch {
			case c.want == "" && (err != nil || !done || server.Username() != "juliet"):
				t.Fatalf("done %v, username %q, error %v", done, server.Username(), err)
			case c.want != "" && !errors.Is(err, c.want):
				t.Fatalf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestPlainVerify(t *testing.T) {
	down := errors.New("the directory is down")
	auth := &sasl.Authenticator{Verify: func(_ context.Context, username, password string) error {
		switch {
		case username == "disabled":
			return &sasl.Failure{Condition: sasl.AccountDisabled, Text: "ask the office"}
		case username == "broken":
			return down
		case username != "juliet":
			return sasl.ErrNoAccount
		case password != "pencil":
			return sasl.NotAuthorized
		}
		return nil
	}}
	cases := []struct {
		username, password string
		want               error
	}{
		{"juliet", "pencil", nil},
		{"juliet", "pen", sasl.NotAuthorized},
		{"romeo", "pencil", sasl.NotAuthorized},
		{"disabled", "pencil", sasl.AccountDisabled},
		{"broken", "pencil", sasl.TemporaryAuthFailure},
	}
	for _, c := range cases {
		server, err := auth.Start(sasl.Plain, secure)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = server.Step(context.Background(), []byte("\x00"+c.username+"\x00"+c.password))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.username, err, c.want)
		}
		var f *sasl.Failure
		if c.username == "broken" && (!errors.As(err, &f) || f.Text != "" || !errors.Is(f.Cause, down)) {
			t.Errorf("the fault's text goes to the peer, or nowhere: %+v", f)
		}
	}
}

func TestExternal(t *testing.T) {
	certificate := &x509.Certificate{}
	auth := &sasl.Authenticator{External: func(_ context.Context, c *x509.Certificate, authzid string) (string, error) {
		if c != certificate {
			return "", errors.New("another certificate")
		}
		if authzid == "nobody" {
			return "", sasl.ErrNoAccount
		}
		return "juliet", nil
	}}
	channel := sasl.Channel{Secure: true, Certificate: certificate}
	cases := []struct {
		name, authzid string
		want          error
	}{
		{"none", "", nil},
		{"own", "juliet", nil},
		{"other", "romeo", sasl.InvalidAuthzid},
		{"no account", "nobody", sasl.NotAuthorized},
		{"nul", "a\x00b", sasl.MalformedRequest},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			credentials := sasl.Credentials{Authzid: c.authzid, Mechanisms: []string{sasl.External}}
			client, err := sasl.NewClient(credentials, auth.Offer(channel))
			if err != nil {
				t.Fatal(err)
			}
			server, err := auth.Start(sasl.External, channel)
			if err != nil {
				t.Fatal(err)
			}
			_, err = exchange(client, server, nil)
			if !errors.Is(err, c.want) || err == nil && server.Username() != "juliet" {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	var traces []string
	auth := &sasl.Authenticator{Anonymous: func(_ context.Context, trace string) (string, error) {
		traces = append(traces, trace)
		return "guest", nil
	}}
	for _, trace := range [][]byte{nil, {}, []byte("sirhc")} { // nil is no initial response
		server, err := auth.Start(sasl.Anonymous, sasl.Channel{})
		if err != nil {
			t.Fatal(err)
		}
		if _, done, err := server.Step(context.Background(), trace); !done || err != nil {
			t.Fatalf("done %v, error %v", done, err)
		}
		if server.Username() != "guest" {
			t.Fatalf("username %q", server.Username())
		}
	}
	if !slices.Equal(traces, []string{"", "", "sirhc"}) {
		t.Fatalf("traces %q", traces)
	}
	server, _ := auth.Start(sasl.Anonymous, sasl.Channel{})
	if _, _, err := server.Step(context.Background(), bytes.Repeat([]byte("x"), 256)); !errors.Is(err, sasl.MalformedRequest) {
		t.Fatalf("a long trace: %v", err)
	}
}

func TestLookupFaults(t *testing.T) {
	down := errors.New("the store is down")
	good, err := sasl.NewKeys(sasl.SHA256, "pencil", sasl.NewSalt(), iterations)
	if err != nil {
		t.Fatal(err)
	}
	broken := good
	broken.ServerKey = broken.ServerKey[:20]
	cases := []struct {
		name string
		keys sasl.Keys
		err  error
		want sasl.Condition
	}{
		{"down", sasl.Keys{}, down, sasl.TemporaryAuthFailure},
		{"disabled", sasl.Keys{}, sasl.AccountDisabled, sasl.AccountDisabled},
		{"keys of another hash", good, nil, sasl.TemporaryAuthFailure},
		{"broken keys", broken, nil, sasl.TemporaryAuthFailure},
		{"no keys", sasl.Keys{}, nil, sasl.TemporaryAuthFailure},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			auth := &sasl.Authenticator{
				Secret: secret,
				Keys:   func(context.Context, string, sasl.Hash) (sasl.Keys, error) { return c.keys, c.err },
			}
			server, err := auth.Start(sasl.ScramSHA1, sasl.Channel{})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = server.Step(context.Background(), []byte("n,,n=juliet,r=abc"))
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
		})
	}
}

// What a stranger sees of an account that does not exist is what it would see of
// one that does, every time.
func TestUnknownAccountLooksKnown(t *testing.T) {
	auth := accounts(t, "pencil")
	ask := func(name string) string {
		server, err := auth.Start(sasl.ScramSHA256, sasl.Channel{})
		if err != nil {
			t.Fatal(err)
		}
		challenge, done, err := server.Step(context.Background(), []byte("n,,n="+name+",r=abc"))
		if done || err != nil {
			t.Fatalf("%s: done %v, error %v", name, done, err)
		}
		_, salt, _ := strings.Cut(string(challenge), ",")
		return salt
	}
	romeo, again, tybalt, known := ask("romeo"), ask("romeo"), ask("tybalt"), ask("juliet")
	if romeo != again || romeo == tybalt || len(romeo) != len(known) {
		t.Fatalf("romeo %s, again %s, tybalt %s, juliet %s", romeo, again, tybalt, known)
	}
	if sasl.Decoy(secret, sasl.SHA256, "romeo", iterations).Verify("") {
		t.Fatal("a decoy has a password")
	}
}

func TestScramMessages(t *testing.T) {
	auth := accounts(t, "pencil")
	cases := []struct {
		name, message string
		want          sasl.Condition // empty: answered
	}{
		{"right", "n,,n=juliet,r=abc", ""},
		{"extension", "n,,n=juliet,r=abc,x=1", ""},
		{"mandatory extension", "n,,m=1,n=juliet,r=abc", sasl.MalformedRequest},
		{"mandatory extension behind", "n,,n=juliet,r=abc,m=1", sasl.MalformedRequest},
		{"no header", "n=juliet,r=abc", sasl.MalformedRequest},
		{"bad flag", "x,,n=juliet,r=abc", sasl.MalformedRequest},
		{"binding without plus", "p=tls-exporter,,n=juliet,r=abc", sasl.MalformedRequest},
		{"binding without name", "p=,,n=juliet,r=abc", sasl.MalformedRequest},
		{"bad authzid", "n,juliet,n=juliet,r=abc", sasl.MalformedRequest},
		{"no username", "n,,n=,r=abc", sasl.MalformedRequest},
		{"bad escape", "n,,n=a=2D,r=abc", sasl.MalformedRequest},
		{"no nonce", "n,,n=juliet", sasl.MalformedRequest},
		{"empty nonce", "n,,n=juliet,r=", sasl.MalformedRequest},
		{"nonce with a space", "n,,n=juliet,r=a b", sasl.MalformedRequest},
		{"nul", "n,,n=juliet\x00,r=abc", sasl.MalformedRequest},
		{"not UTF-8", "n,,n=juliet\xff,r=abc", sasl.MalformedRequest},
		{"empty", "", sasl.MalformedRequest},
		{"too long", "n,,n=juliet,r=" + strings.Repeat("a", 9000), sasl.MalformedRequest},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server, err := auth.Start(sasl.ScramSHA256, sasl.Channel{})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = server.Step(context.Background(), []byte(c.message))
			if c.want == "" && err != nil || c.want != "" && !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if _, _, again := server.Step(context.Background(), []byte(c.message)); c.want != "" && again == nil {
				t.Fatal("goes on after an error")
			}
		})
	}
}

// That an account is disabled is told to who has proved its password, and to nobody else.
func TestRefusalOfTheOwner(t *testing.T) {
	keys, err := sasl.NewKeys(sasl.SHA256, "pencil", sasl.NewSalt(), iterations)
	if err != nil {
		t.Fatal(err)
	}
	auth := sasl.Authenticator{
		Secret: secret,
		Keys: func(context.Context, string, sasl.Hash) (sasl.Keys, error) {
			return keys, &sasl.Failure{Condition: sasl.AccountDisabled, Text: "ask the office"}
		},
	}
	for _, mechanism := range []string{sasl.Plain, sasl.ScramSHA256} {
		auth.Mechanisms = []string{mechanism}
		for password, want := range map[string]sasl.Condition{"pencil": sasl.AccountDisabled, "pen": sasl.NotAuthorized} {
			server, err := auth.Start(mechanism, secure)
			if err != nil {
				t.Fatal(err)
			}
			client, err := sasl.NewClient(sasl.Credentials{Username: "juliet", Password: password, Secure: true}, []string{mechanism})
			if err != nil {
				t.Fatal(err)
			}
			var challenge []byte
			done := false
			for err == nil && !done {
				var out []byte
				if out, _, err = client.Step(challenge); err == nil {
					challenge, done, err = server.Step(context.Background(), out)
				}
			}
			if !errors.Is(err, want) || server.Username() != "" {
				t.Errorf("%s with %s: done %v, %v, username %q; want %s", mechanism, password, done, err, server.Username(), want)
			}
		}
	}
}
