package vcard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/vcard"
	"github.com/jabberii/server/xdb/memory"
)

const (
	ann   = "ann@example.org"
	phone = "ann@example.org/phone"
	bob   = "bob@example.org/desk"
	host  = "example.org"
	ask   = "<vCard xmlns='vcard-temp'/>"
	ask4  = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/>"
	hello = "<PHOTO><TYPE>image/png</TYPE><BINVAL>aGVsbG8=</BINVAL></PHOTO>"
	hash  = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
)

func TestReadme(t *testing.T) { configtest.ReadmeOfService(t, vcard.Module, memory.Module) }

func plan(args string) sdktest.Plan {
	return sdktest.Users([]module.Module{vcard.Module}, memory.Module, sdktest.Block("vcard", args))
}

func temp(content string) string { return "<vCard xmlns='vcard-temp'>" + content + "</vCard>" }

func four(content string) string {
	return "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'>" + content + "</vcard>"
}

// XEP-0054 section 3 and XEP-0292 section 3.
func TestCards(t *testing.T) {
	sdktest.Both(t, plan(`{"size":"1KiB","host":{"name":"A host","email":"a@b"}}`), func(t *testing.T, h *sdktest.Harness) {
		for _, x := range []struct{ name, from, to, kind, payload, want string }{
			{"one's own, and there is none", phone, ann, "get", ask, "error item-not-found"},
			{"another's, and there is none", bob, ann, "get", ask, "error service-unavailable"},
			{"nobody's", bob, "nobody@example.org", "get", ask, "error service-unavailable"},
			{"set", phone, ann, "set", temp("<FN>Ann</FN>" + hello), "result"},
			{"one's own", phone, ann, "get", ask, "result " + temp("<FN>Ann</FN>"+hello)},
			{"another's", bob, ann, "get", ask, "result " + temp("<FN>Ann</FN>"+hello)},
			{"from another server", "carl@elsewhere/x", ann, "get", ask, "result " + temp("<FN>Ann</FN>"+hello)},
			{"in the other form", bob, ann, "get", ask4, "result " + four("<fn><text>Ann</text></fn><photo><uri>data:image/png;base64,aGVsbG8=</uri></photo>")},
			{"set for another", bob, ann, "set", temp("<FN>Eve</FN>"), "error forbidden"},
			{"set for the host", bob, host, "set", temp("<FN>Eve</FN>"), "error forbidden"},
			{"too long", phone, ann, "set", temp("<FN>" + strings.Repeat("x", 1024) + "</FN>"), "error resource-constraint"},
			{"set in the other form", phone, ann, "set", four("<fn><text>A</text></fn><gender><sex>F</sex></gender>"), "result"},
			{"kept as it was given", bob, ann, "get", ask4, "result " + four("<fn><text>A</text></fn><gender><sex>F</sex></gender>")},
			{"in the first form", bob, ann, "get", ask, "result " + temp("<FN>A</FN>")},
			{"set in the first form again", phone, ann, "set", temp("<FN>B</FN>"), "result"},
			{"of which the other is made", bob, ann, "get", ask4, "result " + four("<fn><text>B</text></fn>")},
			{"the host's", bob, host, "get", ask, "result " + temp("<FN>A host</FN><EMAIL><USERID>a@b</USERID></EMAIL>")},
			{"the host's in the other form", bob, host, "get", ask4, "result " + four("<fn><text>A host</text></fn><email><text>a@b</text></email>")},
			{"something else", phone, ann, "get", "<x xmlns='vcard-temp'/>", "passed <x xmlns='vcard-temp'/>"},
		} {
			if got := h.IQ(x.from, x.to, x.kind, x.payload); got != x.want {
				t.Errorf("%s: %s\nwant %s", x.name, got, x.want)
			}
		}
		const info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
		if got := h.IQ(bob, host, "get", info); !strings.Contains(got, "<feature var='vcard-temp'/>") || !strings.Contains(got, "vcard-4.0") {
			t.Errorf("the host is %s", got)
		}
	})
}

func TestHostWithoutCard(t *testing.T) {
	h := sdktest.New(t, plan(`{}`), false)
	if got := h.IQ(bob, host, "get", ask); got != "error service-unavailable" {
		t.Error(got)
	}
}

