// Package command is jabberd as its users call it: what the command line says
// is read here and handed to the packages that do it.
//
// It is the same for jabberd, which links no module, and for jabberd-one, which
// links them all.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/cli"
	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/confine"
)

// program is this program: with linked modules it starts no processes.
type program struct {
	linked []module.Module
}

// Main runs a command line and returns the status to exit with. linked are the
// modules of this program; none are those of the programs beside it.
func Main(args []string, linked []module.Module) int {
	if len(args) > 0 && args[0] == confine.Word {
		return confine.Main(args[1:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := Root(linked)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case !errors.Is(err, cli.ErrComplaints):
		fmt.Fprintln(root.ErrOrStderr(), "jabberd: "+err.Error())
	}
	return 1
}

// Root returns the command jabberd with all below it. Its error is for the
// caller to print, unless it is cli.ErrComplaints.
func Root(linked []module.Module) *cobra.Command {
	p := &program{linked: linked}
	root := &cobra.Command{
		Use: "jabberd", Short: "A packet engine with a delivery tree, and an XMPP server on it",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.AddCommand(p.run(),
		stop("stop", "Have a running server end", "the server ends", false),
		stop("restart", "Have a running server end and begin anew, with the configuration as it is now", "the server begins anew", true),
		p.explain(), p.user(), invitations(), session(), hosts(), p.plugin(), status(), profile(), settings(), dead(), storage())
	root.AddCommand(cli.Commands(cli.Server{Describe: p.describe, Make: p.make})...)
	for _, cmd := range root.Commands() {
		if cmd.Name() == "check" {
			cmd.AddCommand(surveys()...)
		}
		withUsage(cmd)
	}
	return root
}

// withUsage has a command, and those below it, say what to write when it is
// given the wrong number of arguments, or one with others below it the wrong name.
func withUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return fmt.Errorf("%w; write %s", err, cmd.UseLine())
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		withUsage(sub)
	}
	if cmd.Runnable() {
		return
	}
	cmd.DisableFlagsInUseLine = true
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q for %q; %s --help lists them", args[0], cmd.CommandPath(), cmd.CommandPath())
		}
		return cmd.Help()
	}
}

// socketOf adds the flag that names the socket of a running server.
func socketOf(cmd *cobra.Command) *string {
	return cmd.PersistentFlags().String("socket", filepath.Join("data", server.SocketName), "the `path` of the running server's socket")
}

// folder returns the folder of the server's programs.
func folder(f *config.File) (string, error) {
	if f.Engine.BinDir != "" {
		return f.Engine.BinDir, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.Dir(self), nil
}
