package privacy_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

func parse(text string) (privacy.List, error) {
	el, _ := xml.First([]byte("<list xmlns='jabber:iq:privacy' name='l'>"+text+"</list>"), "")
	return privacy.Parse(&el)
}

func list(t *testing.T, text string) *privacy.List {
	t.Helper()
	l, err := parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return &l
}

func roster(bare string) privacy.Contact {
	return map[string]privacy.Contact{
		"both@example.org": {Subscription: "both", Groups: []string{"Friends"}},
		"none@example.org": {Subscription: "none"},
	}[bare]
}

// XEP-0016 section 2.1: whom a rule is about.
func TestMatching(t *testing.T) {
	for name, x := range map[string]struct {
		rules       string
		denied, not []string
	}{
		"a session":       {"<item type='jid' value='a@b.c/d' action='deny' order='1'/>", []string{"a@b.c/d"}, []string{"a@b.c", "a@b.c/e", "b.c/d"}},
		"an account":      {"<item type='jid' value='a@b.c' action='deny' order='1'/>", []string{"a@b.c", "a@b.c/d"}, []string{"b.c", "x@b.c", "a@x.b.c"}},
		"a resource":      {"<item type='jid' value='b.c/d' action='deny' order='1'/>", []string{"b.c/d", "a@b.c/d"}, []string{"b.c", "a@b.c", "a@b.c/e", "a@b.cx/d"}},
		"a domain":        {"<item type='jid' value='b.c' action='deny' order='1'/>", []string{"b.c", "b.c/d", "a@b.c", "a@b.c/d"}, []string{"x.b.c", "a@x.b.c", "a@c"}},
		"a group":         {"<item type='group' value='Friends' action='deny' order='1'/>", []string{"both@example.org/x"}, []string{"none@example.org", "x@y"}},
		"no subscription": {"<item type='subscription' value='none' action='deny' order='1'/>", []string{"none@example.org", "stranger@x"}, []string{"both@example.org"}},
		"both":            {"<item type='subscription' value='both' action='deny' order='1'/>", []string{"both@example.org/x"}, []string{"stranger@x"}},
		"everybody":       {"<item action='deny' order='1'/>", []string{"a@b", "b"}, nil},
		"the first counts": {"<item action='deny' order='9'/><item type='jid' value='a@b' action='allow' order='5'/>",
			[]string{"c@b"}, []string{"a@b/x"}},
		"no rules": {"", nil, []string{"a@b"}},
	} {
		l := list(t, x.rules)
		for _, a := range x.denied {
			if !l.Denies(privacy.Message, a, roster) {
				t.Errorf("%s: %s is let in", name, a)
			}
		}
		for _, a := range x.not {
			if l.Denies(privacy.Message, a, roster) {
				t.Errorf("%s: %s is denied", name, a)
			}
		}
	}
	var no *privacy.List
	if no.Denies(privacy.Message, "a@b", nil) || no.AsksRoster() {
		t.Error("no list denies")
	}
}

// XEP-0016 section 2.1: which stanzas a rule is about.
func TestStanzas(t *testing.T) {
	kinds := []privacy.Stanza{privacy.Message, privacy.IQ, privacy.PresenceIn, privacy.PresenceOut, privacy.Other}
	for child, want := range map[string]string{
		"": "ddddd", "<message/>": "d....", "<iq/>": ".d...", "<presence-in/>": "..d..", "<presence-out/>": "...d.",
		"<message/><presence-out/>": "d..d.",
	} {
		l := list(t, "<item action='deny' order='1'>"+child+"</item>")
		got := ""
		for _, k := range kinds {
			if l.Denies(k, "a@b", nil) {
				got += "d"
			} else {
				got += "."
			}
		}
		if got != want {
			t.Errorf("%q denies %s, want %s", child, got, want)
		}
	}
	for stanza, want := range map[string][2]privacy.Stanza{
		"message chat":         {privacy.Message, privacy.Other},
		"iq get":               {privacy.IQ, privacy.Other},
		"presence ":            {privacy.PresenceIn, privacy.PresenceOut},
		"presence unavailable": {privacy.PresenceIn, privacy.PresenceOut},
		"presence subscribe":   {privacy.Other, privacy.Other},
		"presence probe":       {privacy.Other, privacy.Other},
	} {
		name, kind, _ := strings.Cut(stanza, " ")
		if in, out := privacy.Inbound(name, kind), privacy.Outbound(name, kind); in != want[0] || out != want[1] {
			t.Errorf("%s: %v in, %v out", stanza, in, out)
		}
	}
}

