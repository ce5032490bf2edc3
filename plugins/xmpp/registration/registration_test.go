package registration_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/registration"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

func element(t *testing.T, text string) xml.Element {
	t.Helper()
	if err := xml.Check([]byte(text), xml.Limits{}); err != nil {
		t.Fatal(err)
	}
	el, _ := xml.First([]byte(text), "")
	return el
}

// form is a data form with a username and a password.
func form(kind, formType string) string {
	text := "<x xmlns='jabber:x:data' type='" + kind + "'>"
	if formType != "" {
		text += "<field var='FORM_TYPE' type='hidden'><value>" + formType + "</value></field>"
	}
	return text + "<field var='username'><value>a&amp;b</value></field><field var='password'><value> p </value></field></x>"
}

// XEP-0077 sections 3.1 to 3.3, and 4.
func TestParse(t *testing.T) {
	const head = "<query xmlns='jabber:iq:register'>"
	for name, x := range map[string]struct {
		text      string
		want      registration.Request
		condition stanza.Condition
	}{
		"register":         {head + "<username>a&amp;b</username><password> p </password></query>", registration.Request{Username: "a&b", Password: " p "}, ""},
		"more fields":      {head + "<username>a</username><password>p</password><email>x@y</email></query>", registration.Request{Username: "a", Password: "p"}, ""},
		"remove":           {head + "<remove/></query>", registration.Request{Remove: true}, ""},
		"remove and more":  {head + "<remove/><username>a</username></query>", registration.Request{}, stanza.BadRequest},
		"no password":      {head + "<username>a</username></query>", registration.Request{}, stanza.NotAcceptable},
		"an empty one":     {head + "<username>a</username><password/></query>", registration.Request{}, stanza.NotAcceptable},
		"no username":      {head + "<password>p</password></query>", registration.Request{}, stanza.NotAcceptable},
		"nothing":          {head + "</query>", registration.Request{}, stanza.NotAcceptable},
		"a form":           {head + form("submit", "jabber:iq:register") + "</query>", registration.Request{Username: "a&b", Password: " p "}, ""},
		"without its type": {head + form("submit", "") + "</query>", registration.Request{Username: "a&b", Password: " p "}, ""},
		"a form and more":  {head + "<username>x</username>" + form("submit", "jabber:iq:register") + "<password>x</password></query>", registration.Request{Username: "a&b", Password: " p "}, ""},
		"another's form":   {head + form("submit", "urn:x") + "</query>", registration.Request{}, stanza.NotAcceptable},
		"a form to fill":   {head + form("form", "jabber:iq:register") + "</query>", registration.Request{}, stanza.BadRequest},
		"a form canceled":  {head + form("cancel", "") + "</query>", registration.Request{}, stanza.NotAcceptable},
		"a form, then go":  {head + form("submit", "jabber:iq:register") + "<remove/></query>", registration.Request{}, stanza.BadRequest},
		"go and a form":    {head + "<remove/>" + form("submit", "jabber:iq:register") + "</query>", registration.Request{}, stanza.BadRequest},
		"an empty form":    {head + "<x xmlns='jabber:x:data' type='submit'/></query>", registration.Request{}, stanza.NotAcceptable},
		"another element":  {"<x xmlns='jabber:iq:register'/>", registration.Request{}, stanza.BadRequest},
		"of another space": {head + "<username xmlns='urn:x'>a</username><password>p</password></query>", registration.Request{}, stanza.NotAcceptable},
	} {
		t.Run(name, func(t *testing.T) {
			el := element(t, x.text)
			got, err := registration.Parse(&el)
			var e *stanza.Error
			switch {
			case x.condition != "" && (!errors.As(err, &e) || e.Condition != x.condition):
				t.Errorf("%v, want %s", err, x.condition)
			case x.condition == "" && (err != nil || got != x.want):
				t.Errorf("%+v, %v", got, err)
			case x.condition == "" && !strings.Contains(name, "more"):
				again := element(t, string(got.Append(nil)))
				if r, err := registration.Parse(&again); err != nil || r != got {
					t.Errorf("written and read it is %+v, %v", r, err)
				}
			}
		})
	}
}

func TestAppend(t *testing.T) {
	const asked = "<x xmlns='jabber:x:data' type='form'><title>An account</title><instructions>a &lt; b</instructions>" +
		"<field var='FORM_TYPE' type='hidden'><value>jabber:iq:register</value></field>" +
		"<field var='username' type='text-single' label='Username'><required/></field>" +
		"<field var='password' type='text-private' label='Password'><required/></field></x>"
	for want, got := range map[string][]byte{
		"<query xmlns='jabber:iq:register'><instructions>a &lt; b</instructions><username/><password/>" + asked + "</query>": registration.AppendFields(nil, "a < b"),
		"<query xmlns='jabber:iq:register'><registered/><username>ann</username><password/></query>":                         registration.AppendRegistered(nil, "ann"),
		"<preauth xmlns='urn:xmpp:pars:0' token='a&apos;b'/>":                                                                registration.AppendPreauth(nil, "a'b"),
	} {
		if string(got) != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	el := element(t, "<p:preauth xmlns:p='urn:xmpp:pars:0' token='x'/>")
	if token, ok := registration.Preauth(&el); token != "x" || !ok {
		t.Errorf("%q, %v", token, ok)
	}
	el = element(t, "<preauth token='x'/>")
	if _, ok := registration.Preauth(&el); ok {
		t.Error("an element of another namespace is taken")
	}
}
