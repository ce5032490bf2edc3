package contact_test

import (
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/contact"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/xdb/memory"
)

const (
	ann  = "ann@example.org/phone"
	host = "example.org"
	info = "http://jabber.org/protocol/disco#info"
)

func TestReadme(t *testing.T) { configtest.ReadmeOfService(t, contact.Module, memory.Module) }

func plan(args string) sdktest.Plan {
	return sdktest.Users([]module.Module{contact.Module}, memory.Module, sdktest.Block("contact", args))
}

func TestForm(t *testing.T) {
	sdktest.Both(t, plan(`{"admin":["xmpp:ann@example.org","mailto:ann@example.org"],"status":["https://example.org/?a&b"]}`), func(t *testing.T, h *sdktest.Harness) {
		const query = "<query xmlns='" + info + "'/>"
		want := "passed <query xmlns='" + info + "'><x xmlns='jabber:x:data' type='result'>" +
			"<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>" +
			"<field var='admin-addresses' type='list-multi'><value>xmpp:ann@example.org</value><value>mailto:ann@example.org</value></field>" +
			"<field var='status-addresses' type='list-multi'><value>https://example.org/?a&amp;b</value></field></x></query>"
		if got := h.IQ(ann, host, "get", query); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		if got := h.IQ(ann, "bob@example.org", "get", query); got != "passed "+query {
			t.Errorf("of an account: %s", got)
		}
	})
}

func TestWrongArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{}`:                    "there is no address at all",
		`{"abuse":["a@b.org"]}`: `"a@b.org" is no URI`,
	} {
		if _, err := sdktest.Try(t, plan(args), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// Explain says what Handle does.
func TestExplains(t *testing.T) {
	h := sdktest.New(t, plan(`{"admin":["xmpp:ann@example.org"]}`), false)
	for body, want := range map[string]string{
		"<query xmlns='" + info + "'/>": "pass: adds whom to turn to about example.org",
		"<ping xmlns='urn:xmpp:ping'/>": "pass: it does not ask what a host is",
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