// XEP-0153 section 4: the server says for a client that does not which picture
// there is.
func TestPhotoInPresence(t *testing.T) {
	sdktest.Both(t, plan(`{}`), func(t *testing.T, h *sdktest.Harness) {
		up := func(p packet.Packet) string {
			t.Helper()
			p.Kind, p.Host, p.From = packet.Session, host, phone
			if p.Name == "" {
				p.Name = "presence"
			}
			h.Deliver(&p)
			return string(h.Next().Body)
		}
		const x = "<x xmlns='vcard-temp:x:update'>"
		if got := up(packet.Packet{Body: []byte("<show>away</show>")}); got != "<show>away</show>" {
			t.Errorf("without a picture: %s", got)
		}
		h.IQ(phone, ann, "set", temp(hello))
		want := x + "<photo>" + hash + "</photo></x>"
		for name, c := range map[string]struct {
			p    packet.Packet
			want string
		}{
			"to all":        {packet.Packet{Body: []byte("<show>away</show>")}, "<show>away</show>" + want},
			"its own":       {packet.Packet{Body: []byte(x + "<photo>1</photo></x>")}, x + "<photo>1</photo></x>"},
			"not ready":     {packet.Packet{Body: []byte("<x xmlns='vcard-temp:x:update'/>")}, "<x xmlns='vcard-temp:x:update'/>"},
			"directed":      {packet.Packet{To: bob}, ""},
			"unavailable":   {packet.Packet{Type: "unavailable"}, ""},
			"a message":     {packet.Packet{Name: "message"}, ""},
			"of the stream": {packet.Packet{NS: "urn:x"}, ""},
		} {
			if got := up(c.p); got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
		}
		h.IQ(phone, ann, "set", temp("<FN>no picture</FN>"))
		if got := up(packet.Packet{}); got != "" {
			t.Errorf("the picture is gone, presence has %s", got)
		}
	})
}

// Of more accounts than are kept in memory, each has its own picture.
func TestPhotosBeyondTheCache(t *testing.T) {
	h := sdktest.New(t, plan(`{"cache":2}`), false)
	for range 2 {
		for i := range 5 {
			jid := fmt.Sprintf("u%d@example.org", i)
			if i%2 == 0 {
				h.IQ(jid+"/x", jid, "set", temp(hello))
			}
			h.Deliver(&packet.Packet{Kind: packet.Session, Host: host, From: jid + "/x", Name: "presence"})
			if got := strings.Contains(string(h.Next().Body), hash); got != (i%2 == 0) {
				t.Errorf("%s: a picture is told: %v", jid, got)
			}
		}
	}
}

func TestWrongArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{"size":"0"}`:    "size: must be",
		`{"size":"1MiB"}`: "size: must be",
		`{"cache":0}`:     "cache: must be",
		`{"host":{}}`:     "host.name: is required",
	} {
		if _, err := sdktest.Try(t, plan(args), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

func TestExplains(t *testing.T) {
	h := sdktest.New(t, plan(`{}`), false)
	none := packet.Packet{Name: "iq", Type: "get", From: phone, To: ann, Body: []byte(ask)}
	if s := h.Explain(&none).Sections[0].Steps[0]; s.Verdict != "refuse" || !strings.HasSuffix(s.Why, ": item-not-found") {
		t.Errorf("without a card: %+v", s)
	}
	h.IQ(phone, ann, "set", "<vCard xmlns='vcard-temp'><FN>Ann</FN></vCard>")
	for _, x := range []struct {
		p    packet.Packet
		want string
	}{
		{packet.Packet{Name: "iq", Type: "get", To: ann, Body: []byte(ask)}, "claim: answers with the card of ann@example.org"},
		{packet.Packet{Name: "iq", Type: "get", To: "bob@example.org", Body: []byte(ask)}, "refuse: bob@example.org has no card, which its sender is told: service-unavailable"},
		{packet.Packet{Name: "iq", Type: "set", To: ann, Body: []byte(ask)}, "claim: keeps the card of ann@example.org"},
		{packet.Packet{Name: "iq", Type: "set", To: "bob@example.org", Body: []byte(ask)}, "refuse: forbidden"},
		{packet.Packet{Name: "message", To: ann}, "pass: it is not about a card"},
		{packet.Packet{Kind: packet.Session, Host: host, Name: "presence"}, "pass: adds which picture ann@example.org has, if any"},
	} {
		x.p.From = phone
		s := h.Explain(&x.p).Sections[0].Steps[0]
		if got := s.Verdict + ": " + s.Why; got != x.want {
			t.Errorf("%s, want %s", got, x.want)
		}
	}
}
