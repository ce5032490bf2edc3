package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/invite"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/jid"
)

// asker is who asks storage for these commands.
const asker = "jabberd user"

// user adds and removes accounts of a running server.
func (p *program) user() *cobra.Command {
	cmd := &cobra.Command{Use: "user", Short: "Add, change, list and remove accounts of a running server"}
	socket := socketOf(cmd)
	store := func() *xdb.Store { return accountsOf(server.Dial(*socket)) }
	cmd.AddCommand(
		withPassword("add", "Add an account", "%s is added", func(ctx context.Context, j jid.JID, password string) error {
			switch why, err := unserved(ctx, server.Dial(*socket), j.Domain()); {
			case err != nil:
				return err
			case why != nil:
				return fmt.Errorf("%s: %w", j, why)
			}
			return account.Add(ctx, store(), j.String(), password)
		}),
		withPassword("passwd", "Change the password of an account", "%s has another password now", func(ctx context.Context, j jid.JID, password string) error {
			return account.SetPassword(ctx, store(), j.String(), password, ifServed(func(ctx context.Context) error {
				return sessions.Renew(ctx, server.Dial(*socket), j.String(), "")
			}))
		}),
		&cobra.Command{Use: "import FILE", Short: "Add the accounts of a list, one \"JID PASSWORD\" a line; - is standard input",
			Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return importUsers(cmd, server.Dial(*socket), args[0]) }},
		listUsers(socket), showUser(socket), disable(socket), enable(socket),
		&cobra.Command{Use: "remove JID", Short: "Remove an account with all that is stored for it", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				j, err := bare(args[0])
				if err != nil {
					return err
				}
				if err := account.Remove(cmd.Context(), store(), j.String(), forgetting(server.Dial(*socket), store(), j)); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is removed, with all that was stored for it\n", j)
				return err
			}},
	)
	return cmd
}

// forgetting has the session manager of an account end its sessions and tell its
// contacts, if there is one, and takes back its invitations.
func forgetting(c *server.Client, store *xdb.Store, j jid.JID) func(context.Context) error {
	forget := ifServed(func(ctx context.Context) error {
		_, err := sessions.Forget(ctx, c, j.String(), nil)
		return err
	})
	return func(ctx context.Context) error {
		return errors.Join(forget(ctx), invite.Forget(ctx, store, j.String()))
	}
}

// ifServed is what a session manager is asked, without an error if there is none.
func ifServed(ask func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := ask(ctx); err != nil && !isUnavailable(err) {
			return err
		}
		return nil
	}
}

// isUnavailable reports whether nobody took what was asked: no section has the
// host, or none in it knows of it.
func isUnavailable(err error) bool {
	var no *packet.Reject
	return errors.As(err, &no) && no.Condition == "service-unavailable"
}

// accountsOf returns the storage of a server.
func accountsOf(c *server.Client) *xdb.Store { return xdb.New(oneStore{Client: c}, asker) }

// withPassword is a command about an account that asks for a password, and says
// done of the account when it is done.
func withPassword(use, short, done string, do func(context.Context, jid.JID, string) error) *cobra.Command {
	var fromStdin bool
	var given string
	cmd := &cobra.Command{Use: use + " JID", Short: short, Args: cobra.ExactArgs(1)}
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	cmd.Flags().StringVar(&given, "password", "", "the password; others on this machine can see it, so it is for tests")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		j, err := bare(args[0])
		if err != nil {
			return err
		}
		if given != "" {
			fmt.Fprintln(cmd.ErrOrStderr(), "warning: a password on the command line can be seen by everybody on this machine")
		} else if given, err = askPassword(cmd, fromStdin); err != nil {
			return err
		}
		if err := do(cmd.Context(), j, given); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), done+"\n", j)
		return err
	}
	return cmd
}

// unserved says why nobody could log in to an account of a host, nil if somebody
// could: a section for sessions has it.
func unserved(ctx context.Context, c *server.Client, host string) (why, err error) {
	r, err := c.Explain(ctx, &packet.Packet{Kind: packet.Session, Name: "message", To: host, From: host})
	if err == nil && len(r.Sections) == 0 {
		why = fmt.Errorf("no section for sessions has host %s; jabberd config shows those that there are", host)
	}
	return why, err
}

func bare(s string) (jid.JID, error) {
	j, err := jid.Parse(s)
	if err == nil && (j.Local() == "" || j.Resource() != "") {
		err = fmt.Errorf("%s is no account; write it like ann@example.org", s)
	}
	return j, err
}

func askPassword(cmd *cobra.Command, fromStdin bool) (string, error) {
	if fromStdin {
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return "", errors.New("there is no terminal to ask for the password; use --password-stdin")
	}
	first, err := prompt(cmd, "Password: ")
	if err != nil {
		return "", err
	}
	again, err := prompt(cmd, "Again: ")
	if err == nil && first != again {
		err = errors.New("the passwords differ")
	}
	return first, err
}

func prompt(cmd *cobra.Command, text string) (string, error) {
	fmt.Fprint(cmd.ErrOrStderr(), text)
	b, err := term.ReadPassword(int(os.Stdin.Fd()))
	fmt.Fprintln(cmd.ErrOrStderr())
	return string(b), err
}

// importUsers adds nothing if a line of the list is wrong, or of a host that the
// server does not have.
func importUsers(cmd *cobra.Command, c *server.Client, file string) error {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	list, err := account.ParseList(in)
	if err == nil {
		err = account.CheckDomains(list, func(host string) (why, err error) { return unserved(cmd.Context(), c, host) })
	}
	if err != nil {
		return fmt.Errorf("no account is added: %s: %w", file, err)
	}
	added, known, err := account.Import(cmd.Context(), accountsOf(c), list)
	fmt.Fprintf(cmd.OutOrStdout(), "%d accounts added, %d were there already\n", added, known)
	return err
}
