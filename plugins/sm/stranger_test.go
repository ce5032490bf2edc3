package sm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/ns"
)

// A stranger learns nothing: whatever he sends, to an account or to a session
// of it whose name he guesses, he is told the same if the account has sessions,
// if it has none and if there is none (RFC 6120 section 13.10, RFC 6121
// sections 8.5 and 11); and of a request also if he is blocked. Nor does he after he has asked to subscribe.
func TestStrangersLearnNothing(t *testing.T) {
	t.Parallel()
	stanzas := map[string]string{}
	add := func(name, format string, args ...any) { stanzas[name] = fmt.Sprintf(format, args...) }
	for _, kind := range []string{"", "normal", "chat", "headline", "groupchat", "error", "unknown"} {
		add("message "+kind, "<message TO type='%s' id='1'><body>hi</body></message>", kind)
		add("empty message "+kind, "<message TO type='%s' id='1'/>", kind)
		add("typing "+kind, "<message TO type='%s' id='1'>%s</message>", kind, typing)
		add("fleeting message "+kind, "<message TO type='%s' id='1'><body>hi</body><no-store xmlns='%s'/></message>", kind, ns.Hints)
	}
	for _, kind := range []string{"", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error", "unknown"} {
		add("presence "+kind, "<presence TO type='%s' id='1'/>", kind)
	}
	for _, payload := range []string{
		"<ping xmlns='urn:xmpp:ping'/>", "<query xmlns='jabber:iq:roster'/>", "<query xmlns='jabber:iq:last'/>", "<x xmlns='jabber:iq:last'/>", "<query xmlns='jabber:iq:privacy'/>",
		"<block xmlns='urn:xmpp:blocking'/>", "<vCard xmlns='vcard-temp'/>", "<query xmlns='jabber:iq:private'/>", "<query xmlns='jabber:iq:version'/>", "<x xmlns='urn:unknown'/>",
		"<query xmlns='http://jabber.org/protocol/disco#info'/>", "<query xmlns='http://jabber.org/protocol/disco#items'/>",
		"<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>", "<enable xmlns='urn:xmpp:carbons:2'/>",
		"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>", "",
	} {
		for _, kind := range []string{"get", "set", "result", "error"} {
			add("iq "+kind+" "+payload, "<iq TO type='%s' id='1'>%s</iq>", kind, payload)
		}
	}
	for _, before := range []string{"", "<presence TO type='subscribe'/>"} {
		for name, stanza := range stanzas {
			for _, resource := range []string{"", "/gone"} {
				bubble(t, name+" to "+resource+" after "+before, func(t *testing.T) {
					w := newWorld(t, `{}`, "present@localhost", "away@localhost", "negative@localhost")
					w.available("present@localhost/desk", 0)
					w.available("negative@localhost/desk", -1)
					told := map[string]string{}
					accounts := []string{"present", "away", "negative", "nobody"}
					if strings.HasPrefix(name, "iq ") {
						w.register("blocking@localhost")
						w.available("blocking@localhost/desk", 0).blocks("block", "eve@elsewhere")
						w.elsewhere()
						accounts = append(accounts, "blocking")
					}
					for _, account := range accounts {
						to := "to='" + account + "@localhost" + resource + "' from='eve@elsewhere/x'"
						if before != "" {
							w.incoming("%s", strings.Replace(before, "TO", to, 1))
							w.elsewhere()
						}
						result := w.incoming("%s", strings.ReplaceAll(strings.Replace(stanza, "TO", to, 1), " type=''", ""))
						told[account] = strings.ReplaceAll(fmt.Sprint(result, w.elsewhere()), account, "ACCOUNT")
						if strings.Contains(stanza, "type='error'") && len(w.elsewhere()) > 0 {
							t.Errorf("an error is answered: %s", told[account])
						}
					}
					for account, got := range told {
						if got != told["nobody"] {
							t.Errorf("of %s he is told %s, of nobody %s", account, got, told["nobody"])
						}
					}
				})
			}
		}
	}
}
