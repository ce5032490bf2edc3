package command

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/cli"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/plugins/xmpp/jid"
)

// A question is the packet of jabberd explain, as the command line has it.
type question struct {
	kind, name, typ, from, to, namespace, host, section, body string
	down                                                      bool
}

// explain says what becomes of a packet: it asks a running server, or has a
// configuration's handlers made and asks those.
func (p *program) explain() *cobra.Command {
	var q question
	var src cli.Source
	var asJSON bool
	cmd := &cobra.Command{
		Use: "explain [FILE]", Short: "Say where a packet goes, and why", Args: cobra.MaximumNArgs(1),
		Long: `Say which branch a packet takes, which sections are on it, what each block in them
does, and why. Nothing is delivered.

The running server answers, if there is one: its sessions, connections and
storage as they are now. With a FILE, or if no server runs, the answer is static:
that of a server which has just been started with the configuration. Nothing is
started or opened for it; handlers are made and asked, as jabberd check does.
The first line says which answer it is.`,
		Example: "  jabberd explain --to bob@localhost --from ann@localhost --type chat\n" +
			"  jabberd explain conf/jabberd.hcl --kind xdb --name get --to ann@localhost --ns roster",
	}
	socket := socketOf(cmd)
	src.Flags(cmd)
	q.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		x, err := q.packet()
		if err != nil {
			return err
		}
		a, err := p.answer(cmd, *socket, src, args, x)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), a)
		}
		return a.print(cmd.OutOrStdout(), x)
	}
	return cmd
}

// flags adds the parts of the packet to a command, with what they may be to
// shell completion.
func (q *question) flags(cmd *cobra.Command) {
	for _, x := range []struct {
		v              *string
		name, def, doc string
		values         []string
	}{
		{&q.kind, "kind", "normal", "normal, session, xdb or log", []string{"normal", "session", "xdb", "log"}},
		{&q.name, "name", "", "message, presence or iq; for xdb the operation, such as get (default message, get, entry)",
			[]string{"message", "presence", "iq", "get", "put", "query", "entry"}},
		{&q.typ, "type", "", "its type; for log the level; for xdb get or set, if the operation does not say",
			[]string{"chat", "groupchat", "get", "set", "result", "error", "subscribe", "unavailable", "info", "warn"}},
		{&q.from, "from", "", "the sender's address", nil}, {&q.to, "to", "", "the receiver's address", nil},
		{&q.namespace, "ns", "", "its namespace; for xdb the one asked of", nil},
		{&q.host, "host", "", "the host level, if it is not the domain of the address", nil},
		{&q.section, "section", "", "only this section of the branch", nil},
		{&q.body, "body", "", "its content, XML", nil},
	} {
		cmd.Flags().StringVar(x.v, x.name, x.def, x.doc)
		// It fails for a flag that is not there, or that has one already.
		_ = cmd.RegisterFlagCompletionFunc(x.name, cobra.FixedCompletions(x.values, cobra.ShellCompDirectiveNoFileComp))
	}
	cmd.Flags().BoolVar(&q.down, "down", false, "of kind session: it goes from the session to the connection, whose section --host names")
}

// packet makes a packet of what the command line says.
func (q *question) packet() (*packet.Packet, error) {
	kind, ok := packet.ParseKind(q.kind)
	if !ok {
		return nil, fmt.Errorf("there is no kind %q; there are normal, session, xdb and log", q.kind)
	}
	name, typ := q.name, q.typ
	switch {
	case name != "":
	case kind == packet.XDB:
		name = "get"
	case kind == packet.Log:
		name = "entry"
	default:
		name = "message"
	}
	if kind == packet.XDB && typ == "" {
		typ = "get"
		switch name {
		case "put", "delete", "append", "cas", "batch", "drop":
			typ = "set"
		}
	}
	from, to := q.from, q.to
	if kind == packet.Normal || kind == packet.Session {
		var err error
		if from, err = prepared("from", from); err != nil {
			return nil, err
		}
		if to, err = prepared("to", to); err != nil {
			return nil, err
		}
	}
	p := &packet.Packet{
		Kind: kind, Name: name, Type: typ, From: from, To: to, NS: q.namespace,
		Host: q.host, Section: q.section, ID: "explain", Body: []byte(q.body),
	}
	if q.down {
		p.Flags |= packet.Down
	}
	if p.Branch() == "" && kind != packet.Log {
		return nil, errors.New("which host is it for? Give --to ann@example.org, or --host")
	}
	return p, nil
}

