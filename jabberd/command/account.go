package command

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/jid"
)

// switching is a command that lets an account log in, or keeps it from it.
func switching(use, short, done string, do func(context.Context, jid.JID) error) *cobra.Command {
	return &cobra.Command{Use: use + " JID", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			j, err := bare(args[0])
			if err == nil {
				err = do(cmd.Context(), j)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), done+"\n", j)
			return err
		}}
}

// disable keeps an account from logging in, and ends its sessions.
func disable(socket *string) *cobra.Command {
	return switching("disable", "Keep an account from logging in; what it has stays", "%s is disabled", func(ctx context.Context, j jid.JID) error {
		c := server.Dial(*socket)
		if err := account.Disable(ctx, accountsOf(c), j.String()); err != nil {
			return err
		}
		return ifServed(func(ctx context.Context) error { return sessions.Disabled(ctx, c, j.String()) })(ctx)
	})
}

func enable(socket *string) *cobra.Command {
	return switching("enable", "Let an account log in that is disabled", "%s is enabled", func(ctx context.Context, j jid.JID) error {
		return account.Enable(ctx, accountsOf(server.Dial(*socket)), j.String())
	})
}

// listUsers writes the accounts as they come, so that there may be many. Those of a
// domain that is not served, left in storage, are shown too.
func listUsers(socket *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "list DOMAIN", Short: "List the accounts of a domain, and say which are disabled", Args: cobra.ExactArgs(1)}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, an object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c := server.Dial(*socket)
		out := bufio.NewWriter(cmd.OutOrStdout())
		for a, err := range account.All(cmd.Context(), accountsOf(c), args[0]) {
			if err == nil {
				err = printUser(out, a, asJSON)
			}
			if err != nil {
				return errors.Join(err, out.Flush())
			}
		}
		why, err := unserved(cmd.Context(), c, args[0])
		return errors.Join(out.Flush(), why, err)
	}
	return cmd
}

func printUser(w io.Writer, a account.Listed, asJSON bool) error {
	line := a.JID
	switch {
	case asJSON:
		return json.NewEncoder(w).Encode(a)
	case a.Disabled:
		line += "  disabled"
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// A userReport is what is known of an account.
type userReport struct {
	JID       string             `json:"jid"`
	Disabled  bool               `json:"disabled"`
	Created   time.Time          `json:"created,omitzero"`
	LastLogin time.Time          `json:"last_login,omitzero"` // kept where admin is loaded
	Contacts  int                `json:"contacts"`
	Offline   int                `json:"offline"` // messages that wait for it
	Tokens    int                `json:"tokens"`  // clients that log in without the password
	Sessions  []sessions.Session `json:"sessions"`
}

// showUser says how an account is.
func showUser(socket *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "show JID", Short: "Show an account: whether it may log in, since when there is it, what it has", Args: cobra.ExactArgs(1)}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		j, err := bare(args[0])
		if err != nil {
			return err
		}
		r, err := describeUser(cmd.Context(), server.Dial(*socket), j.String())
		switch {
		case err != nil:
			return err
		case asJSON:
			return printJSON(cmd.OutOrStdout(), r)
		}
		return r.print(cmd.OutOrStdout())
	}
	return cmd
}

func describeUser(ctx context.Context, c *server.Client, jid string) (userReport, error) {
	store := accountsOf(c)
	r := userReport{JID: jid, Sessions: []sessions.Session{}}
	there, err := account.Exists(ctx, store, jid)
	if err == nil && !there {
		err = fmt.Errorf("%s: %w", jid, account.ErrNone)
	}
	if err != nil {
		return r, err
	}
	var errs [4]error
	r.Disabled, errs[0] = account.IsDisabled(ctx, store, jid)
	r.Created, errs[1] = account.Created(ctx, store, jid)
	r.LastLogin, errs[2] = account.LastLogin(ctx, store, jid)
	errs[3] = ifServed(func(ctx context.Context) error {
		list, err := sessions.All(ctx, c, jid)
		r.Sessions = append(r.Sessions, list...)
		return err
	})(ctx)
	err = errors.Join(errs[:]...)
	for ns, n := range map[string]*int{"roster": &r.Contacts, "offline": &r.Offline, account.Tokens: &r.Tokens} {
		page, more := store.Keys(ctx, jid, ns, xdb.Query{Count: true, Max: -1})
		*n, err = page.Count, errors.Join(err, more)
	}
	return r, err
}

func (r *userReport) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		// An error is that of the writer behind, which Flush returns.
		_, _ = fmt.Fprintf(table, "%s\t%s\n", name, value)
	}
	line("account", r.JID)
	if r.Disabled {
		line("", "disabled: nobody can log in")
	}
	for _, x := range []struct {
		name string
		at   time.Time
	}{{"created", r.Created}, {"last login", r.LastLogin}} {
		if !x.at.IsZero() {
			line(x.name, x.at.Local().Format(time.DateTime))
		}
	}
	line("contacts", strconv.Itoa(r.Contacts))
	line("offline messages", strconv.Itoa(r.Offline))
	line("clients with a token", strconv.Itoa(r.Tokens))
	for _, s := range r.Sessions {
		line("session", fmt.Sprintf("%s, %s, %s", s.JID, presenceOf(s), connectionOf(s)))
	}
	return table.Flush()
}
