package sasl_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/sasl"
)

const iterations = 4096

var (
	secret   = []byte("a secret that decoys are made of")
	exporter = sasl.Binding{Type: sasl.TLSExporter, Data: []byte("thirty-two bytes of the channel.")}
	endpoint = sasl.Binding{Type: sasl.TLSServerEndPoint, Data: []byte("hash of the certificate")}
	secure   = sasl.Channel{Secure: true, Bindings: []sasl.Binding{exporter, endpoint}}
)

// accounts has one user, juliet, with keys of all hashes of one password.
func accounts(t testing.TB, password string) *sasl.Authenticator {
	t.Helper()
	keys := map[sasl.Hash]sasl.Keys{}
	for _, h := range []sasl.Hash{sasl.SHA1, sasl.SHA256, sasl.SHA512} {
		k, err := sasl.NewKeys(h, password, []byte("sixteen bytes...")[:16], iterations)
		if err != nil {
			t.Fatal(err)
		}
		keys[h] = k
	}
	return &sasl.Authenticator{
		Mechanisms: []string{
			sasl.ScramSHA512Plus, sasl.ScramSHA256Plus, sasl.ScramSHA1Plus,
			sasl.ScramSHA512, sasl.ScramSHA256, sasl.ScramSHA1, sasl.Plain,
		},
		Secret: secret,
		Keys: func(_ context.Context, username string, h sasl.Hash) (sasl.Keys, error) {
			if username != "juliet" {
				return sasl.Keys{}, sasl.ErrNoAccount
			}
			if h == "" {
				h = sasl.SHA256
			}
			return keys[h], nil
		},
	}
}

func juliet() sasl.Credentials {
	return sasl.Credentials{
		Username: "juliet", Password: "pencil", Secure: true,
		Bindings: []sasl.Binding{exporter},
	}
}

// tamper may change a message on its way: number 0 is the client's first.
type tamper func(number int, message []byte) []byte

// exchange runs a client against a server as a stream would: the server's last
// message is the data of its success.
func exchange(client *sasl.Client, server *sasl.Server, change tamper) (clientErr, serverErr error) {
	if change == nil {
		change = func(_ int, m []byte) []byte { return m }
	}
	response, clientDone, err := client.Step(nil)
	if err != nil {
		return err, nil
	}
	for number := 0; ; number += 2 {
		challenge, done, err := server.Step(context.Background(), change(number, response))
		if err != nil {
			return nil, err
		}
		if done && clientDone && challenge == nil {
			return nil, nil
		}
		response, clientDone, err = client.Step(change(number+1, challenge))
		if err != nil {
			return err, nil
		}
		if done && !clientDone {
			return errors.New("success before the client was done"), nil
		}
		if done {
			return nil, nil
		}
	}
}

func TestEveryMechanism(t *testing.T) {
	auth := accounts(t, "pencil")
	for _, mechanism := range auth.Offer(secure) {
		t.Run(mechanism, func(t *testing.T) {
			c := juliet()
			c.Mechanisms = []string{mechanism}
			client, err := sasl.NewClient(c, auth.Offer(secure))
			if err != nil {
				t.Fatal(err)
			}
			server, err := auth.Start(client.Mechanism(), secure)
			if err != nil {
				t.Fatal(err)
			}
			if clientErr, serverErr := exchange(client, server, nil); clientErr != nil || serverErr != nil {
				t.Fatalf("client: %v, server: %v", clientErr, serverErr)
			}
			if got := server.Username(); got != "juliet" {
				t.Fatalf("username %q", got)
			}
			if _, _, err := client.Step(nil); err == nil {
				t.Fatal("client goes on after its end")
			}
			if _, _, err := server.Step(context.Background(), []byte{}); err == nil {
				t.Fatal("server goes on after its end")
			}
		})
	}
}

func TestRefused(t *testing.T) {
	noPlus := sasl.Channel{Secure: true}
	cases := []struct {
		name       string
		mechanisms string // empty: all but EXTERNAL and ANONYMOUS, each
		change     func(*sasl.Credentials)
		channel    *sasl.Channel
		want       sasl.Condition
	}{
		{name: "wrong password", change: func(c *sasl.Credentials) { c.Password = "Pencil" }, want: sasl.NotAuthorized},
		{name: "unknown account", change: func(c *sasl.Credentials) { c.Username = "romeo" }, want: sasl.NotAuthorized},
		{name: "somebody else's authzid", change: func(c *sasl.Credentials) { c.Authzid = "romeo" }, want: sasl.InvalidAuthzid},
		{name: "username that is not allowed", change: func(c *sasl.Credentials) { c.Username = "\u0007" }, want: sasl.NotAuthorized},
		{
			name:       "bound to another channel",
			mechanisms: sasl.ScramSHA256Plus + " " + sasl.ScramSHA1Plus,
			change: func(c *sasl.Credentials) {
				c.Bindings = []sasl.Binding{{Type: sasl.TLSExporter, Data: []byte("another channel")}}
			},
			want: sasl.NotAuthorized,
		},
		{
			name:       "binding that the server does not have",
			mechanisms: sasl.ScramSHA256Plus,
			change: func(c *sasl.Credentials) {
				c.Bindings = []sasl.Binding{{Type: sasl.TLSUnique, Data: []byte("x")}}
			},
			want: sasl.MalformedRequest,
		},
		{name: "plus without a binding", mechanisms: sasl.ScramSHA256Plus, channel: &noPlus, want: sasl.InvalidMechanism},
		{name: "plain in the clear", mechanisms: sasl.Plain, channel: &sasl.Channel{}, want: sasl.EncryptionRequired},
	}
	auth := accounts(t, "pencil")
	for _, c := range cases {
		mechanisms := strings.Fields(c.mechanisms)
		if mechanisms == nil {
			mechanisms = auth.Offer(secure)
		}
		for _, mechanism := range mechanisms {
			t.Run(c.name+"/"+mechanism, func(t *testing.T) {
				credentials := juliet()
				credentials.Mechanisms = []string{mechanism}
				if c.change != nil {
					c.change(&credentials)
				}
				channel := secure
				if c.channel != nil {
					channel = *c.channel
				}
				refused(t, auth, credentials, channel, c.want)
			})
		}
	}
}

