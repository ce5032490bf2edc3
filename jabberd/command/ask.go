package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
)

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
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
		fmt.Fprintln(w, "packets of the core; what a process hands to itself is not among them")
		for _, c := range s.Counts {
			fmt.Fprintf(w, "  %-8s entered %d, claimed %d, refused %d, dropped %d", c.Kind, c.Entered, c.Claimed, c.Refused, c.Dropped)
			if c.Kind == packet.Log {
				fmt.Fprintf(w, ", skipped by filters %d", c.Skipped)
			}
			fmt.Fprintln(w)
		}
		if s.Dead > 0 {
			fmt.Fprintf(w, "  %d packets that processes died with: jabberd dead\n", s.Dead)
		}
		printStale(w, s.Stale)
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
		if len(list) == 0 {
			_, err = fmt.Fprintln(w, "no process has died with a packet")
			return err
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
