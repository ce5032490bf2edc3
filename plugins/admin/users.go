package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/invite"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/command"
	"github.com/jabberii/server/plugins/xmpp/form"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// A refusal is a failure that is told to the admin.
type refusal string

func (r refusal) Error() string { return string(r) }

// isPlain reports whether an error is meant for the admin.
func isPlain(err error) bool {
	return errors.As(err, new(refusal)) || errors.Is(err, account.ErrExists) || errors.Is(err, account.ErrNone)
}

// asks returns what a command asks for: always the same form.
func asks(title string, fields ...form.Field) func(context.Context, call) (*form.Form, error) {
	f := &form.Form{Type: form.Ask, Title: title, FormType: formType, Fields: fields}
	return func(context.Context, call) (*form.Form, error) { return f, nil }
}

var (
	oneAccount   = form.Field{Var: "accountjid", Type: form.JIDSingle, Label: "The account", Required: true}
	someAccounts = form.Field{Var: "accountjids", Type: form.JIDMulti, Label: "The accounts", Required: true}
)

// users are the commands about accounts.
func (s *service) users() []*order {
	return []*order{
		{"add-user", "Add an account", false, asks("A new account", oneAccount,
			form.Field{Var: "password", Type: form.TextPrivate, Label: "Its password", Required: true},
			form.Field{Var: "password-verify", Type: form.TextPrivate, Label: "The password again"},
		), s.addUser},
		{"delete-user", "Delete accounts", false, asks("Accounts to delete, with all that they have", someAccounts), s.each(s.deleteUser, "deleted")},
		{"disable-user", "Disable accounts", false, asks("Accounts that may not log in any more", someAccounts), s.each(s.disableUser, "disabled")},
		{"reenable-user", "Enable accounts again", false, asks("Accounts that may log in again", someAccounts), s.each(s.enableUser, "enabled")},
		{"end-user-session", "End sessions", false, asks("Sessions to end, or accounts all of whose sessions end", someAccounts), s.each(s.endSession, "ended")},
		{"change-user-password", "Change a password", false, asks("A new password", oneAccount,
			form.Field{Var: "password", Type: form.TextPrivate, Label: "The password", Required: true},
		), s.changePassword},
	}
}

// check refuses what is no account of the host.
func check(host, address string) error {
	if packet.Domain(address) != host || packet.Local(address) == "" {
		return refusal(address + " is no account of " + host)
	}
	return nil
}

// checkPassword refuses passwords that nobody can log in with.
func checkPassword(password string) error {
	if _, err := sasl.NewKeys(sasl.SHA256, password, sasl.NewSalt(), sasl.MinIterations); err != nil {
		return refusal("the password: " + err.Error())
	}
	return nil
}

func (s *service) addUser(ctx context.Context, c call, f *form.Form) (outcome, error) {
	address, password := packet.Bare(f.Value("accountjid")), f.Value("password")
	if again := f.Field("password-verify"); again != nil && f.Value("password-verify") != password {
		return outcome{}, refusal("the two passwords are not the same")
	}
	if err := errors.Join(check(c.host, address), checkPassword(password)); err != nil {
		return outcome{}, err
	}
	return done(address + " is added"), account.Add(ctx, s.store, address, password)
}

func (s *service) changePassword(ctx context.Context, c call, f *form.Form) (outcome, error) {
	address, password := packet.Bare(f.Value("accountjid")), f.Value("password")
	if err := errors.Join(check(c.host, address), checkPassword(password)); err != nil {
		return outcome{}, err
	}
	return done(address + " has a new password"), account.SetPassword(ctx, s.store, address, password, func(ctx context.Context) error {
		return sessions.Renew(ctx, s.asker, address, c.by)
	})
}

// each does something with all addresses of a form, and says what became of them.
func (s *service) each(do func(ctx context.Context, address string) (string, error), verb string) func(context.Context, call, *form.Form) (outcome, error) {
	return func(ctx context.Context, c call, f *form.Form) (out outcome, err error) {
		var failed error
		for _, address := range f.Values("accountjids") {
			err := check(c.host, address)
			text := ""
			if err == nil {
				text, err = do(ctx, address)
			}
			switch reject := new(packet.Reject); {
			case err == nil && text == "":
				out.notes = append(out.notes, command.Note{Type: command.Info, Text: address + " is " + verb})
			case err == nil:
				out.notes = append(out.notes, command.Note{Type: command.Info, Text: text})
			case isPlain(err) || errors.As(err, &reject):
				out.notes = append(out.notes, command.Note{Type: command.Fail, Text: err.Error()})
			default:
				failed = err
			}
		}
		return out, failed
	}
}

func (s *service) deleteUser(ctx context.Context, address string) (string, error) {
	if address != packet.Bare(address) {
		return "", refusal(address + " is a session, not an account")
	}
	return "", account.Remove(ctx, s.store, address, func(ctx context.Context) error {
		_, err := sessions.Forget(ctx, s.asker, address, nil)
		return errors.Join(err, invite.Forget(ctx, s.store, address))
	})
}

func (s *service) disableUser(ctx context.Context, address string) (string, error) {
	address = packet.Bare(address)
	if err := account.Disable(ctx, s.store, address); err != nil {
		return "", err
	}
	return "", sessions.Disabled(ctx, s.asker, address)
}

func (s *service) enableUser(ctx context.Context, address string) (string, error) {
	return "", account.Enable(ctx, s.store, packet.Bare(address))
}

func (s *service) endSession(ctx context.Context, address string) (string, error) {
	n, err := sessions.End(ctx, s.asker, sessions.Ending{Of: address, Condition: "policy-violation"})
	if n == 1 {
		return address + ": 1 session ended", err
	}
	return fmt.Sprintf("%s: %d sessions ended", address, n), err
}
