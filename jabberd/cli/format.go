package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/config"
)

// format is jabberd fmt: the one layout that all configurations have.
func format() *cobra.Command {
	var only bool
	cmd := &cobra.Command{
		Use:   "fmt FILE...",
		Short: "Give configurations their one layout",
		Long: `Give configurations the one layout that all have: indented by two, values of
neighbours aligned. What they say does not change. Files are rewritten in place
and named; of a folder, all files *.hcl below it. "-" is standard input to standard
output. A file with a syntax error is left as it is.

With --check nothing is written, and the exit status is 1 if a file is not
in its layout.`,
		Example: "  jabberd fmt conf",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var failed error
			for _, arg := range args {
				names, err := configurations(arg)
				if err != nil {
					return err
				}
				for _, name := range names {
					if err := formatFile(cmd, name, only); errors.Is(err, ErrComplaints) {
						failed = err
					} else if err != nil {
						return err
					}
				}
			}
			return failed
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	cmd.Flags().BoolVar(&only, "check", false, "only name the files that are not in their layout")
	return cmd
}

// configurations lists the files that an argument stands for.
func configurations(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	if arg == "-" || err == nil && !info.IsDir() {
		return []string{arg}, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	err = filepath.WalkDir(arg, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(name) == ".hcl" && !strings.HasPrefix(entry.Name(), ".") {
			names = append(names, name)
		}
		return err
	})
	return names, err
}

// formatFile formats one file. It returns ErrComplaints if that could not be
// done, or is only to be checked and should be done.
func formatFile(cmd *cobra.Command, name string, only bool) error {
	text, err := read(cmd.InOrStdin(), name)
	if err != nil {
		return err
	}
	out, f, diags := config.Format(name, text)
	if diags.HasErrors() {
		return Complain(cmd, f, diags)
	}
	same := bytes.Equal(out, text)
	switch {
	case name == "-" && !only:
		_, err = cmd.OutOrStdout().Write(out)
		return err
	case same:
		return nil
	case !only:
		if err := replace(name, out); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), name); err != nil || !only {
		return err
	}
	return ErrComplaints
}

func read(in io.Reader, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(name)
}

// replace puts a new text in place of a file at once, so that nobody reads
// half of it. A link keeps pointing to the file.
func replace(name string, text []byte) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".fmt-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone if it was renamed
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(info.Mode().Perm()), tmp.Sync(), tmp.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(tmp.Name(), name)
}
