package last_test

import (
	"regexp"
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/last"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/xdb/memory"
)

const (
	ann  = "ann@example.org/phone"
	host = "example.org"
	info = "http://jabber.org/protocol/disco#info"
)

func TestReadme(t *testing.T) { configtest.ReadmeOfService(t, last.Module, memory.Module) }

func plan(args string) sdktest.Plan {
	return sdktest.Users([]module.Module{last.Module}, memory.Module, sdktest.Block("last", args))
}

func TestAnswers(t *testing.T) {
	sdktest.Both(t, plan(`{}`), func(t *testing.T, h *sdktest.Harness) {
		for _, x := range []struct{ name, to, kind, payload, want string }{
			{"the host", host, "get", "<query xmlns='jabber:iq:last'/>", "result <query xmlns='jabber:iq:last' seconds='[0-9]+'/>"},
			{"the host, to set it", host, "set", "<query xmlns='jabber:iq:last'/>", "error not-allowed"},
			{"an account", "bob@example.org", "get", "<query xmlns='jabber:iq:last'/>", "passed .*"},
			{"something else", host, "get", "<ping xmlns='urn:xmpp:ping'/>", "passed .*"},
			{"what there is", host, "get", "<query xmlns='" + info + "'/>", "passed .*<feature var='jabber:iq:last'/></query>"},
		} {
			if got := h.IQ(ann, x.to, x.kind, x.payload); !regexp.MustCompile("^" + x.want + "$").MatchString(got) {
				t.Errorf("%s: %s, want %s", x.name, got, x.want)
			}
		}
	})
}

// Explain says what Handle does.
func TestExplains(t *testing.T) {
	h := sdktest.New(t, plan(`{}`), false)
	for body, want := range map[string]string{
		"<query xmlns='jabber:iq:last'/>": "claim: example.org tells its uptime",
		"<ping xmlns='urn:xmpp:ping'/>":   "pass: it does not ask a host for its uptime",
		"<query xmlns='" + info + "'/>":   "pass: adds to what example.org offers",
	} {
		r := h.Explain(&packet.Packet{Name: "iq", Type: "get", ID: "1", From: ann, To: host, Body: []byte(body)})
		if s := r.Sections[0].Steps[0]; s.Verdict+": "+s.Why != want {
			t.Errorf("%s: %s: %s, want %s", body, s.Verdict, s.Why, want)
		}
	}
	if left := h.Received(); len(left) > 0 {
		t.Errorf("explaining has sent %+v", left)
	}
}
