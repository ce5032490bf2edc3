package c2s_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
)

// Who has logged in is told what the host offers, if anybody has said so, and
// what a session offers (XEP-0115 section 6.3, RFC 6121 sections 2.6.1 and 3.4).
func TestFeaturesOfASession(t *testing.T) {
	sdktest.Both(t, plan(`{"listen":["127.0.0.1:0"],"starttls":"optional"}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		const element = "<c xmlns='" + ns.Caps + "' hash='sha-1' node='x' ver='y'/>"
		if err := disco.WriteCapabilities(context.Background(), xdb.New(asker{h}, "test"), domain, []byte(element)); err != nil {
			t.Fatal(err)
		}
		before, after, _ := strings.Cut(raw(t, address, loggedIn+closed), "<success")
		for _, feature := range []string{
			element, "<bind xmlns='" + ns.Bind + "'/>", "<sm xmlns='" + ns.StreamManagement + "'", "<ver xmlns='" + ns.RosterVersions + "'",
			"<sub xmlns='" + ns.PreApproval + "'", "<csi xmlns='" + ns.ClientState + "'",
		} {
			if strings.Contains(before, feature) || strings.Count(after, feature) != 1 {
				t.Errorf("%s is not where it should be: before the login\n%s\nafter\n%s", feature, before, after)
			}
		}
	})
}
