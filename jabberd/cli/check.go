package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// check is jabberd check: all that is wrong, without effects.
func (s Server) check() *cobra.Command {
	var src Source
	var asJSON, strict bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Report what is wrong with a configuration",
		Long: `Report everything that is wrong with a configuration, each mistake at its line
and column, and what is legal but surely not meant. Nothing is started: modules are only
asked what they have and whether they would take their arguments. Certificates, keys and
programs that the file names are looked for, as who runs the command can see them.

The exit status is 1 if there are errors, with --strict also if there are warnings.`,
		Example: "  jabberd check conf/jabberd.hcl --var host=example.org",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.Path = argument(args)
			f, _, diags := s.Load(cmd.Context(), src)
			diags = append(diags, f.CheckFiles()...)
			if asJSON {
				if err := f.PrintJSON(cmd.OutOrStdout(), diags); err != nil {
					return err
				}
			} else if err := Complain(cmd, f, diags); err != nil {
				return err
			}
			if diags.HasErrors() || strict && len(diags) > 0 {
				return ErrComplaints
			}
			if asJSON {
				return nil
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is right: %s in %s\n",
				src.Path, counted(len(f.Sections), "section"), counted(len(f.Files()), "file"))
			return err
		},
	}
	src.Flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write the complaints as JSON to standard output")
	cmd.Flags().BoolVar(&strict, "strict", false, "let warnings count as errors")
	return cmd
}

// tree is jabberd tree: the delivery tree of a configuration.
func (s Server) tree() *cobra.Command {
	var src Source
	var arguments bool
	cmd := &cobra.Command{
		Use:   "tree [FILE]",
		Short: "Print the delivery tree of a configuration",
		Long: `Print the delivery tree of a configuration, as a packet goes through it: the kind,
then the host (an exact one before a wildcard, the uplink last), then every section
on it, then the chain of each, from top to bottom.`,
		Example: "  jabberd tree conf/jabberd.hcl --args",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.Path = argument(args)
			f, made, diags := s.Load(cmd.Context(), src)
			if err := Complain(cmd, f, diags); err != nil {
				return err
			}
			return f.PrintTree(cmd.OutOrStdout(), made, arguments)
		},
	}
	src.Flags(cmd)
	cmd.Flags().BoolVar(&arguments, "args", false, "print the arguments of blocks too, secrets masked")
	return cmd
}
