package private_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/private"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/xdb/memory"
)

const (
	ann     = "ann@example.org"
	phone   = "ann@example.org/phone"
	bob     = "bob@example.org/desk"
	storage = "<storage xmlns='storage:bookmarks'/>"
)

func TestReadme(t *testing.T) { configtest.ReadmeOfService(t, private.Module, memory.Module) }

func plan(args string) sdktest.Plan {
	return sdktest.Users([]module.Module{private.Module}, memory.Module, sdktest.Block("private", args))
}

func query(content string) string { return "<query xmlns='jabber:iq:private'>" + content + "</query>" }

// XEP-0049 section 2.
func TestKeeps(t *testing.T) {
	sdktest.Both(t, plan(`{}`), func(t *testing.T, h *sdktest.Harness) {
		for _, x := range []struct{ name, from, kind, payload, want string }{
			{"nothing there", phone, "get", query(storage), "result " + query(storage)},
			{"kept", phone, "set", query("<storage xmlns='storage:bookmarks'><conference jid='a@b'/></storage>"), "result"},
			{"there", phone, "get", query(storage), "result " + query("<storage xmlns='storage:bookmarks'><conference jid='a@b'/></storage>")},
			{"another name", phone, "get", query("<x xmlns='storage:bookmarks'/>"), "result " + query("<x xmlns='storage:bookmarks'/>")},
			{"two kept", phone, "set", query("<a xmlns='urn:a'>1</a><b xmlns='urn:b'>2</b>"), "result"},
			{"the second", phone, "get", query("<b xmlns='urn:b'/>"), "result " + query("<b xmlns='urn:b'>2</b>")},
			{"prefixes", phone, "set", "<p:query xmlns:p='jabber:iq:private' xmlns:q='urn:q'><q:c q:d='1'/></p:query>", "result"},
			{"one twice, the last counts", phone, "set", query("<d xmlns='urn:d'>1</d><d xmlns='urn:d'>2</d>"), "result"},
			{"the last", phone, "get", query("<d xmlns='urn:d'/>"), "result " + query("<d xmlns='urn:d'>2</d>")},
			{"another's", bob, "get", query(storage), "error forbidden"},
			{"to another", bob, "set", query(storage), "error forbidden"},
			{"nothing asked", phone, "get", query(""), "error not-acceptable"},
			{"two asked", phone, "get", query("<a xmlns='urn:a'/><b xmlns='urn:b'/>"), "error bad-request"},
			{"no namespace", phone, "set", query("<a/>"), "error not-acceptable"},
			{"another element", phone, "get", "<x xmlns='jabber:iq:private'/>", "error bad-request"},
			{"something else", phone, "get", "<ping xmlns='urn:xmpp:ping'/>", "passed <ping xmlns='urn:xmpp:ping'/>"},
		} {
			if got := h.IQ(x.from, ann, x.kind, x.payload); got != x.want {
				t.Errorf("%s: %s, want %s", x.name, got, x.want)
			}
		}
		got := h.IQ(phone, ann, "get", query("<c xmlns='urn:q'/>"))
		if !strings.Contains(got, "q:c") || !strings.Contains(got, "xmlns:q='urn:q'") {
			t.Errorf("an element with prefixes comes back as %s", got)
		}
	})
}

func TestLimits(t *testing.T) {
	h := sdktest.New(t, plan(`{"max":2,"size":"64"}`), false)
	for _, x := range []struct{ name, payload, want string }{
		{"too many at once", query("<a xmlns='u'/><b xmlns='u'/><c xmlns='u'/>"), "error resource-constraint"},
		{"too long", query("<a xmlns='u'>" + strings.Repeat("x", 64) + "</a>"), "error resource-constraint"},
		{"as many as may be", query("<a xmlns='u'/><b xmlns='u'/>"), "result"},
		{"one more", query("<c xmlns='u'/>"), "error resource-constraint"},
		{"in place of one", query("<b xmlns='u'>2</b>"), "result"},
	} {
		if got := h.IQ(phone, ann, "set", x.payload); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
	for i, args := range []string{`{"max":0}`, `{"max":1001}`, `{"size":"0"}`, `{"size":"2MiB"}`} {
		want := []string{"max: must be", "size: must be"}[i/2]
		if _, err := sdktest.Try(t, plan(args), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestExplains(t *testing.T) {
	h := sdktest.New(t, plan(`{}`), false)
	for _, x := range []struct{ from, kind, want string }{
		{phone, "get", "claim: answers with what ann@example.org keeps"},
		{phone, "set", "claim: keeps it for ann@example.org"},
		{bob, "get", "refuse: forbidden"},
	} {
		r := h.Explain(&packet.Packet{Name: "iq", Type: x.kind, ID: "1", From: x.from, To: ann, Body: []byte(query(storage))})
		if s := r.Sections[0].Steps[0]; fmt.Sprintf("%s: %s", s.Verdict, s.Why) != x.want {
			t.Errorf("%s of %s: %s: %s, want %s", x.kind, x.from, s.Verdict, s.Why, x.want)
		}
	}
}
