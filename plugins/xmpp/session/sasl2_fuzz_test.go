package session_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/fast"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// FuzzSASL2 feeds a server what a client may say that doesn't know the password: it ends
// up logged in with nothing of it, and each answer is well-formed.
func FuzzSASL2(f *testing.F) {
	for _, seed := range []string{
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AGp1bGlldABwZW4=</initial-response></authenticate>",
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256'><initial-response>biwsbj1qdWxpZXQscj14</initial-response>" +
			"<user-agent id='a'/><bind xmlns='urn:xmpp:bind:0'><tag>x</tag><enable xmlns='urn:xmpp:sm:3'/></bind>" +
			"<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade></authenticate>" +
			"<response xmlns='urn:xmpp:sasl:2'>Yz1iaXdzLHI9eCxwPXg=</response>",
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><initial-response>anVsaWV0AHg=</initial-response>" +
			"<user-agent id='a'/><fast xmlns='urn:xmpp:fast:0' count='1' invalidate='true'/><resume xmlns='urn:xmpp:sm:3' previd='x' h='1'/></authenticate>",
		"<abort xmlns='urn:xmpp:sasl:2'/><next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>",
		"<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>eA==</hash></task-data>",
	} {
		f.Add(seed)
	}
	q := &quickServer{pairs: map[string]*fast.Pair{}, life: time.Hour, missing: []sasl.Hash{sasl.SHA256}}
	a := acceptor(session.OfferSASL2(host, session.SASL2{
		Authenticator: accounts(), Tokens: q, Upgrades: q, UpgradeTo: []sasl.Hash{sasl.SHA256}, Bind: []string{ns.StreamManagement},
	}), session.OfferSASL(host, accounts()))
	a.Establish = q.establish
	f.Fuzz(func(t *testing.T, said string) {
		r := session.NewReceiver(a)
		r.Secure(sasl.Channel{Secure: true})
		const header = "<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
		reader := xml.NewReader(strings.NewReader(header+said), xml.Limits{})
		var out []byte
		for range 50 {
			token, err := reader.Next()
			if err != nil {
				break
			}
			reply := r.Feed(context.Background(), token)
			out = append(out, reply.Out...)
			if reply.Step != session.Continue {
				break
			}
		}
		if account := r.Account(); !account.IsZero() || len(q.asked) > 0 || len(q.added) > 0 {
			t.Errorf("%s is logged in", account)
		}
		answers := xml.NewReader(strings.NewReader(string(out)), xml.Limits{})
		for {
			if _, err := answers.Next(); err != nil {
				if strings.Contains(err.Error(), "EOF") {
					break
				}
				t.Fatalf("%v in %s", err, out)
			}
		}
	})
}
