package jid_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/jid"
)

func ExampleParse() {
	j, err := jid.Parse("Juliet@Example.COM/Balcony")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(j, j.Bare() == jid.MustParse("juliet@example.com"))
	// Output: juliet@example.com/Balcony true
}

func TestParse(t *testing.T) {
	tests := []struct{ name, in, local, domain, resource string }{
		// RFC 7622, table 1.
		{"1", "juliet@example.com", "juliet", "example.com", ""},
		{"2", "juliet@example.com/foo", "juliet", "example.com", "foo"},
		{"3", "juliet@example.com/foo bar", "juliet", "example.com", "foo bar"},
		{"4", "juliet@example.com/foo@bar", "juliet", "example.com", "foo@bar"},
		{"5", `foo\20bar@example.com`, `foo\20bar`, "example.com", ""},
		{"6", "fussball@example.com", "fussball", "example.com", ""},
		{"7", "fu\u00dfball@example.com", "fu\u00dfball", "example.com", ""},
		{"8", "\u03c0@example.com", "\u03c0", "example.com", ""},
		{"9", "\u03a3@example.com/foo", "\u03c3", "example.com", "foo"},
		{"10", "\u03c3@example.com/foo", "\u03c3", "example.com", "foo"},
		{"11", "\u03c2@example.com/foo", "\u03c2", "example.com", "foo"},
		{"12", "king@example.com/\u265a", "king", "example.com", "\u265a"},
		{"13", "example.com", "", "example.com", ""},
		{"14", "example.com/foobar", "", "example.com", "foobar"},
		{"15", "a.example.com/b@example.net", "", "a.example.com", "b@example.net"},

		{"18, of table 2", "juliet@example.com/ foo", "juliet", "example.com", " foo"},
		{"upper case", "JULIET@EXAMPLE.com/Foo", "juliet", "example.com", "Foo"},
		{"slashes", "a@b/c/d@e", "a", "b", "c/d@e"},
		{"trailing dot", "a@example.com./r", "a", "example.com", "r"},
		{"trailing ideographic dot", "example.com\u3002", "", "example.com", ""},
		{"IPv4", "a@127.0.0.1", "a", "127.0.0.1", ""},
		{"IPv6", "a@[::1]/r", "a", "[::1]", "r"},
		{"IPv6 written otherwise", "[2001:DB8:0:0::1]", "", "[2001:db8::1]", ""},
		{"A-label", "a@xn--fuball-cta.example", "a", "fu\u00dfball.example", ""},
		{"A-label in upper case", "XN--BCHER-KVA.example", "", "b\u00fccher.example", ""},
		{"U-label", "B\u00dcCHER.example", "", "b\u00fccher.example", ""},
		{"U-label, decomposed", "bu\u0308cher.example", "", "b\u00fccher.example", ""},
		{"U-label of full width", "\uff41\uff0eexample", "", "a.example", ""},
		{"right to left", "\u05e9\u05dc\u05d5\u05dd.example", "", "\u05e9\u05dc\u05d5\u05dd.example", ""},
		{"middle dot in Catalan", "col\u00b7legi.example", "", "col\u00b7legi.example", ""},
		{"local of full width", "\uff41\uff22@b", "ab", "b", ""},
		{"local decomposed", "e\u0301@b", "\u00e9", "b", ""},
		{"local with symbols of ASCII", "!#$%()*+,-.;=?[\\]^_`{|}~@b", "!#$%()*+,-.;=?[\\]^_`{|}~", "b", ""},
		{"resource with spaces of Unicode", "b/x\u3000y\u00a0z", "", "b", "x y z"},
		{"resource with signs of ASCII", "b/ \"&'<>:", "", "b", " \"&'<>:"},
		{"resource decomposed", "b/E\u0301", "", "b", "\u00c9"},
		{"longest parts", strings.Repeat("a", 1023) + "@" + strings.Repeat("b.", 511) + "b/" + strings.Repeat("c", 1023),
			strings.Repeat("a", 1023), strings.Repeat("b.", 511) + "b", strings.Repeat("c", 1023)},
		{"long before preparation", strings.Repeat("\uff41", 1023) + "@b", strings.Repeat("a", 1023), "b", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j, err := jid.Parse(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if j.Local() != test.local || j.Domain() != test.domain || j.Resource() != test.resource {
				t.Errorf("%q %q %q, want %q %q %q", j.Local(), j.Domain(), j.Resource(), test.local, test.domain, test.resource)
			}
			checkForms(t, j)
		})
	}
}

