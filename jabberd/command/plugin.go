package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/wire"
	"github.com/jabberii/server/plugins/sdk/object"
)

// plugin builds services that load takes as shared objects.
func (p *program) plugin() *cobra.Command {
	cmd := &cobra.Command{Use: "plugin", Short: "Build a Go shared object for load"}
	var out, source string
	build := &cobra.Command{
		Use: "build DIR", Short: "Build the service in a folder with the toolchain and the flags of this server", Args: cobra.ExactArgs(1),
		Long: "Build the service in a folder, package main with a variable Module of type module.Module, as a shared object for load.\n" +
			"It is built with the toolchain, the flags and the sources that the program plugins was built with, since the Go runtime\n" +
			"takes no other, and then loaded once to see that it fits. The folder may be in a Go module of its own.",
		RunE: func(cmd *cobra.Command, args []string) error {
			host, try, err := p.loader()
			if err != nil {
				return err
			}
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				out = dir + ".so"
			}
			b := object.Build{
				Program: host, Folder: dir, Output: out, Source: source, Try: try,
				Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(),
			}
			if err := b.Run(cmd.Context()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s fits this server; a block names it by its path: load %q {}\n", out, "./"+filepath.Base(out))
			return nil
		},
	}
	build.Flags().StringVarP(&out, "output", "o", "", "the `file` to write; DIR.so when left out")
	build.Flags().StringVar(&source, "source", "", "the `folder` with the sources that this server was built from, if they are not found")
	cmd.AddCommand(build)
	return cmd
}

// loader returns the program that load runs in, and how to have it load a file.
func (p *program) loader() (host string, try func(context.Context, string) error, err error) {
	if p.linked != nil {
		host, err = os.Executable()
		return host, func(_ context.Context, file string) error {
			_, err := module.Find(p.linked, "load", nil).Pick(file)
			return err
		}, err
	}
	dir, err := folder(&config.File{})
	host = filepath.Join(dir, "plugins")
	return host, func(ctx context.Context, file string) error {
		_, err := wire.Program{Name: "plugins", Path: host}.DescribeService(ctx, "load", file)
		return err
	}, err
}
