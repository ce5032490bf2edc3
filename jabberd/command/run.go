package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/cli"
	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/heap"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/plugins/sdk/halt"
)

func (p *program) run() *cobra.Command {
	var src cli.Source
	cmd := &cobra.Command{
		Use: "run [FILE]", Short: "Run a server", Args: cobra.MaximumNArgs(1),
		Long: "Run a server with a configuration, conf/jabberd.hcl if none is named, until it gets SIGINT or SIGTERM, or is\n" +
			"told to end by jabberd stop or restart.\n" +
			"SIGHUP opens log files anew, as after a rotation by another program.",
		RunE: func(cmd *cobra.Command, args []string) error {
			src.Path = cli.DefaultPath
			if len(args) > 0 {
				src.Path = args[0]
			}
			return p.serve(cmd, src)
		},
	}
	src.Flags(cmd)
	return cmd
}

// read makes the plan of a configuration, and complains of what is wrong with
// it. It does not return if another program has to do it.
func (p *program) read(cmd *cobra.Command, src cli.Source) (*config.File, server.Plan, error) {
	ctx := cmd.Context()
	f, diags := config.Read(src.Path, src.Vars)
	if diags.HasErrors() {
		return f, server.Plan{}, cli.Complain(cmd, f, diags)
	}
	if f.Engine.Isolation == "none" && p.linked == nil {
		return f, server.Plan{}, becomeOne(f)
	}
	modules, more := p.describe(ctx, f)
	diags = append(append(diags, more...), f.Bind(modules)...)
	if diags.HasErrors() {
		return f, server.Plan{}, cli.Complain(cmd, f, diags)
	}
	plan, err := p.plan(ctx, f)
	return f, plan, err
}

// serve runs a server until the command's context is done.
func (p *program) serve(cmd *cobra.Command, src cli.Source) error {
	ctx := cmd.Context()
	hangup := make(chan os.Signal, 1) // one during the start is for later
	signal.Notify(hangup, syscall.SIGHUP)
	f, plan, err := p.read(cmd, src)
	if err != nil {
		return err
	}
	orders := newHalts(func(ctx context.Context) error { return p.mistakes(ctx, src) })
	plan.Halt = orders.order
	go heap.Tend(ctx)
	s, err := server.Start(ctx, plan)
	var wrong server.LinkErrors
	switch {
	case errors.As(err, &wrong):
		return cli.Complain(cmd, f, complaints(f, wrong))
	case err != nil:
		return err
	}
	s.Announce()
	hello(cmd.ErrOrStderr(), f)
	order := await(ctx, orders, s.ReopenLogs, hangup)
	s.AnnounceStop()
	fmt.Fprintln(cmd.ErrOrStderr(), "jabberd is stopping")
	stop, cancel := context.WithTimeout(context.Background(), f.Engine.StopTimeout.Std())
	defer cancel()
	err = s.Stop(stop)
	if !order.Restart {
		return err
	}
	if err != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), "jabberd: "+err.Error())
	}
	return anew()
}

// await returns when the server is to end: by an order, or because ctx is done. Meanwhile
// it has logs opened anew.
func await(ctx context.Context, orders *halts, reopen func(), hangup <-chan os.Signal) (o halt.Order) {
	for {
		select {
		case <-hangup:
			reopen()
		case o = <-orders.due:
			return o
		case <-ctx.Done():
			return o
		}
	}
}

// becomeOne replaces this program by the one that links all modules.
func becomeOne(f *config.File) error {
	dir, err := folder(f)
	if err != nil {
		return err
	}
	one := filepath.Join(dir, "jabberd-one")
	if err := syscall.Exec(one, append([]string{one}, os.Args[1:]...), os.Environ()); err != nil {
		return fmt.Errorf("isolation none needs the program that links all modules: %s: %w", one, err)
	}
	return nil
}

func complaints(f *config.File, wrong server.LinkErrors) hcl.Diagnostics {
	return f.Check(results(f, tree.Made{}, wrong))
}

// hello tells whoever has started the server what to do with it.
func hello(w io.Writer, f *config.File) {
	socket := f.Engine.Socket
	if socket == "" {
		socket = filepath.Join(f.Engine.DataDir, server.SocketName)
	}
	fmt.Fprintf(w, "jabberd is up; its data is in %s.\n", f.Engine.DataDir)
	host := usersOf(f)
	if host == "" {
		return
	}
	flag := ""
	if socket != filepath.Join("data", server.SocketName) {
		flag = " --socket " + socket
	}
	fmt.Fprintf(w, "Add users in another terminal, and log in with any XMPP client:\n  bin/jabberd user add ann@%s%s\n", host, flag)
}

// usersOf returns a host that has users, "" if there is none.
func usersOf(f *config.File) string {
	for _, s := range f.Sections {
		host, users := "", false
		for _, l := range s.Chain {
			users = users || l.Module == "load" && l.Label == "sm"
			if l.Module == "host" && host == "" {
				host = l.Label
			}
		}
		if users {
			return host
		}
	}
	return ""
}