// checkForms checks that all ways to the same address lead to the same value.
func checkForms(t *testing.T, j jid.JID) {
	t.Helper()
	again, err := jid.Parse(j.String())
	if err != nil || again != j || !again.Equal(j) {
		t.Errorf("%q parsed again is %q: %v", j, again, err)
	}
	made, err := jid.New(j.Local(), j.Domain(), j.Resource())
	if err != nil || made != j {
		t.Errorf("%q made of its parts is %q: %v", j, made, err)
	}
	full, err := j.Bare().WithResource(j.Resource())
	if err != nil || full != j {
		t.Errorf("%q with its resource is %q: %v", j, full, err)
	}
	if bare, err := jid.New(j.Local(), j.Domain(), ""); err != nil || bare != j.Bare() || !bare.IsBare() {
		t.Errorf("%q is bare %q, not %q: %v", j, bare, j.Bare(), err)
	}
	if server, err := jid.Parse(j.Domain()); err != nil || server != j.Server() || !server.IsServer() {
		t.Errorf("%q has the server %q, not %q: %v", j, server, j.Server(), err)
	}
}

func TestParseErrors(t *testing.T) {
	long := strings.Repeat("a", 1024)
	tests := []struct {
		name, in string
		part     jid.Part
	}{
		// RFC 7622, table 2.
		{"16", `"juliet"@example.com`, jid.Localpart},
		{"17", "foo bar@example.com", jid.Localpart},
		{"19", "@example.com/", jid.Resourcepart},
		{"20", "henry\u2163@example.com", jid.Localpart},
		{"21", "\u265a@example.com", jid.Localpart},
		{"22", "juliet@", jid.Domainpart},
		{"23", "/foobar", jid.Domainpart},
		// Number 18 is in TestParse: it is an address, says erratum 4560.

		{"empty", "", jid.Domainpart},
		{"no local", "@example.com", jid.Localpart},
		{"no resource", "juliet@example.com/", jid.Resourcepart},
		{"two at signs", "a@b@c", jid.Domainpart},
		{"at sign of full width", "a\uff20b@c", jid.Localpart},
		{"slash of full width", "a@b\uff0fc", jid.Domainpart},
		{"colon", "a:b@c", jid.Localpart},
		{"ampersand", "a&b@c", jid.Localpart},
		{"control character in local", "a\x7f@b", jid.Localpart},
		{"control character in resource", "b/\x00", jid.Resourcepart},
		{"control character of Unicode", "b/\u0085", jid.Resourcepart},
		{"not UTF-8 in local", "\xff@b", jid.Localpart},
		{"not UTF-8 in domain", "a@\xff", jid.Domainpart},
		{"not UTF-8 in resource", "a@b/\xff", jid.Resourcepart},
		{"mixed directions", "a\u05d0@b", jid.Localpart},
		{"zero width joiner alone", "a\u200db@c", jid.Localpart},
		{"dot", "a@.", jid.Domainpart},
		{"two dots", "a@b..c", jid.Domainpart},
		{"leading dot", "a@.c", jid.Domainpart},
		{"two trailing dots", "a@c..", jid.Domainpart},
		{"space in domain", "a@b c", jid.Domainpart},
		{"underscore", "a@b_c", jid.Domainpart},
		{"colon in domain", "a@b:5222", jid.Domainpart},
		{"leading hyphen", "a@-b", jid.Domainpart},
		{"trailing hyphen", "a@b-.c", jid.Domainpart},
		{"reserved label", "a@ab--cd", jid.Domainpart},
		{"A-label of nothing", "a@xn--", jid.Domainpart},
		{"A-label of ASCII", "a@xn--abc-.example", jid.Domainpart},
		{"A-label that decodes badly", "a@xn--99999999999", jid.Domainpart},
		{"A-label of a symbol", "a@xn--45h.example", jid.Domainpart},
		{"symbol in domain", "a@\u265a.example", jid.Domainpart},
		{"middle dot elsewhere", "a\u00b7b.example", jid.Domainpart},
		{"mixed directions in domain", "a\u05d0.example", jid.Domainpart},
		{"IPv6 without bracket", "a@[::1", jid.Domainpart},
		{"IPv6 with zone", "a@[fe80::1%eth0]", jid.Domainpart},
		{"IPv4 in brackets", "a@[127.0.0.1]", jid.Domainpart},
		{"IPv6 and more", "a@[::1]:5222", jid.Domainpart},
		{"long local", long + "@b", jid.Localpart},
		{"long domain", "a@" + strings.Repeat("b.", 512) + "b", jid.Domainpart},
		{"long label", "a@" + strings.Repeat("b", 64), jid.Domainpart},
		{"long label of Unicode", "a@" + strings.Repeat("\u00fc", 60), jid.Domainpart},
		{"long resource", "a@b/" + long, jid.Resourcepart},
		{"long local of Unicode", strings.Repeat("\u00e9", 512) + "@b", jid.Localpart},
		{"long resource of Unicode", "b/" + strings.Repeat("\u00e9", 512), jid.Resourcepart},
		{"huge", strings.Repeat("a", 10000), jid.Address},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			j, err := jid.Parse(test.in)
			var e *jid.Error
			if !errors.As(err, &e) || e.Part != test.part || !j.IsZero() {
				t.Fatalf("%q, %v, want an error of the %s", j, err, test.part)
			}
			if len(e.Error()) > 400 || !strings.HasPrefix(e.Error(), "jid ") {
				t.Errorf("says %q", e.Error())
			}
		})
	}
}

