package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/server"
)

// profile has the processes of a running server measure themselves.
func profile() *cobra.Command {
	var kind string
	var only []string
	var d time.Duration
	cmd := &cobra.Command{
		Use: "profile FOLDER", Short: "Measure where the processes of a running server spend their time or memory", Args: cobra.ExactArgs(1),
		Long: "Profile has each process of a running server measure itself, all at the same time, and writes what they say into a\n" +
			"folder: PROCESS.KIND.pprof, for go tool pprof. The core is one of them; see jabberd status for the others.",
	}
	socket := socketOf(cmd)
	cmd.Flags().StringVar(&kind, "kind", "cpu", "cpu, heap, allocs, goroutine, mutex or block")
	cmd.Flags().DurationVar(&d, "for", 10*time.Second, "how long, for kind cpu; at most "+server.MaxProfile.String())
	cmd.Flags().StringSliceVar(&only, "process", nil, "only these processes")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client := server.Dial(*socket)
		names := only
		if len(names) == 0 {
			st, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			names = []string{server.CoreName}
			for _, p := range st.Processes {
				names = append(names, p.Name)
			}
		}
		if err := os.MkdirAll(args[0], 0o700); err != nil {
			return err
		}
		return profileAll(cmd.Context(), cmd.OutOrStdout(), client, names, kind, d, args[0])
	}
	return cmd
}

// profileAll measures processes at the same time.
func profileAll(ctx context.Context, w io.Writer, c *server.Client, names []string, kind string, d time.Duration, folder string) error {
	errs, files := make([]error, len(names)), make([]string, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		files[i] = filepath.Join(folder, filepath.Base(name)+"."+kind+".pprof")
		all.Go(func() {
			profile, err := c.Profile(ctx, name, kind, d)
			if err == nil {
				err = os.WriteFile(files[i], profile, 0o600)
			}
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	all.Wait()
	for i, file := range files {
		if errs[i] == nil {
			fmt.Fprintln(w, file)
		}
	}
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}