// prepared returns an address as it is in the tree, where whoever takes packets
// in has prepared it. "" is none.
func prepared(flag, address string) (string, error) {
	if address == "" {
		return "", nil
	}
	j, err := jid.Parse(address)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	return j.String(), nil
}

// An answer is what became of a question, and who says so: one of Live and
// Static is set.
type answer struct {
	Live   string `json:"live,omitempty"`   // the socket of the server that was asked
	Static string `json:"static,omitempty"` // the configuration that was read
	note   string
	tree.Report
}

// answer asks the running server, unless a configuration is named or there is
// no server.
func (p *program) answer(cmd *cobra.Command, socket string, src cli.Source, args []string, x *packet.Packet) (a answer, err error) {
	named, wanted := len(args) > 0 || len(src.Vars) > 0, cmd.Flags().Changed("socket")
	if named && wanted {
		return a, errors.New("name a configuration, for the static answer, or a socket, for that of a running server; not both")
	}
	if !named {
		a.Live = socket
		a.Report, err = server.Dial(socket).Explain(cmd.Context(), x)
		if wanted || !errors.Is(err, server.ErrAway) {
			return a, err
		}
		a.Live, a.note = "", ", since no server answers at "+socket
	}
	src.Path = cli.DefaultPath
	if len(args) > 0 {
		src.Path = args[0]
	}
	a.Static = src.Path
	if a.Report, err = p.static(cmd, src, x); err != nil && a.note != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s gives no static answer, and no server answers at %s\n", a.Static, socket)
	}
	return a, err
}

// static explains a packet by a configuration alone.
func (p *program) static(cmd *cobra.Command, src cli.Source, x *packet.Packet) (tree.Report, error) {
	f, plan, err := p.read(cmd, src)
	if err != nil {
		return tree.Report{}, err
	}
	plan.Fallback = nil
	r, err := server.Explain(cmd.Context(), plan, x)
	var wrong server.LinkErrors
	if errors.As(err, &wrong) {
		return r, cli.Complain(cmd, f, complaints(f, wrong))
	}
	return r, err
}

// print writes the answer for people.
func (a answer) print(w io.Writer, q *packet.Packet) error {
	var out strings.Builder
	if a.Static != "" {
		fmt.Fprintf(&out, "static answer of %s%s\n", a.Static, a.note)
	} else {
		fmt.Fprintf(&out, "answer of the server at %s\n", a.Live)
	}
	r := a.Report
	fmt.Fprintf(&out, "%s packet <%s> from %s to %s\n", r.Kind, q.Name, or(q.From, "nobody"), or(q.To, "nobody"))
	fmt.Fprintf(&out, "host %s", or(r.Host, `""`))
	if r.Why != "" {
		fmt.Fprintf(&out, ", matched by %s: %s", or(r.Matched, "the uplink"), r.Why)
	}
	out.WriteString("\n")
	for _, s := range r.Sections {
		printSection(&out, s)
	}
	for _, m := range r.Missed {
		fmt.Fprintf(&out, "  section %q  %s: gets nothing, since it is on %s and a more specific host goes first\n", m.ID, m.Place, or(m.On, "the uplink"))
	}
	fmt.Fprintln(&out, "outcome: "+r.Outcome)
	_, err := io.WriteString(w, out.String())
	return err
}

func printSection(out *strings.Builder, s tree.SectionReport) {
	fmt.Fprintf(out, "  section %q  %s: %s\n", s.ID, s.Place, s.Gets)
	wide := 0
	names := make([]string, len(s.Steps))
	for i, x := range s.Steps {
		names[i] = x.Module
		if x.Label != "" {
			names[i] += fmt.Sprintf(" %q", x.Label)
		}
		wide = max(wide, len(names[i]))
	}
	for i, x := range s.Steps {
		fmt.Fprintf(out, "    %-*s  %-7s  %s\n", wide, names[i], x.Verdict, x.Why)
	}
	if len(s.Steps) == 0 {
		out.WriteString("    no block in it takes packets\n")
	}
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
