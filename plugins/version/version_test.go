package version_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/version"
	"github.com/jabberii/server/xdb/memory"
)

const (
	ann  = "ann@example.org/phone"
	host = "example.org"
	info = "http://jabber.org/protocol/disco#info"
)

func TestReadme(t *testing.T) { configtest.ReadmeOfService(t, version.Module, memory.Module) }

func plan(args string) sdktest.Plan {
	return sdktest.Users([]module.Module{version.Module}, memory.Module, sdktest.Block("version", args))
}

func TestAnswers(t *testing.T) {
	sdktest.Both(t, plan(`{"name":"J <>","version":"1","os":"none"}`), func(t *testing.T, h *sdktest.Harness) {
		for _, x := range []struct{ name, to, kind, payload, want string }{
			{"the host", host, "get", "<query xmlns='jabber:iq:version'/>", "result <query xmlns='jabber:iq:version'><name>J &lt;&gt;</name><version>1</version><os>none</os></query>"},
			{"the host, to set it", host, "set", "<query xmlns='jabber:iq:version'/>", "error not-allowed"},
			{"an account", "bob@example.org", "get", "<query xmlns='jabber:iq:version'/>", "passed .*"},
			{"something else", host, "get", "<ping xmlns='urn:xmpp:ping'/>", "passed .*"},
			{"what there is", host, "get", "<query xmlns='" + info + "'/>", "passed .*<feature var='jabber:iq:version'/></query>"},
		} {
			if got := h.IQ(ann, x.to, x.kind, x.payload); !regexp.MustCompile("^" + x.want + "$").MatchString(got) {
				t.Errorf("%s: %s, want %s", x.name, got, x.want)
			}
		}
	})
}

func TestTellsNoMoreThanAsked(t *testing.T) {
	h := sdktest.New(t, plan(`{"version":""}`), false)
	if got := h.IQ(ann, host, "get", "<query xmlns='jabber:iq:version'/>"); got != "result <query xmlns='jabber:iq:version'><name>jabberd</name><version/></query>" {
		t.Error(got)
	}
	if _, err := sdktest.Try(t, plan(`{"name":""}`), false); err == nil || !strings.Contains(err.Error(), "name: is empty") {
		t.Error(err)
	}
}

// Explain says what Handle does.
func TestExplains(t *testing.T) {
	h := sdktest.New(t, plan(`{}`), false)
	for body, want := range map[string]string{
		"<query xmlns='jabber:iq:version'/>": "claim: example.org tells its software",
		"<ping xmlns='urn:xmpp:ping'/>":      "pass: it does not ask a host for its software",
		"<query xmlns='" + info + "'/>":      "pass: adds to what example.org offers",
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
