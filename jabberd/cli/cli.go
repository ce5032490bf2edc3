// Package cli has the commands of jabberd that turn a configuration into
// output, and need no running server: check, tree, fmt, modules and version.
//
// They are pure but for what a [Server] lends them: which modules there are, and
// what becomes of the handlers when they are made. So they are the same for
// the server that starts processes and for the one that links everything.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/jabberii/server/jabberd/config"
)

// ErrComplaints ends a command whose complaints were printed already: main
// exits with status 1 and says nothing more.
var ErrComplaints = errors.New("the configuration has errors")

// DefaultPath is the configuration of a command that names none.
const DefaultPath = "conf/jabberd.hcl"

// A Server is what the commands need to know of one.
type Server struct {
	// Describe returns the modules that f can name, its plugins' among them.
	// What fails is reported, with Incomplete set in the catalog. What it
	// starts ends with ctx.
	Describe func(ctx context.Context, f *config.File) (config.Catalog, hcl.Diagnostics)

	// Make has the handlers of f made, without effects.
	Make func(ctx context.Context, f *config.File, modules config.Catalog) ([]config.Made, error)
}

// Commands returns check, tree, fmt, modules and version.
func Commands(s Server) []*cobra.Command {
	return []*cobra.Command{s.check(), s.tree(), format(), s.modules(), version()}
}

// A Source says which configuration a command is about.
type Source struct {
	Path string
	Vars map[string]string
}

// Flags adds --var to a command, and names for it to shell completion. The
// configuration is its only argument.
func (s *Source) Flags(cmd *cobra.Command) {
	if s.Vars == nil {
		s.Vars = map[string]string{}
	}
	cmd.Flags().Var(assignments(s.Vars), "var", "give a variable of the configuration a value, as `NAME=VALUE`; may be repeated")
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
	}
	// It fails for a flag that is not there, or that has one already.
	_ = cmd.RegisterFlagCompletionFunc("var", func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		f, _ := config.Read(argument(args), nil)
		var names []string
		for _, v := range f.Variables() {
			names = append(names, v.Name+"=\t"+v.Description)
		}
		return names, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
	})
}

// argument returns the configuration that a command line names.
func argument(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return DefaultPath
}

// assignments are the values of a repeated flag NAME=VALUE.
type assignments map[string]string

func (a assignments) Type() string   { return "NAME=VALUE" }
func (a assignments) String() string { return "" }

func (a assignments) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("write NAME=VALUE")
	}
	a[name] = value
	return nil
}

// Load reads a configuration and makes its handlers. The File is never nil.
// With errors among the complaints it is good for printing them only.
func (s Server) Load(ctx context.Context, src Source) (*config.File, []config.Made, hcl.Diagnostics) {
	f, diags := config.Read(src.Path, src.Vars)
	if !f.Parsed() {
		return f, nil, diags
	}
	modules, more := s.Describe(ctx, f)
	diags = append(diags, more...)
	diags = append(diags, f.Bind(modules)...)
	made, err := s.Make(ctx, f, modules)
	switch {
	case err != nil && modules.Incomplete: // it has been said why
		return f, nil, diags
	case err != nil:
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Not checked", Detail: err.Error()})
	}
	return f, made, append(diags, f.Check(made)...)
}

// Complain prints complaints to the command's standard error, in colour on a
// terminal. It returns ErrComplaints if one is an error.
func Complain(cmd *cobra.Command, f *config.File, diags hcl.Diagnostics) error {
	w := cmd.ErrOrStderr()
	if err := f.Print(w, diags, colored(w)); err != nil {
		return err
	}
	if diags.HasErrors() {
		return ErrComplaints
	}
	return nil
}

// colored reports whether w is a terminal whose user did not ask for plain
// text (no-color.org).
func colored(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// counted returns "1 section", "2 sections".
func counted(n int, name string) string {
	if n == 1 {
		return "1 " + name
	}
	return fmt.Sprintf("%d %ss", n, name)
}
