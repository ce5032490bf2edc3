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
		{"announce", "Tell all who are online", false, asks("What all who are online are told",
			form.Field{Var: "subject", Label: "Its subject"}, lines("announcement", "What to say")), s.announce},
		{"set-motd", "Set the message of the day", false, asks("What all are told, now or when they come", lines("motd", "What to say")), s.setMotd},
		{"edit-motd", "Change the message of the day", false, func(ctx context.Context, c call) (*form.Form, error) {
			b, err := s.notices.of(ctx, c.host)
			f := &form.Form{Type: form.Ask, Title: "What those are told who have not been told yet", FormType: formType}
			f.Fields = []form.Field{lines("motd", "What to say", b.motd.lines()...)}
			return f, err
		}, s.editMotd},
		{"delete-motd", "Delete the message of the day", false, nil, func(ctx context.Context, c call, _ *form.Form) (outcome, error) {
			return done("there is no message of the day any more"), s.notices.set(ctx, c.host, motdKey, notice{})
		}},
		{"set-welcome", "Set the welcome", false, func(ctx context.Context, c call) (*form.Form, error) {
			b, err := s.notices.of(ctx, c.host)
			f := &form.Form{Type: form.Ask, Title: "What new accounts are told when they come first", FormType: formType}
			f.Fields = []form.Field{lines("welcome", "What to say", b.welcome.lines()...)}
			return f, err
		}, s.setWelcome},
		{"delete-welcome", "Delete the welcome", false, nil, func(ctx context.Context, c call, _ *form.Form) (outcome, error) {
			return done("there is no welcome any more"), s.notices.set(ctx, c.host, welcomeKey, notice{})
		}},
	}
}

// announce sends a message to all accounts that are online.
func (s *service) announce(ctx context.Context, c call, f *form.Form) (outcome, error) {
	var body []byte
	if subject := f.Value("subject"); subject != "" {
		body = xml.AppendElement(body, "subject", "", subject)
	}
	return s.tell(ctx, c.host, xml.AppendElement(body, "body", "", f.Text("announcement")), nil)
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
func (s *service) setMotd(ctx context.Context, c call, f *form.Form) (outcome, error) {
	n := newNotice(f.Text("motd"))
	if err := s.notices.set(ctx, c.host, motdKey, n); err != nil {
		return outcome{}, err
	}
	return s.tell(ctx, c.host, n.body(), func(jid string) {
		if _, err := s.notices.tells(s.ctx, jid, motdKey, n, false); err != nil {
			s.env.Log().Warn("the message of the day may come twice: "+err.Error(), "account", jid)
		}
	})
}

// editMotd tells it those who have not been told before.
func (s *service) editMotd(ctx context.Context, c call, f *form.Form) (outcome, error) {
	b, err := s.notices.of(ctx, c.host)
	switch {
	case err != nil:
		return outcome{}, err
	case b.motd.id == "":
		return outcome{}, refusal("there is no message of the day; set one")
	}
	b.motd.text = f.Text("motd")
	return done("the message of the day is changed"), s.notices.set(ctx, c.host, motdKey, b.motd)
}

// setWelcome tells accounts that are made from now on. With another text it is still the
// same welcome, which those who have had it do not get again.
func (s *service) setWelcome(ctx context.Context, c call, f *form.Form) (outcome, error) {
	b, err := s.notices.of(ctx, c.host)
	if err != nil {
		return outcome{}, err
	}
	n := b.welcome
	if n.id == "" {
		n = newNotice("")
	}
	n.text = f.Text("welcome")
	return done("the welcome is set"), s.notices.set(ctx, c.host, welcomeKey, n)
}
