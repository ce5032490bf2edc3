package cli

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is jabberd version: what the program was built from.
func version() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Print what this program was built from",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return errors.New("the program was built without build information")
			}
			b := buildOf(info)
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), b)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), b)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write it as JSON")
	return cmd
}

// A build is what a program was built from.
type build struct {
	Version  string `json:"version"`            // of the module; (devel) of a working copy
	Commit   string `json:"commit,omitempty"`   // it was built from, if that is known
	Modified bool   `json:"modified,omitempty"` // there were changes that are not in the commit
	Time     string `json:"time,omitempty"`     // of the commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildOf(info *debug.BuildInfo) build {
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	return build{
		Version: cmp.Or(info.Main.Version, "(devel)"), Go: info.GoVersion, Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Commit: set["vcs.revision"], Time: set["vcs.time"], Modified: set["vcs.modified"] == "true",
	}
}

// String returns the build in one line.
func (b build) String() string {
	line := "jabberd " + b.Version
	if b.Commit != "" {
		line += ", commit " + b.Commit[:min(12, len(b.Commit))]
		if b.Modified {
			line += " with changes"
		}
		if b.Time != "" {
			line += " of " + b.Time
		}
	}
	return line + ", " + b.Go + " " + b.Platform
}
