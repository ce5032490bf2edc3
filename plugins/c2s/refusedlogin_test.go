package c2s_test

import (
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/sdk/entry"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// refusedAs waits for the entry of a login that was refused.
func refusedAs(t *testing.T, h *sdktest.Harness, account, mechanism, reason string) {
	t.Helper()
	e := h.Logged("refused a login")
	for name, want := range map[string]string{entry.Event: entry.Refused, "account": account, "mechanism": mechanism, "reason": reason} {
		if got := entry.Value(e, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if e.Type != "info" || e.Host != domain || !strings.HasPrefix(entry.Value(e, "client"), "127.0.0.1:") {
		t.Errorf("logged as %s of %s%s", e.Type, e.Host, e.Attrs)
	}
}

func TestARefusedLoginIsLogged(t *testing.T) {
	plain := func(username string) string {
		return base64.StdEncoding.EncodeToString([]byte("\x00" + username + "\x00wrong"))
	}
	sdktest.Both(t, whole("{"+directTLS+`,"guesses":{"delay":"1ms"}}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		wrong := session.Account{Address: jid.MustParse("nobody@example.org/x"), Password: "wrong", Mechanisms: []string{sasl.ScramSHA1Plus}}
		if _, _, err := quick(t, address, wrong); !errors.Is(err, sasl.NotAuthorized) {
			t.Errorf("by SASL2: %v", err)
		}
		refusedAs(t, h, "nobody@example.org", sasl.ScramSHA1Plus, "not-authorized")
		for _, test := range []struct{ name, auth, account, mechanism, reason string }{
			{"as it was tried", "mechanism='PLAIN'>" + plain("Ann Other"), "Ann Other@example.org", "PLAIN", "not-authorized"},
			{"hostile", "mechanism='PLAIN'>" + plain("a' event='x'\n<b>\u202e\x1b[0m"), "a' event='x'\n<b>\u202e[0m@example.org", "PLAIN", "not-authorized"},
			{"long", "mechanism='PLAIN'>" + plain(strings.Repeat("\u00e9", 3000)), strings.Repeat("\u00e9", 64) + "...@example.org", "PLAIN", "not-authorized"},
			{"not offered", "mechanism='X-" + strings.Repeat("x", 3000) + "'>", "", "X-" + strings.Repeat("x", 126) + "...", "invalid-mechanism"},
			{"malformed", "mechanism='PLAIN'>AAAA", "", "PLAIN", "malformed-request"},
		} {
			t.Run(test.name, func(t *testing.T) {
				conn := dialTLS(t, address)
				io.WriteString(conn, "<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"+
					"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' "+test.auth+"</auth>")
				refusedAs(t, h, test.account, test.mechanism, test.reason)
			})
		}
	})
}
