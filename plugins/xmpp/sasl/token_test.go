package sasl_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// tokens has one user, juliet, with two tokens.
func tokens() *sasl.Authenticator {
	return &sasl.Authenticator{
		Mechanisms: []string{sasl.HTSHA256Expr, sasl.HTSHA256Endp, sasl.HTSHA256None, sasl.OAuthBearer},
		Token: func(_ context.Context, username, _ string, proves func(string) bool) error {
			if username != "juliet" {
				return sasl.ErrNoAccount
			}
			if proves("new") || proves("old") {
				return nil
			}
			return sasl.NotAuthorized
		},
		Bearer: func(_ context.Context, token string) (string, error) {
			switch token {
			case "good":
				return "juliet", nil
			case "late":
				return "", sasl.CredentialsExpired
			case "odd":
				return "", errors.New("nobody to ask")
			}
			return "", sasl.NotAuthorized
		},
		Discovery: "https://issuer.example/.well-known/openid-configuration",
	}
}

func TestTokens(t *testing.T) {
	other := []sasl.Binding{{Type: sasl.TLSExporter, Data: []byte("another channel")}, {Type: sasl.TLSServerEndPoint, Data: []byte("another certificate")}}
	for _, mechanism := range []string{sasl.HTSHA256Expr, sasl.HTSHA256Endp, sasl.HTSHA256None} {
		for _, test := range []struct {
			name, username, token string
			bindings              []sasl.Binding
			want                  error
		}{
			{"new", "juliet", "new", secure.Bindings, nil},
			{"old", "juliet", "old", secure.Bindings, nil},
			{"another token", "juliet", "stolen", secure.Bindings, sasl.NotAuthorized},
			{"nobody", "romeo", "new", secure.Bindings, sasl.NotAuthorized},
			{"another channel", "juliet", "new", other, sasl.NotAuthorized},
		} {
			t.Run(mechanism+" "+test.name, func(t *testing.T) {
				if mechanism == sasl.HTSHA256None && test.name == "another channel" {
					test.want = nil
				}
				c := sasl.Credentials{Username: test.username, Token: test.token, Bindings: test.bindings, Mechanisms: []string{mechanism}}
				client, err := sasl.NewClient(c, []string{mechanism})
				if err != nil {
					t.Fatal(err)
				}
				server, err := tokens().Start(mechanism, secure)
				if err != nil {
					t.Fatal(err)
				}
				if clientErr, serverErr := exchange(client, server, nil); clientErr != nil || !errors.Is(serverErr, test.want) {
					t.Errorf("client: %v, server: %v", clientErr, serverErr)
				}
				if (server.Username() == "juliet") != (test.want == nil) {
					t.Errorf("username %q", server.Username())
				}
			})
		}
	}
}

// A vector that openssl made: printf 'Initiator' | openssl dgst -sha256 -hmac secret-token:fast-1
func TestTokenMessage(t *testing.T) {
	client, err := sasl.NewClient(sasl.Credentials{Username: "juliet", Token: "secret-token:fast-1", Mechanisms: []string{sasl.HTSHA256None}}, []string{sasl.HTSHA256None})
	if err != nil {
		t.Fatal(err)
	}
	first, done, err := client.Step(nil)
	if err != nil || done {
		t.Fatal(done, err)
	}
	name, proof, _ := strings.Cut(string(first), "\x00")
	if name != "juliet" || hex.EncodeToString([]byte(proof)) != "e66a8ce321715b507d13b3b914b3d2883dd71f6cbe9190577080f3cbd35a77d7" {
		t.Errorf("%s %x", name, proof)
	}
	answer, _ := hex.DecodeString("ac8ba839a9632cc2b2079f1ecf80066efa0de65db9a519ab8b3e7716ce3cdbed")
	if _, done, err := client.Step(answer); err != nil || !done {
		t.Errorf("the server's proof: %v, %v", done, err)
	}
}

