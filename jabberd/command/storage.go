package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// storage is jabberd xdb: what the stores of a running server have.
func storage() *cobra.Command {
	cmd := &cobra.Command{
		Use: "xdb", Short: "Look into the storage of a running server, and have a store filled",
		Long: `Look into the storage of a running server. Each line of the output is a JSON object.
What is stored for an account is namespaces of items: its roster is in "roster", the
keys with which it logs in are in "auth".`,
	}
	r := reading{socket: socketOf(cmd)}
	cmd.AddCommand(
		r.command("get OWNER NAMESPACE [KEY]...", "Show items, without a key those of the namespace", cobra.MinimumNArgs(2), getItems),
		r.command("list OWNER [NAMESPACE]", "List the namespaces that an owner has, or the keys in one", cobra.RangeArgs(1, 2), listItems),
		r.command("owners DOMAIN [NAMESPACE]", "List who has something in storage, or in a namespace", cobra.RangeArgs(1, 2), listOwners),
		copyAnew(r.socket))
	return cmd
}

// copyAnew is jabberd xdb copy.
func copyAnew(socket *string) *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use: "copy SECTION", Short: "Have a store copy anew what stores before it in the file have",
		Long: `Have a store copy anew, in the background, all that it has copies of. So a store that
is new in the configuration is filled, to take the place of the one before it later.
Until that is done jabberd status lists it as stale.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "end when the store has everything")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, w := server.Dial(*socket), cmd.OutOrStdout()
		if err := c.CopyAnew(cmd.Context(), args[0]); err != nil {
			return err
		}
		if !wait {
			_, err := fmt.Fprintf(w, "section %s is being copied anew; jabberd status lists it as stale until that is done\n", args[0])
			return err
		}
		for {
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(s.Stale, func(s tree.Stale) bool { return s.Section == args[0] }) {
				_, err = fmt.Fprintf(w, "section %s has everything\n", args[0])
				return err
			}
			select {
			case <-time.After(time.Second / 2):
			case <-cmd.Context().Done():
				return cmd.Context().Err()
			}
		}
	}
	return cmd
}

// reading is what the commands that read have in common.
type reading struct {
	socket  *string
	section string
}

func (r *reading) command(use, short string, args cobra.PositionalArgs, read func(ctx context.Context, s *xdb.Store, out *json.Encoder, args []string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args}
	cmd.Flags().StringVar(&r.section, "section", "", "ask the store of this `section` only, not the one that owns what is asked about")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		out := json.NewEncoder(cmd.OutOrStdout())
		out.SetEscapeHTML(false)
		return read(cmd.Context(), xdb.New(oneStore{server.Dial(*r.socket), r.section}, "jabberd xdb"), out, args)
	}
	return cmd
}

// oneStore asks the store of a section, or with "" the owner.
type oneStore struct {
	*server.Client
	section string
}

func (s oneStore) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	q.Section = s.section
	answer, err := s.Client.Ask(ctx, q)
	var no *packet.Reject
	if errors.As(err, &no) && no.Condition == "service-unavailable" && no.Text == "" { // no section has taken it
		err = &noStore{fmt.Sprintf("no store has namespace %q of %s", q.NS, q.To), no}
	}
	return answer, err
}

// noStore says what nobody has stored.
type noStore struct {
	text string
	why  *packet.Reject
}

func (e *noStore) Error() string { return e.text }
func (e *noStore) Unwrap() error { return e.why }

// An item is one as it is shown.
type item struct {
	Key   string  `json:"key"`
	Rev   string  `json:"rev"`
	With  string  `json:"with,omitempty"`
	Value *string `json:"value,omitempty"`
}

func show(out *json.Encoder, items []xdb.Item, values bool) error {
	for _, it := range items {
		line := item{Key: it.Key, Rev: it.Rev.String(), With: it.With}
		if values {
			value := string(it.Value)
			line.Value = &value
		}
		if err := out.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

func getItems(ctx context.Context, s *xdb.Store, out *json.Encoder, args []string) error {
	if keys := args[2:]; len(keys) > 0 {
		items, err := s.GetAll(ctx, args[0], args[1], keys...)
		if err != nil {
			return err
		}
		return show(out, items, true)
	}
	return showPages(ctx, s, out, args, true)
}

func listItems(ctx context.Context, s *xdb.Store, out *json.Encoder, args []string) error {
	if len(args) > 1 {
		return showPages(ctx, s, out, args, false)
	}
	names, err := s.Namespaces(ctx, args[0])
	for i := 0; i < len(names) && err == nil; i++ {
		err = out.Encode(map[string]string{"namespace": names[i]})
	}
	return err
}

// showPages shows a namespace.
func showPages(ctx context.Context, s *xdb.Store, out *json.Encoder, args []string, values bool) error {
	for after, more := "", true; more; {
		page, err := s.Query(ctx, args[0], args[1], xdb.Query{After: after, Max: xdb.MaxPage, NoValue: !values})
		if err == nil {
			err = show(out, page.Items, values)
		}
		if err != nil {
			return err
		}
		if more = page.More && len(page.Items) > 0; more {
			after = page.Items[len(page.Items)-1].Key
		}
	}
	return nil
}

func listOwners(ctx context.Context, s *xdb.Store, out *json.Encoder, args []string) error {
	ns := ""
	if len(args) > 1 {
		ns = args[1]
	}
	for after, more := "", true; more; {
		owners, further, err := s.Owners(ctx, args[0], ns, after, xdb.MaxPage)
		if err != nil {
			return err
		}
		for _, owner := range owners {
			if err := out.Encode(map[string]string{"owner": owner}); err != nil {
				return err
			}
			after = owner
		}
		more = further && len(owners) > 0
	}
	return nil
}

// manyStale is as many as jabberd status lists without --json.
const manyStale = 10

// printStale says what stores lack of what others have.
func printStale(w io.Writer, stale []tree.Stale) {
	for i, s := range stale {
		if i == manyStale {
			fmt.Fprintf(w, "  stale: %d more, see --json\n", len(stale)-i)
			return
		}
		what := fmt.Sprintf("namespace %q of %s", s.NS, or(s.Owner, "the server itself"))
		switch s.Scope {
		case tree.StaleOwner:
			what = "what " + or(s.Owner, "the server itself") + " has"
		case tree.StaleStore:
			what = "everything"
		}
		fmt.Fprintf(w, "  stale: %s in section %q since %s, to be copied anew: %s\n", what, s.Section, s.Since.Format("2006-01-02 15:04:05"), s.Reason)
	}
}
