package time_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/time"
	"github.com/jabberii/server/xdb/memory"
)

const (
	ann  = "ann@example.org/phone"
	host = "example.org"
	info = "http://jabber.org/protocol/disco#info"
)

func TestReadme(t *testing.T) { configtest.ReadmeOfService(t, time.Module, memory.Module) }

func plan(args string) sdktest.Plan {
	return sdktest.Users([]module.Module{time.Module}, memory.Module, sdktest.Block("time", args))
}

func TestAnswers(t *testing.T) {
	sdktest.Both(t, plan(`{"zone":"Asia/Kolkata"}`), func(t *testing.T, h *sdktest.Harness) {
		for _, x := range []struct{ name, to, kind, payload, want string }{
			{"the host", host, "get", "<time xmlns='urn:xmpp:time'/>", "result <time xmlns='urn:xmpp:time'><tzo>\\+05:30</tzo><utc>20[0-9-]+T[0-9:]+Z</utc></time>"},
			{"the host, to set it", host, "set", "<time xmlns='urn:xmpp:time'/>", "error not-allowed"},
			{"an account", "bob@example.org", "get", "<time xmlns='urn:xmpp:time'/>", "passed .*"},
			{"something else", host, "get", "<ping xmlns='urn:xmpp:ping'/>", "passed .*"},
			{"what there is", host, "get", "<query xmlns='" + info + "'/>", "passed .*<feature var='urn:xmpp:time'/></query>"},
		} {
			if got := h.IQ(ann, x.to, x.kind, x.payload); !regexp.MustCompile("^" + x.want + "$").MatchString(got) {
				t.Errorf("%s: %s, want %s", x.name, got, x.want)
			}
		}
	})
}

func TestWrongZone(t *testing.T) {
	if _, err := sdktest.Try(t, plan(`{"zone":"Mars/Base"}`), false); err == nil || !strings.Contains(err.Error(), `no time zone "Mars/Base"`) {
		t.Error(err)
	}
}

// Explain says what Handle does.
func TestExplains(t *testing.T) {
	h := sdktest.New(t, plan(`{}`), false)
	for body, want := range map[string]string{
		"<time xmlns='urn:xmpp:time'/>": "claim: example.org tells the time",
		"<ping xmlns='urn:xmpp:ping'/>": "pass: it does not ask a host for the time",
		"<query xmlns='" + info + "'/>": "pass: adds to what example.org offers",
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
