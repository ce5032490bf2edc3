package admin

import (
	"context"
	"fmt"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/form"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// announcements are the commands that tell users something.
func (s *service) announcements() []*order {
	lines := func(name, label string, values ...string) form.Field {
		return form.Field{Var: name, Type: form.TextMulti, Label: label, Required: true, Values: values}
	}
	return []*order{
		{"announce", "Tell all who are online", asks("What all who are online are told",
			form.Field{Var: "subject", Label: "Its subject"}, lines("announcement", "What to say")), s.announce},
		{"set-motd", "Set the message of the day", asks("What all are told, now or when they come", lines("motd", "What to say")), s.setMotd},
		{"edit-motd", "Change the message of the day", func(ctx context.Context, host string) (*form.Form, error) {
			m, err := s.motds.of(ctx, host)
			if err != nil {
				return nil, err
			}
			f := &form.Form{Type: form.Ask, Title: "What those are told who have not been told yet", FormType: formType}
			f.Fields = []form.Field{lines("motd", "What to say", m.lines()...)}
			return f, nil
		}, s.editMotd},
		{"delete-motd", "Delete the message of the day", nil, func(ctx context.Context, host string, _ *form.Form) (outcome, error) {
			return done("there is no message of the day any more"), s.motds.set(ctx, host, motd{})
		}},
	}
}

// announce sends a message to all accounts that are online.
func (s *service) announce(ctx context.Context, host string, f *form.Form) (outcome, error) {
	var body []byte
	if subject := f.Value("subject"); subject != "" {
		body = xml.AppendElement(body, "subject", "", subject)
	}
	return s.tell(ctx, host, xml.AppendElement(body, "body", "", f.Text("announcement")), nil)
}

// tell sends a message to all accounts that are online, and calls told for each
// when it has. It does not wait: it ends early only if the process does.
func (s *service) tell(ctx context.Context, host string, body []byte, told func(jid string)) (outcome, error) {
	var jids []string
	err := s.online(func(sessions.Session) bool { return true })(ctx, host, func(jid string) { jids = append(jids, jid) })
	if err != nil {
		return outcome{}, err
	}
	s.background.Go(func() {
		for _, jid := range jids {
			if told != nil {
				told(jid)
			}
			if s.env.Deliver(s.ctx, &packet.Packet{Kind: packet.Normal, To: jid, From: host, Name: "message", Body: body}) != nil {
				return
			}
		}
	})
	if len(jids) == 1 {
		return done("1 user is told"), nil
	}
	return done(fmt.Sprintf("%d users are told", len(jids))), nil
}

// setMotd tells all who are online, and all others when they come.
func (s *service) setMotd(ctx context.Context, host string, f *form.Form) (outcome, error) {
	m := newMotd(f.Text("motd"))
	if err := s.motds.set(ctx, host, m); err != nil {
		return outcome{}, err
	}
	return s.tell(ctx, host, m.body(), func(jid string) {
		if _, err := s.motds.tells(s.ctx, jid, m.id); err != nil {
			s.env.Log().Warn("the message of the day may come twice: "+err.Error(), "account", jid)
		}
	})
}

// editMotd tells it those who have not been told before.
func (s *service) editMotd(ctx context.Context, host string, f *form.Form) (outcome, error) {
	m, err := s.motds.of(ctx, host)
	switch {
	case err != nil:
		return outcome{}, err
	case m.id == "":
		return outcome{}, refusal("there is no message of the day; set one")
	}
	m.text = f.Text("motd")
	return done("the message of the day is changed"), s.motds.set(ctx, host, m)
}
