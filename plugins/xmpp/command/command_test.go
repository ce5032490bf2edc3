package command_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/command"
	"github.com/jabberii/server/plugins/xmpp/form"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

func parse(text string) (command.Request, error) {
	el, _ := xml.First([]byte(text), "")
	return command.Parse(&el)
}

func TestParse(t *testing.T) {
	const head = "<command xmlns='http://jabber.org/protocol/commands' node='n' "
	r, err := parse(head + "/>")
	if err != nil || r.Node != "n" || r.Action != command.Execute || r.Form != nil || r.Session != "" {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = parse(head + "sessionid='s' action='complete'><x xmlns='jabber:x:data' type='submit'><field var='a'><value>1</value></field></x></command>")
	if err != nil || r.Session != "s" || r.Action != command.Complete || r.Form.Value("a") != "1" {
		t.Errorf("%+v, %v", r, err)
	}
	for text, want := range map[string]string{
		"<command xmlns='http://jabber.org/protocol/commands'/>": "",
		"<command xmlns='urn:x' node='n'/>":                      "",
		head + "action='jump'/>":                                 "<malformed-action xmlns='http://jabber.org/protocol/commands'/>",
		head + "><x xmlns='jabber:x:data' type='no'/></command>": "<bad-payload xmlns='http://jabber.org/protocol/commands'/>",
	} {
		_, err := parse(text)
		var e *stanza.Error
		if !errors.As(err, &e) || e.Condition != stanza.BadRequest || string(e.App) != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestAppend(t *testing.T) {
	r := command.Response{
		Node: "n", Session: "s", Status: command.Executing, Actions: []command.Action{command.Complete},
		Form: &form.Form{Type: form.Ask}, Notes: []command.Note{{Type: command.Warn, Text: "a < b"}},
	}
	want := "<command xmlns='http://jabber.org/protocol/commands' node='n' sessionid='s' status='executing'>" +
		"<actions execute='complete'><complete/></actions><x xmlns='jabber:x:data' type='form'></x><note type='warn'>a &lt; b</note></command>"
	if got := string(r.Append(nil)); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	done := command.Response{Node: "n", Session: "s", Status: command.Completed}
	if got := string(done.Append(nil)); strings.Contains(got, "actions") || !strings.Contains(got, "status='completed'") {
		t.Error(got)
	}
}
