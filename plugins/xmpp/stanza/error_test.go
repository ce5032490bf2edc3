package stanza_test

import (
	"reflect"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// The conditions of RFC 6120, 8.3.3, with the types that it recommends.
var conditions = map[stanza.Condition]stanza.ErrorType{
	"bad-request": "modify", "conflict": "cancel", "feature-not-implemented": "cancel", "forbidden": "auth",
	"gone": "cancel", "internal-server-error": "cancel", "item-not-found": "cancel", "jid-malformed": "modify",
	"not-acceptable": "modify", "not-allowed": "cancel", "not-authorized": "auth", "policy-violation": "modify",
	"recipient-unavailable": "wait", "redirect": "modify", "registration-required": "auth",
	"remote-server-not-found": "cancel", "remote-server-timeout": "wait", "resource-constraint": "wait",
	"service-unavailable": "cancel", "subscription-required": "auth", "undefined-condition": "cancel",
	"unexpected-request": "wait",
}

func TestConditions(t *testing.T) {
	for condition, kind := range conditions {
		if !condition.Defined() || condition.Type() != kind {
			t.Errorf("%s is of type %q, want %q", condition, condition.Type(), kind)
		}
		e := stanza.Error{Condition: condition}
		if got := stanza.ParseError(e.Append(nil)); got.Condition != condition || got.Type != kind {
			t.Errorf("%s becomes %+v", condition, got)
		}
	}
	if other := stanza.Condition("other"); other.Defined() || other.Type() != "" {
		t.Error("there is no other condition")
	}
}

func TestErrorRoundTrip(t *testing.T) {
	app := []byte("<too-many xmlns='urn:x'/>")
	for _, e := range []*stanza.Error{
		{Condition: stanza.Gone, Type: stanza.Modify, URI: "xmpp:a@b?x=1&y"},
		{Condition: stanza.Conflict, Type: stanza.Cancel, Text: "a < b", Lang: "en", By: jid.MustParse("a@b"), App: app},
		{Condition: stanza.UndefinedCondition, Type: stanza.Continue, App: app},
	} {
		b := e.Append(nil)
		if err := xml.Check(b, xml.Limits{}); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		if got := stanza.ParseError(b); !reflect.DeepEqual(got, e) {
			t.Errorf("%s is %+v, want %+v", b, got, e)
		}
	}
	e := stanza.Error{Condition: "made-up", URI: "x"}
	if got := stanza.ParseError(e.Append(nil)); got.Condition != stanza.UndefinedCondition || got.URI != "" {
		t.Errorf("%+v", got)
	}
}

func TestParseError(t *testing.T) {
	const space = ` xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'`
	tests := []struct {
		name, body string
		want       stanza.Error
	}{
		{"nothing", ``, stanza.Error{Condition: "undefined-condition", Type: "cancel"}},
		{"original first", `<query xmlns='u'/><error type='wait'><resource-constraint` + space + `/></error>`,
			stanza.Error{Condition: "resource-constraint", Type: "wait"}},
		{"no type", `<error><forbidden` + space + `/></error>`, stanza.Error{Condition: "forbidden", Type: "auth"}},
		{"unknown type", `<error type='x'><forbidden` + space + `/></error>`, stanza.Error{Condition: "forbidden", Type: "auth"}},
		{"unknown condition", `<error type='auth'><x` + space + `/></error>`, stanza.Error{Condition: "undefined-condition", Type: "auth"}},
		{"condition of no namespace", `<error type='auth'><conflict/></error>`, stanza.Error{Condition: "undefined-condition", Type: "auth"}},
		{"two conditions", `<error><gone` + space + `>x</gone><conflict` + space + `/></error>`,
			stanza.Error{Condition: "gone", Type: "cancel", URI: "x"}},
		{"two texts", `<error><text` + space + ` xml:lang='en'>one</text><text` + space + `>two</text><conflict` + space + `/></error>`,
			stanza.Error{Condition: "conflict", Type: "cancel", Text: "one", Lang: "en"}},
		{"malformed by", `<error by='@'><conflict` + space + `/></error>`, stanza.Error{Condition: "conflict", Type: "cancel"}},
		{"application with a prefix", `<error xmlns:p='urn:p'><conflict` + space + `/><p:x><p:y/></p:x><z xmlns='u'/></error>`,
			stanza.Error{Condition: "conflict", Type: "cancel", App: []byte(`<p:x xmlns='jabber:client' xmlns:p='urn:p'><p:y/></p:x>`)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := stanza.ParseError([]byte(test.body)); !reflect.DeepEqual(*got, test.want) {
				t.Errorf("%+v, want %+v", *got, test.want)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]*stanza.Error{
		"conflict":        {Condition: stanza.Conflict},
		"conflict: taken": {Condition: stanza.Conflict, Text: "taken"},
	} {
		if got := e.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
