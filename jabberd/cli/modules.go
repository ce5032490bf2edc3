package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/module"
)

// modules is jabberd modules: what a configuration can name.
func (s Server) modules() *cobra.Command {
	var src Source
	var asJSON, xeps, asDOAP bool
	cmd := &cobra.Command{
		Use:   "modules [NAME]",
		Short: "List the modules, or explain one",
		Long: `List what a configuration can name: the modules, the services among them, and the
blocks of the server itself. With a NAME, print its documentation: what it does and
what arguments it has. Modules of plugins are there if --config names a
configuration that has the plugins. With --xeps, list the extensions of XMPP that
they bring, each with the version that was followed.`,
		Example: "  jabberd modules accept\n  jabberd modules --xeps",
		Args:    cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			modules, err := s.described(cmd, src)
			if err != nil {
				return err
			}
			switch {
			case asDOAP:
				return doap(cmd.OutOrStdout(), module.Standards(modules))
			case xeps:
				return standards(cmd.OutOrStdout(), module.Standards(modules), asJSON)
			case len(args) == 0:
				return list(cmd.OutOrStdout(), modules, asJSON)
			}
			found := named(modules, strings.Join(args, " "))
			if len(found) == 0 {
				return fmt.Errorf("there is no module %q; jabberd modules lists them, with --config FILE also those of the file's plugins", strings.Join(args, " "))
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), found)
			}
			for _, m := range found {
				if _, err := io.WriteString(cmd.OutOrStdout(), documentation(m)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	src.Flags(cmd)
	cmd.Flags().StringVar(&src.Path, "config", "", "a configuration whose plugins count too")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write descriptions as JSON")
	cmd.Flags().BoolVar(&xeps, "xeps", false, "list the extensions of XMPP instead")
	cmd.Flags().BoolVar(&asDOAP, "doap", false, "write them as a DOAP file (XEP-0453)")
	cmd.MarkFlagsMutuallyExclusive("xeps", "doap")
	cmd.MarkFlagsMutuallyExclusive("json", "doap")
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		modules, _ := s.described(cmd, src)
		var names []string
		for _, m := range flat(modules) {
			names = append(names, m.Name+"\t"+config.Summary(m))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// described returns the modules, and the blocks of the core after them.
func (s Server) described(cmd *cobra.Command, src Source) ([]module.Module, error) {
	f := &config.File{}
	if src.Path != "" {
		read, diags := config.Read(src.Path, src.Vars)
		if err := Complain(cmd, read, diags); err != nil {
			return nil, err
		}
		f = read
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background() // of shell completion
	}
	catalog, diags := s.Describe(ctx, f)
	if err := Complain(cmd, f, diags); err != nil {
		return nil, err
	}
	return append(catalog.Modules, config.Blocks()...), nil
}

// named returns what has a name: module, service, or block of the server, as the file has
// it or as the list prints it, `load "sm"` for example.
func named(modules []module.Module, name string) []module.Module {
	if words := strings.Fields(name); len(words) == 2 {
		for _, m := range modules {
			if m.Name == words[0] {
				return slices.DeleteFunc(slices.Clone(m.Services), func(s module.Module) bool { return s.Name != strings.Trim(words[1], `"`) })
			}
		}
	}
	return slices.DeleteFunc(flat(modules), func(m module.Module) bool { return m.Name != name })
}

// flat lists modules, each followed by its services.
func flat(modules []module.Module) (list []module.Module) {
	for _, m := range modules {
		list = append(append(list, m), m.Services...)
	}
	return list
}

// list writes one line a module.
func list(w io.Writer, modules []module.Module, asJSON bool) error {
	if asJSON {
		return writeJSON(w, modules)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, m := range modules {
		line(table, m.Name, m)
		for _, s := range m.Services {
			line(table, fmt.Sprintf("  %s %q", m.Name, s.Name), s)
		}
	}
	return table.Flush()
}

func line(w io.Writer, name string, m module.Module) {
	var kinds []string
	for _, k := range m.Kinds {
		kinds = append(kinds, k.String())
	}
	// An error is that of the writer behind, which Flush returns.
	_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", name, strings.Join(kinds, " "), config.Summary(m))
}

// documentation returns all that a module says of itself, in markdown.
func documentation(m module.Module) string {
	return fmt.Sprintf("# %s\n\n%s\n\n%s", m.Name, strings.TrimSpace(m.Doc), config.Reference(m))
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
