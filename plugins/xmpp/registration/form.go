package registration

import (
	"github.com/jabberii/server/plugins/xmpp/form"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// fields is the form beside the plain fields (XEP-0077 section 4): the same ones, with
// labels, for clients that show forms.
func fields(instructions string) *form.Form {
	return &form.Form{
		Type: form.Ask, Title: "An account", Instructions: instructions, FormType: NS,
		Fields: []form.Field{
			{Var: "username", Type: form.TextSingle, Label: "Username", Required: true},
			{Var: "password", Type: form.TextPrivate, Label: "Password", Required: true},
		},
	}
}

// fill takes the request from a form that was filled in.
func (r *Request) fill(el *xml.Element) error {
	answer, err := form.Parse(el)
	switch {
	case err != nil:
		return &stanza.Error{Condition: stanza.BadRequest, Text: err.Error()}
	case answer.Type == form.Cancel:
		return &stanza.Error{Condition: stanza.NotAcceptable, Text: "the form was canceled"}
	case answer.Type != form.Submit:
		return &stanza.Error{Condition: stanza.BadRequest, Text: "a form that is filled in is of type submit"}
	case answer.FormType != "" && answer.FormType != NS: // some clients leave out what is hidden
		return &stanza.Error{Condition: stanza.NotAcceptable, Text: "the form is another's"}
	}
	r.Username, r.Password = answer.Value("username"), answer.Value("password")
	return nil
}

// isForm reports whether an element is a data form.
func isForm(el *xml.Element) bool { return el.Is("x", ns.DataForm) }
