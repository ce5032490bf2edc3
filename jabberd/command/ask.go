package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/tree"
)

// explain asks a running server what it would do with a packet.
func (p *program) explain() *cobra.Command {
	var kind, name, typ, from, to, namespace, host, body string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain", Short: "Say what a running server would do with a packet, and why", Args: cobra.NoArgs,
		Example: "  jabberd explain --to bob@localhost --from ann@localhost --type chat",
	}
	socket := socketOf(cmd)
	for _, x := range []struct {
		v              *string
		name, def, doc string
	}{
		{&kind, "kind", "normal", "normal, session, xdb or log"}, {&name, "name", "message", "message, presence, iq; for xdb the operation"},
		{&typ, "type", "", "its type"}, {&from, "from", "", "the sender's address"}, {&to, "to", "", "the receiver's address"},
		{&namespace, "ns", "", "its namespace; for xdb the one asked of"}, {&host, "host", "", "the host level, if it is not the domain of the address"},
		{&body, "body", "", "its content, XML"},
	} {
		cmd.Flags().StringVar(x.v, x.name, x.def, x.doc)
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		q, err := packetOf(kind, name, typ, from, to, namespace, host, body)
		if err != nil {
			return err
		}
		r, err := server.Dial(*socket).Explain(cmd.Context(), q)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), r)
		}
		printReport(cmd.OutOrStdout(), q, r)
		return nil
	}
	return cmd
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func printReport(w io.Writer, q *packet.Packet, r tree.Report) {
	fmt.Fprintf(w, "%s packet <%s> from %s to %s\n", r.Kind, q.Name, or(q.From, "nobody"), or(q.To, "nobody"))
	fmt.Fprintf(w, "host %s", or(r.Host, `""`))
	if r.Matched != r.Host && len(r.Sections) > 0 {
		fmt.Fprintf(w, ", matched by %s", or(r.Matched, "the uplink"))
	}
	fmt.Fprintln(w)
	for _, s := range r.Sections {
		observer := ""
		if s.Observer {
			observer = " (observes: it gets a copy and does not count)"
		}
		fmt.Fprintf(w, "  section %q  %s%s\n", s.ID, s.Place, observer)
		for _, x := range s.Steps {
			name := x.Module
			if x.Label != "" {
				name += fmt.Sprintf(" %q", x.Label)
			}
			verdict := x.Verdict
			if !x.Asked {
				verdict = "?"
			}
			fmt.Fprintf(w, "    %-14s %-6s %s\n", name, verdict, x.Why)
		}
	}
	fmt.Fprintln(w, "outcome: "+r.Outcome)
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// status asks a running server how it is.
func status() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "status", Short: "Show the processes and counters of a running server", Args: cobra.NoArgs}
	socket := socketOf(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := server.Dial(*socket).Status(cmd.Context())
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		if asJSON {
			return printJSON(w, s)
		}
		fmt.Fprintf(w, "jabberd %d, up since %s, data in %s\n", s.PID, s.Started.Format("2006-01-02 15:04:05"), s.Data)
		for _, p := range s.Processes {
			fmt.Fprintf(w, "  %-12s %-10s pid %-8d %-11s deaths %d\n", p.Name, p.Program, p.PID, p.State, p.Deaths)
		}
		for _, c := range s.Counts {
			fmt.Fprintf(w, "  %-8s entered %d, claimed %d, refused %d, dropped %d\n", c.Kind, c.Entered, c.Claimed, c.Refused, c.Dropped)
		}
		if s.Dead > 0 {
			fmt.Fprintf(w, "  %d packets that processes died with: jabberd dead\n", s.Dead)
		}
		return nil
	}
	return cmd
}

// dead shows the packets that processes died with.
func dead() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "dead", Short: "Show the packets that processes died with", Args: cobra.NoArgs}
	socket := socketOf(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		list, err := server.Dial(*socket).DeadPackets(cmd.Context())
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		if asJSON {
			return printJSON(w, list)
		}
		for _, d := range list {
			p := d.Packet
			fmt.Fprintf(w, "%s process %s died %d times: %s <%s> from %s to %s id %s\n  %s\n", d.At.Format("2006-01-02 15:04:05"),
				d.Process, d.Deaths, p.Kind, p.Name, p.From, p.To, p.ID, strings.ToValidUTF8(string(p.Body), "?"))
		}
		return nil
	}
	return cmd
}
