package c2s_test

import (
	"errors"
	"testing"

	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// An address from which too many logins have failed may try no more, whether there are
// such accounts or not; an account to which they have failed takes none from there.
func TestGuesses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, args string }{
		{"by address", `"per_address":3,"per_account":0`},
		{"by account", `"per_address":0,"per_account":3`},
	} {
		for _, account := range []string{"ann@example.org", "nobody@example.org"} {
			t.Run(test.name+" "+account, func(t *testing.T) {
				p := whole("{" + directTLS + `,"guesses":{"delay":"1ms","window":"7d",` + test.args + "}}")
				sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
					address := listening(h)
					withAccount(t, h)
					ann := session.Account{Address: jid.MustParse("ann@example.org/x"), Password: "secret"}
					s, _, err := quick(t, address, ann)
					if err != nil {
						t.Fatal(err)
					}
					for i, mechanism := range []string{sasl.Plain, sasl.ScramSHA256, sasl.ScramSHA1Plus, sasl.Plain} {
						want := sasl.NotAuthorized
						if i == 3 {
							want = sasl.TemporaryAuthFailure
						}
						a := session.Account{Address: jid.MustParse(account + "/x"), Password: "wrong", Mechanisms: []string{mechanism}}
						if _, _, err := quick(t, address, a); !errors.Is(err, want) {
							t.Fatalf("attempt %d: %v, want %v", i, err, want)
						}
					}
					h.Logged("too many have failed")
					other := account == "nobody@example.org" && test.name == "by account"
					if _, _, err := quick(t, address, session.Account{Address: ann.Address, Token: s.Token()}); (err == nil) != other {
						t.Errorf("with a token: %v", err)
					}
					if _, _, err := quick(t, address, ann); (err == nil) != other {
						t.Errorf("with the password: %v", err)
					}
				})
			})
		}
	}
}
