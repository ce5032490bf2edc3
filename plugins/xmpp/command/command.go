// Package command implements ad-hoc commands (XEP-0050): what a person asks a
// service to do, with a form for what it needs to know.
//
// A [Request] is an element command of the asker, a [Response] that of the
// service. Nothing here keeps state: a command of one form can be run by who
// remembers nothing, since the answer to the form says of which command it is.
package command

import (
	"github.com/jabberii/server/plugins/xmpp/form"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// NS is the namespace of commands, and the node under which they are listed.
const NS = "http://jabber.org/protocol/commands"

// An Action is what the asker wants.
type Action string

// The actions.
const (
	Execute  Action = "execute" // begin, or go on as the service proposes; the default
	Next     Action = "next"
	Previous Action = "prev"
	Complete Action = "complete"
	Cancel   Action = "cancel"
)

// A Status says how far a command is.
type Status string

// The statuses.
const (
	Executing Status = "executing"
	Completed Status = "completed"
	Canceled  Status = "canceled"
)

// A Request is what is asked for.
type Request struct {
	Node    string // the command
	Session string // "" begins one
	Action  Action
	Form    *form.Form // what was filled in; nil if there is none
}

// Parse reads a request. The error is a *stanza.Error.
func Parse(el *xml.Element) (Request, error) {
	r := Request{Node: el.Attr("node"), Session: el.Attr("sessionid"), Action: Action(el.Attr("action"))}
	if !el.Is("command", NS) || r.Node == "" {
		return r, &stanza.Error{Condition: stanza.BadRequest, Text: "a command has a node"}
	}
	switch r.Action {
	case "":
		r.Action = Execute
	case Execute, Next, Previous, Complete, Cancel:
	default:
		return r, bad("malformed-action")
	}
	f, err := form.Find(el)
	if err != nil {
		return r, bad("bad-payload")
	}
	r.Form = f
	return r, nil
}

// BadAction is the error for an action that a command has not.
func BadAction() error { return bad("bad-action") }

// bad is an error of XEP-0050 section 4.4.
func bad(why string) error {
	return &stanza.Error{Condition: stanza.BadRequest, App: xml.AppendEmpty(nil, why, NS)}
}

// A NoteType says how a note is meant.
type NoteType string

// The types of notes.
const (
	Info NoteType = "info"
	Warn NoteType = "warn"
	Fail NoteType = "error"
)

// A Note is for the person.
type Note struct {
	Type NoteType
	Text string
}

// A Response is what became of a request.
type Response struct {
	Node    string
	Session string
	Status  Status
	Actions []Action // that come next; the first is the one proposed
	Form    *form.Form
	Notes   []Note
}

// Append writes the response as an element.
func (r *Response) Append(dst []byte) []byte {
	dst = xml.AppendStart(dst, "command", NS, "node", r.Node, "sessionid", r.Session, "status", string(r.Status))
	if len(r.Actions) > 0 {
		dst = xml.AppendStart(dst, "actions", "", "execute", string(r.Actions[0]))
		for _, a := range r.Actions {
			dst = xml.AppendEmpty(dst, string(a), "")
		}
		dst = xml.AppendEnd(dst, "actions")
	}
	if r.Form != nil {
		dst = r.Form.Append(dst)
	}
	for _, n := range r.Notes {
		dst = xml.AppendElement(dst, "note", "", n.Text, "type", string(n.Type))
	}
	return xml.AppendEnd(dst, "command")
}