// A server that doesn't know the token is not the server.
func TestTokenServerHasToProveItself(t *testing.T) {
	client, err := sasl.NewClient(sasl.Credentials{Username: "juliet", Token: "x", Mechanisms: []string{sasl.HTSHA256None}}, []string{sasl.HTSHA256None})
	if err != nil {
		t.Fatal(err)
	}
	client.Step(nil)
	if _, _, err := client.Step(make([]byte, 32)); !errors.Is(err, sasl.ErrServer) {
		t.Errorf("%v", err)
	}
}

func TestTokensAreNotOffered(t *testing.T) {
	none := secure
	none.Bindings = nil
	for name, offer := range map[string][]string{
		"in the clear":     tokens().Offer(sasl.Channel{}),
		"without bindings": tokens().Offer(none),
	} {
		for _, mechanism := range offer {
			if name == "in the clear" || mechanism == sasl.HTSHA256Expr || mechanism == sasl.HTSHA256Endp {
				t.Errorf("%s: %s", name, mechanism)
			}
		}
	}
	if _, err := sasl.NewClient(sasl.Credentials{Username: "juliet", Token: "x", Mechanisms: []string{sasl.HTSHA256Expr}}, []string{sasl.HTSHA256Expr}); !errors.Is(err, sasl.ErrNoMechanism) {
		t.Errorf("a client without bindings: %v", err)
	}
}

func TestBearer(t *testing.T) {
	for _, test := range []struct {
		token, authzid string
		want           error
		challenge      string
	}{
		{"good", "", nil, ""},
		{"good", "juliet", nil, ""},
		{"good", "romeo", sasl.InvalidAuthzid, ""},
		{"late", "", sasl.CredentialsExpired, `{"status":"invalid_token","openid-configuration":"https://issuer.example/.well-known/openid-configuration"}`},
		{"bad", "", sasl.NotAuthorized, `{"status":"invalid_token","openid-configuration":"https://issuer.example/.well-known/openid-configuration"}`},
		{"odd", "", sasl.TemporaryAuthFailure, ""},
	} {
		t.Run(test.token+" "+test.authzid, func(t *testing.T) {
			client, err := sasl.NewClient(sasl.Credentials{Token: test.token, Authzid: test.authzid, Mechanisms: []string{sasl.OAuthBearer}}, []string{sasl.OAuthBearer})
			if err != nil {
				t.Fatal(err)
			}
			server, err := tokens().Start(sasl.OAuthBearer, secure)
			if err != nil {
				t.Fatal(err)
			}
			var challenge string
			in, ready, err := client.Step(nil)
			if !ready {
				t.Error("the client waits for a challenge")
			}
			out, done, serr := server.Step(t.Context(), in)
			if serr == nil && !done {
				challenge = string(out)
				if in, _, err = client.Step(out); string(in) != "\x01" {
					t.Errorf("the client answers %q", in)
				}
				_, done, serr = server.Step(t.Context(), in)
			}
			if err != nil || !done || !errors.Is(serr, test.want) || challenge != test.challenge {
				t.Errorf("client: %v, server: %v, %v, challenge %s", err, done, serr, challenge)
			}
		})
	}
}

func TestBearerMessages(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":         "",
		"no header":       "\x01auth=Bearer good\x01\x01",
		"bound":           "p=tls-exporter,,\x01auth=Bearer good\x01\x01",
		"no end":          "n,,\x01auth=Bearer good\x01",
		"no token":        "n,,\x01auth=Bearer \x01\x01",
		"no pairs":        "n,,\x01\x01",
		"another scheme":  "n,,\x01auth=Basic good\x01\x01",
		"not a pair":      "n,,\x01auth\x01\x01",
		"not UTF-8":       "n,,\x01auth=Bearer \xff\x01\x01",
		"a name in parts": "n,a=x=y,\x01auth=Bearer good\x01\x01",
	} {
		server, err := tokens().Start(sasl.OAuthBearer, secure)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := server.Step(t.Context(), []byte(in)); !errors.Is(err, sasl.MalformedRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	server, _ := tokens().Start(sasl.OAuthBearer, secure)
	full := "n,a=juliet,\x01host=example.org\x01port=5222\x01auth=bearer good\x01\x01"
	if _, done, err := server.Step(t.Context(), []byte(full)); err != nil || !done {
		t.Errorf("with host and port: %v, %v", done, err)
	}
}
