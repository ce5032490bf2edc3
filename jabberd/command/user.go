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
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/jid"
)

// asker is who asks storage for these commands.
const asker = "jabberd user"

// user adds and removes accounts of a running server.
func (p *program) user() *cobra.Command {
	cmd := &cobra.Command{Use: "user", Short: "Add, change, list and remove accounts of a running server"}
	socket := socketOf(cmd)
	store := func() *xdb.Store { return xdb.New(oneStore{Client: server.Dial(*socket)}, asker) }
	cmd.AddCommand(
		withPassword("add", "Add an account", func(ctx context.Context, j jid.JID, password string) error {
			if err := served(ctx, server.Dial(*socket), j); err != nil {
				return err
			}
			return account.Add(ctx, store(), j.String(), password)
		}),
		withPassword("passwd", "Change the password of an account", func(ctx context.Context, j jid.JID, password string) error {
			return account.SetPassword(ctx, store(), j.String(), password)
		}),
		&cobra.Command{Use: "import FILE", Short: "Add the accounts of a list, one \"JID PASSWORD\" a line; - is standard input",
			Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return importUsers(cmd, store(), args[0]) }},
		&cobra.Command{Use: "list DOMAIN", Short: "List the accounts of a domain", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return listUsers(cmd, store(), args[0]) }},
		&cobra.Command{Use: "remove JID", Short: "Remove an account with all that is stored for it", Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				j, err := bare(args[0])
				if err != nil {
					return err
				}
				return account.Remove(cmd.Context(), store(), j.String())
			}},
	)
	return cmd
}

// withPassword is a command about an account that asks for a password.
func withPassword(use, short string, do func(context.Context, jid.JID, string) error) *cobra.Command {
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
		return do(cmd.Context(), j, given)
	}
	return cmd
}

// served returns an error if nobody could log in to an account: no section for
// sessions has its host. Import does not ask, since it may come before the host.
func served(ctx context.Context, c *server.Client, j jid.JID) error {
	r, err := c.Explain(ctx, &packet.Packet{Kind: packet.Session, Name: "message", To: j.String(), From: j.String()})
	if err == nil && len(r.Sections) == 0 {
		err = fmt.Errorf("%s: no section for sessions has host %s; jabberd config shows those that there are", j, j.Domain())
	}
	return err
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

// importUsers adds nothing if a line of the list is wrong.
func importUsers(cmd *cobra.Command, store *xdb.Store, file string) error {
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
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	added, known, err := account.Import(cmd.Context(), store, list)
	fmt.Fprintf(cmd.OutOrStdout(), "%d accounts added, %d were there already\n", added, known)
	return err
}

func listUsers(cmd *cobra.Command, store *xdb.Store, domain string) error {
	after := ""
	for {
		owners, more, err := store.Owners(cmd.Context(), domain, account.NS, after, xdb.DefaultPage)
		if err != nil {
			return err
		}
		for _, o := range owners {
			fmt.Fprintln(cmd.OutOrStdout(), o)
			after = o
		}
		if !more || len(owners) == 0 {
			return nil
		}
	}
}