func TestZero(t *testing.T) {
	var j jid.JID
	if !j.IsZero() || j.String() != "" || j.Local() != "" || j.Domain() != "" || j.Resource() != "" || j.IsServer() ||
		j.Bare() != j || j.Server() != j {
		t.Errorf("the zero JID is %q", j)
	}
	if _, err := j.WithResource("x"); err == nil {
		t.Error("nobody has a resource")
	}
	if _, err := jid.New("a", "", "r"); err == nil {
		t.Error("an address without domain")
	}
	if _, err := jid.New(strings.Repeat("a", 10000), "b", ""); err == nil {
		t.Error("an address of any length")
	}
}

func TestWithResource(t *testing.T) {
	j := jid.MustParse("a@b/c")
	if k, err := j.WithResource("d\u00a0e"); err != nil || k.String() != "a@b/d e" || k.Bare() != j.Bare() {
		t.Errorf("%q, %v", k, err)
	}
	if k, err := j.WithResource(""); err != nil || k != j.Bare() {
		t.Errorf("%q, %v", k, err)
	}
	if _, err := j.WithResource("\x00"); err == nil {
		t.Error("a resource of a control character")
	}
}

func TestMustParse(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	jid.MustParse("@")
}

func TestText(t *testing.T) {
	in := map[jid.JID]jid.JID{jid.MustParse("a@b/c"): jid.MustParse("d"), jid.MustParse("e"): {}}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out map[jid.JID]jid.JID
	if err := json.Unmarshal(b, &out); err != nil || fmt.Sprint(out) != fmt.Sprint(in) {
		t.Errorf("%s is %v: %v", b, out, err)
	}
	if err := json.Unmarshal([]byte(`{"@":""}`), &out); err == nil {
		t.Error("no error")
	}
}

func TestCompare(t *testing.T) {
	want := []string{"a", "a/x", "b@a", "b@a/x", "b@a/y", "c@a", "b", "a@b"}
	jids := make([]jid.JID, len(want))
	for i, s := range want {
		jids[len(want)-1-i] = jid.MustParse(s)
	}
	slices.SortFunc(jids, jid.JID.Compare)
	if got := fmt.Sprint(jids); got != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}