func refused(t *testing.T, auth *sasl.Authenticator, c sasl.Credentials, channel sasl.Channel, want sasl.Condition) {
	t.Helper()
	client, err := sasl.NewClient(c, auth.Offer(secure))
	if err != nil {
		t.Fatal(err)
	}
	server, err := auth.Start(client.Mechanism(), channel)
	if err == nil {
		var clientErr error
		clientErr, err = exchange(client, server, nil)
		if clientErr != nil {
			t.Fatalf("client: %v", clientErr)
		}
		if server.Username() != "" || server.Authzid() != "" {
			t.Fatal("refused, but has a username")
		}
	}
	var f *sasl.Failure
	if !errors.As(err, &f) || f.Condition != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}

// Whoever sits between takes -PLUS out of the offer: the client says that it would
// have used it, and the server knows that it had offered it.
func TestDowngradeIsDetected(t *testing.T) {
	auth := accounts(t, "pencil")
	client, err := sasl.NewClient(juliet(), []string{sasl.ScramSHA256, sasl.Plain})
	if err != nil {
		t.Fatal(err)
	}
	server, err := auth.Start(client.Mechanism(), secure)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exchange(client, server, nil); !errors.Is(err, sasl.NotAuthorized) {
		t.Fatalf("got %v, want not-authorized", err)
	}
	// And a server that did not offer it takes the same client.
	client, _ = sasl.NewClient(juliet(), auth.Offer(sasl.Channel{Secure: true}))
	server, _ = auth.Start(client.Mechanism(), sasl.Channel{Secure: true})
	if clientErr, serverErr := exchange(client, server, nil); clientErr != nil || serverErr != nil {
		t.Fatalf("client: %v, server: %v", clientErr, serverErr)
	}
}

// Each message of each mechanism, each byte of it changed, alone: nobody may end
// up logged in. For PLAIN there is no such protection.
func TestTamperedMessages(t *testing.T) {
	auth := accounts(t, "pencil")
	fast := *auth
	for _, mechanism := range []string{sasl.ScramSHA256Plus, sasl.ScramSHA1} {
		for number := range 4 {
			for at := 0; ; at += 7 {
				c := juliet()
				c.Mechanisms = []string{mechanism}
				channel := secure
				if mechanism == sasl.ScramSHA1 {
					channel.Bindings, c.Bindings = nil, nil
				}
				client, err := sasl.NewClient(c, fast.Offer(channel))
				if err != nil {
					t.Fatal(err)
				}
				server, err := fast.Start(mechanism, channel)
				if err != nil {
					t.Fatal(err)
				}
				short := false
				clientErr, serverErr := exchange(client, server, func(n int, m []byte) []byte {
					if n != number {
						return m
					}
					if short = at >= len(m); short {
						return m
					}
					changed := append([]byte(nil), m...)
					changed[at] ^= 1
					return changed
				})
				if short {
					break
				}
				if clientErr == nil && serverErr == nil {
					t.Fatalf("%s: message %d changed at byte %d, and nobody noticed", mechanism, number, at)
				}
			}
		}
	}
}

func TestAuthzid(t *testing.T) {
	auth := accounts(t, "pencil")
	auth.Authorize = func(_ context.Context, username, authzid string) error {
		if authzid != username+"@example.org" {
			return sasl.InvalidAuthzid
		}
		return nil
	}
	for _, mechanism := range []string{sasl.Plain, sasl.ScramSHA256} {
		c := juliet()
		c.Authzid = "juliet@example.org"
		c.Mechanisms = []string{mechanism}
		client, err := sasl.NewClient(c, auth.Offer(secure))
		if err != nil {
			t.Fatal(err)
		}
		server, _ := auth.Start(mechanism, secure)
		if clientErr, serverErr := exchange(client, server, nil); clientErr != nil || serverErr != nil {
			t.Fatalf("client: %v, server: %v", clientErr, serverErr)
		}
		if server.Authzid() != c.Authzid || server.Username() != "juliet" {
			t.Fatalf("%s as %s", server.Username(), server.Authzid())
		}
	}
}

func TestNamesAreEscaped(t *testing.T) {
	const name = "a,b=c=2Cd"
	keys, err := sasl.NewKeys(sasl.SHA256, "pencil", sasl.NewSalt(), iterations)
	if err != nil {
		t.Fatal(err)
	}
	var asked string
	auth := &sasl.Authenticator{
		Secret: secret,
		Keys: func(_ context.Context, username string, _ sasl.Hash) (sasl.Keys, error) {
			asked = username
			return keys, nil
		},
	}
	client, err := sasl.NewClient(sasl.Credentials{Username: name, Password: "pencil", Authzid: name, Mechanisms: []string{sasl.ScramSHA256}}, auth.Offer(sasl.Channel{}))
	if err != nil {
		t.Fatal(err)
	}
	server, _ := auth.Start(sasl.ScramSHA256, sasl.Channel{})
	if clientErr, serverErr := exchange(client, server, nil); clientErr != nil || serverErr != nil {
		t.Fatalf("client: %v, server: %v", clientErr, serverErr)
	}
	if asked != name || server.Authzid() != name {
		t.Fatalf("asked for %q, authzid %q", asked, server.Authzid())
	}
}