func TestWrongLists(t *testing.T) {
	for name, text := range map[string]string{
		"no order":         "<item action='deny'/>",
		"a negative order": "<item action='deny' order='-1'/>",
		"one order twice":  "<item action='deny' order='1'/><item action='allow' order='1'/>",
		"no action":        "<item order='1'/>",
		"another action":   "<item action='ask' order='1'/>",
		"another type":     "<item type='age' value='7' action='deny' order='1'/>",
		"no address":       "<item type='jid' value='@' action='deny' order='1'/>",
		"no group":         "<item type='group' action='deny' order='1'/>",
		"no such relation": "<item type='subscription' value='remove' action='deny' order='1'/>",
	} {
		if l, err := parse(text); err == nil {
			t.Errorf("%s: %+v", name, l)
		}
	}
	var many strings.Builder
	for i := range privacy.MaxRules + 1 {
		fmt.Fprintf(&many, "<item action='deny' order='%d'/>", i)
	}
	if _, err := parse(many.String()); !privacy.IsTooMany(err) {
		t.Errorf("more than allowed: %v", err)
	}
}

func TestRoundTrip(t *testing.T) {
	l := list(t, "<item type='jid' value='A@b/C' action='deny' order='7'/><item type='group' value='&lt;x' action='allow' order='3'><message/><iq/></item><item action='deny' order='8'/>")
	if l.Rules[0].Order != 3 || l.Rules[1].Value != "a@b/C" {
		t.Errorf("%+v", l)
	}
	el, _ := xml.First(l.Value(), "")
	again, err := privacy.Parse(&el)
	if err != nil || !reflect.DeepEqual(again, *l) {
		t.Errorf("%s is read as %+v, %v", l.Value(), again, err)
	}
}

// XEP-0191 section 5: the block list is a part of the default list.
func TestBlocking(t *testing.T) {
	var l privacy.Lists
	must := func(m privacy.Lists, err error) privacy.Lists {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	one := must(l.Block([]string{"a@b", "c@d", "a@b"}))
	if got := one.Blocked(); !slices.Equal(got, []string{"a@b", "c@d"}) || !l.IsZero() {
		t.Errorf("blocked %q, before %+v", got, l)
	}
	if again := must(one.Block([]string{"c@d"})); !reflect.DeepEqual(again, one) {
		t.Errorf("blocked twice: %+v", again)
	}
	none := one.Unblock([]string{"a@b", "c@d"})
	if !none.IsZero() {
		t.Errorf("the list that was made stays: %+v", none)
	}
	mine := l.With(*list(t, "<item type='jid' value='x@y' action='allow' order='5'/><item type='jid' value='e@f' action='deny' order='6'><message/></item>"))
	mine.Default = "l"
	two := must(mine.Block([]string{"a@b", "x@y"}))
	if got := two.Blocked(); !slices.Equal(got, []string{"a@b", "x@y"}) || two.Default != "l" || len(two.Find("l").Rules) != 4 {
		t.Errorf("%+v", two)
	}
	if !two.Find("l").Denies(privacy.IQ, "x@y", nil) {
		t.Error("who is blocked is let in by a rule of before")
	}
	if all := two.Unblock(nil); len(all.Blocked()) > 0 || len(all.Find("l").Rules) != 2 {
		t.Errorf("all unblocked: %+v", all)
	}
	other := l.With(privacy.List{Name: "blocked"})
	if three := must(other.Block([]string{"a@b"})); three.Default != "blocked-2" || len(three.All) != 2 {
		t.Errorf("a list of the user's is taken: %+v", three)
	}
	var many []string
	for i := range privacy.MaxRules + 1 {
		many = append(many, "a@b/"+strings.Repeat("x", i%50)+string(rune('a'+i/50%26))+string(rune('a'+i/1300)))
	}
	if _, err := l.Block(many); !privacy.IsTooMany(err) {
		t.Errorf("too many: %v", err)
	}
}

func TestWithout(t *testing.T) {
	l := privacy.Lists{Default: "b"}
	for _, name := range []string{"c", "a", "b"} {
		l = l.With(privacy.List{Name: name})
	}
	if l.All[0].Name != "a" || l.Find("c") == nil || l.Find("x") != nil || l.Find("") != nil {
		t.Errorf("%+v", l)
	}
	if l = l.Without("b"); l.Default != "" || len(l.All) != 2 {
		t.Errorf("%+v", l)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("<item type='jid' value='a@b' action='deny' order='1'><iq/></item>", "a@b/c")
	f.Add("<item type='group' value='g' action='allow' order='1'/>", "b")
	f.Fuzz(func(t *testing.T, rules, address string) {
		if xml.Check([]byte(rules), xml.Limits{}) != nil {
			return
		}
		l, err := parse(rules)
		if err != nil {
			return
		}
		el, _ := xml.First(l.Value(), "")
		again, err := privacy.Parse(&el)
		if err != nil || !reflect.DeepEqual(again, l) {
			t.Fatalf("%s is read again as %+v, %v", l.Value(), again, err)
		}
		l.Denies(privacy.Message, address, roster)
	})
}
