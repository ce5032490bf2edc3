package command

import (
	"context"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/stream"
)

// session lists and ends the sessions of a running server.
func session() *cobra.Command {
	cmd := &cobra.Command{Use: "session", Short: "List the sessions of a running server, and end some"}
	socket := socketOf(cmd)
	cmd.AddCommand(listSessions(socket), kick(socket))
	return cmd
}

func listSessions(socket *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list [HOST|JID]", Short: "List the sessions of all hosts, of one, or of an account", Args: cobra.MaximumNArgs(1),
		Example: "  jabberd session list ann@example.org",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c := server.Dial(*socket)
		of, err := whose(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		list := []sessions.Session{}
		for _, x := range of {
			some, err := sessions.All(cmd.Context(), c, x)
			if err != nil && !(len(args) == 0 && isUnavailable(err)) {
				return whyNot(cmd.Context(), c, x, err)
			}
			list = append(list, some...)
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), list)
		}
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, s := range list {
			// An error is that of the writer behind, which Flush returns.
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\theard of %s ago\n", s.JID, presenceOf(s), connectionOf(s), s.Idle.Round(time.Second))
		}
		return table.Flush()
	}
	return cmd
}

// whose returns what the command line says, or all hosts that may have sessions.
func whose(ctx context.Context, c *server.Client, args []string) ([]string, error) {
	if len(args) > 0 {
		j, err := jid.Parse(args[0])
		return []string{j.String()}, err
	}
	hosts, err := c.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, h := range hosts {
		if slices.ContainsFunc(h.Sections, func(s server.HostSection) bool { return s.Kind == packet.Session && !s.Observer }) {
			names = append(names, h.Host)
		}
	}
	return names, nil
}

// whyNot is the error of a question about the sessions of a host or an account.
func whyNot(ctx context.Context, c *server.Client, of string, err error) error {
	if isUnavailable(err) {
		if why, failed := unserved(ctx, c, packet.Domain(of)); failed == nil && why != nil {
			return why
		}
	}
	return fmt.Errorf("%s: %w", of, err)
}

func presenceOf(s sessions.Session) string {
	if !s.Available {
		return "not available"
	}
	return fmt.Sprintf("priority %d", s.Priority)
}

func connectionOf(s sessions.Session) string {
	text := "connected through " + s.Listener
	if !s.Connected {
		text = "waits to be resumed"
	}
	if s.Queue > 0 {
		text += fmt.Sprintf(", %d stanzas not acknowledged", s.Queue)
	}
	return text
}

func kick(socket *string) *cobra.Command {
	var condition string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "kick JID", Short: "End a session, or all of an account", Args: cobra.ExactArgs(1),
		Long: `End the session with a full JID, or all of an account. Nothing can be resumed: messages
that the client has not acknowledged go to the account's other sessions, or are kept. The
client may log in again; jabberd user disable keeps it from it.`,
		Example: "  jabberd session kick ann@example.org/phone",
	}
	cmd.Flags().StringVar(&condition, "condition", string(stream.PolicyViolation), "the stream error (RFC 6120 section 4.9.3) that the client is told")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		j, err := jid.Parse(args[0])
		switch {
		case err != nil:
			return err
		case j.Local() == "":
			return fmt.Errorf("%s is no account; write it like ann@example.org, or ann@example.org/phone", args[0])
		case !stream.Condition(condition).Defined():
			return fmt.Errorf("there is no stream error %q", condition)
		}
		c := server.Dial(*socket)
		n, err := sessions.End(cmd.Context(), c, sessions.Ending{Of: j.String(), Condition: condition})
		switch {
		case err != nil:
			return whyNot(cmd.Context(), c, j.String(), err)
		case n == 0:
			return fmt.Errorf("%s has no session", j)
		case asJSON:
			return printJSON(cmd.OutOrStdout(), map[string]int{"ended": n})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "sessions ended: %d\n", n)
		return err
	}
	return cmd
}

// hosts lists the hosts of a running server.
func hosts() *cobra.Command {
	cmd := &cobra.Command{Use: "host", Short: "List the hosts of a running server"}
	socket := socketOf(cmd)
	var asJSON bool
	list := &cobra.Command{Use: "list", Short: "List the hosts, and the sections that have them", Args: cobra.NoArgs}
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		all, err := server.Dial(*socket).Hosts(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), all)
		}
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, h := range all {
			for _, s := range h.Sections {
				_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", h.Host, s.Kind, s.ID, s.Place)
			}
		}
		return table.Flush()
	}
	cmd.AddCommand(list)
	return cmd
}
