package form_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/form"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

func parse(t *testing.T, text string) (*form.Form, error) {
	t.Helper()
	if err := xml.Check([]byte(text), xml.Limits{}); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	el, _ := xml.First([]byte(text), ns.Client)
	return form.Parse(&el)
}

func TestRoundTrip(t *testing.T) {
	for name, f := range map[string]form.Form{
		"empty": {Type: form.Cancel},
		"asked": {Type: form.Ask, Title: "<T>", Instructions: "do\nthis", FormType: "urn:f", Fields: []form.Field{
			{Var: "a", Type: form.TextSingle, Label: "A & B", Desc: "long", Required: true},
			{Type: form.Fixed, Values: []string{"between"}},
			{Var: "l", Type: form.ListMulti, Values: []string{"1"}, Options: []form.Option{{Label: "One", Value: "1"}, {Value: "2"}}},
		}},
		"table": {Type: form.Result, Reported: []form.Field{{Var: "jid", Label: "Who"}}, Items: [][]form.Field{
			{{Var: "jid", Values: []string{"ann@example.org"}}}, {{Var: "jid", Values: []string{""}}},
		}},
	} {
		text := string(f.Append(nil))
		got, err := parse(t, text)
		if err != nil || !reflect.DeepEqual(*got, f) {
			t.Errorf("%s: %s is read as %+v, %v", name, text, got, err)
		}
	}
}

func TestValues(t *testing.T) {
	f, err := parse(t, "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:f</value></field>"+
		"<field var='lines'><value>one</value><value>two</value></field><field var='yes'><value>1</value></field>"+
		"<field var='no'><value>false</value></field><field var='none'/><other/><field xmlns='urn:x' var='x'/></x>")
	if err != nil {
		t.Fatal(err)
	}
	if f.FormType != "urn:f" || f.Text("lines") != "one\ntwo" || f.Value("lines") != "one" || f.Value("none") != "" || f.Value("gone") != "" {
		t.Errorf("%+v", f)
	}
	if !f.Bool("yes") || f.Bool("no") || f.Bool("gone") || len(f.Fields) != 4 {
		t.Errorf("%+v", f)
	}
}

func TestNoForms(t *testing.T) {
	many := strings.Repeat("<field var='a'/>", 1001)
	for name, text := range map[string]string{
		"another element": "<y xmlns='jabber:x:data' type='form'/>",
		"no type":         "<x xmlns='jabber:x:data'/>",
		"too long":        "<x xmlns='jabber:x:data' type='submit'>" + many + "</x>",
		"a long table":    "<x xmlns='jabber:x:data' type='submit'><item>" + many + "</item></x>",
		"many rows":       "<x xmlns='jabber:x:data' type='submit'>" + strings.Repeat("<item/>", 1001) + "</x>",
	} {
		if f, err := parse(t, text); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
	el, _ := xml.First([]byte("<command xmlns='urn:c'/>"), ns.Client)
	if f, err := form.Find(&el); f != nil || err != nil {
		t.Errorf("found %+v, %v", f, err)
	}
}

func TestCheck(t *testing.T) {
	asked := form.Form{Type: form.Ask, FormType: "urn:f", Fields: []form.Field{
		{Type: form.Fixed, Values: []string{"fill in"}},
		{Var: "jid", Type: form.JIDSingle, Required: true},
		{Var: "jids", Type: form.JIDMulti},
		{Var: "flag", Type: form.Boolean},
		{Var: "one", Type: form.ListSingle, Options: []form.Option{{Value: "a"}, {Value: "b"}}},
	}}
	for name, x := range map[string]struct {
		fields []form.Field
		want   string // part of the error, "" is none
	}{
		"right":              {[]form.Field{{Var: "jid", Values: []string{" ANN@example.org"}}, {Var: "flag", Values: []string{"1"}}, {Var: "more", Values: []string{"x"}}}, ""},
		"missing":            {nil, "jid is missing"},
		"empty":              {[]form.Field{{Var: "jid", Values: []string{""}}}, "jid is missing"},
		"no address":         {[]form.Field{{Var: "jid", Values: []string{"@"}}}, "no address"},
		"two":                {[]form.Field{{Var: "jid", Values: []string{"a", "b"}}}, "one value"},
		"one of several bad": {[]form.Field{{Var: "jid", Values: []string{"a"}}, {Var: "jids", Values: []string{"b", "@"}}}, "jids has"},
		"not a flag":         {[]form.Field{{Var: "jid", Values: []string{"a"}}, {Var: "flag", Values: []string{"maybe"}}}, "not true or false"},
		"not offered":        {[]form.Field{{Var: "jid", Values: []string{"a"}}, {Var: "one", Values: []string{"c"}}}, "cannot be chosen"},
		"left empty":         {[]form.Field{{Var: "jid", Values: []string{"a"}}, {Var: "one", Values: []string{""}}}, ""},
	} {
		answer := form.Form{Type: form.Submit, FormType: "urn:f", Fields: x.fields}
		err := asked.Check(&answer)
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
		if name == "right" && answer.Value("jid") != "ann@example.org" {
			t.Errorf("the address is %q", answer.Value("jid"))
		}
		if name == "left empty" && slices.Contains(answer.Values("one"), "") {
			t.Error("what is left empty has a value")
		}
	}
	if err := asked.Check(&form.Form{FormType: "urn:g"}); err == nil {
		t.Error("another form is taken")
	}
}

func FuzzParse(f *testing.F) {
	whole := form.Form{Type: form.Ask, Title: "t", FormType: "urn:f", Fields: []form.Field{{Var: "a", Options: []form.Option{{Value: "b"}}}}}
	f.Add(string(whole.Append(nil)))
	f.Add("<x xmlns='jabber:x:data' type='submit'><reported><field var='a'/></reported><item><field var='a'><value>1</value></field></item></x>")
	f.Fuzz(func(t *testing.T, text string) {
		if xml.Check([]byte(text), xml.Limits{}) != nil {
			return
		}
		el, ok := xml.First([]byte(text), ns.Client)
		if !ok {
			return
		}
		a, err := form.Parse(&el)
		if err != nil {
			return
		}
		again, err := parse(t, string(a.Append(nil)))
		if err != nil || again.FormType != a.FormType || len(again.Fields) != len(a.Fields) || len(again.Items) != len(a.Items) {
			t.Fatalf("%s: %+v is read again as %+v, %v", text, a, again, err)
		}
	})
}
