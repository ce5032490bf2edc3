package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/cli"
	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/halt"
)

// halts are the orders that a running server has been given: one at most.
type halts struct {
	check func(context.Context) error // what a server would begin anew with
	due   chan halt.Order             // when its time has come

	mu    sync.Mutex
	given bool
}

// breath is how long the server lives on at least, so that who gave the order hears that
// it was taken.
const breath = time.Second

func newHalts(check func(context.Context) error) *halts {
	return &halts{check: check, due: make(chan halt.Order, 1)}
}

// order takes an order. It is for Halt of server.Plan.
func (h *halts) order(ctx context.Context, o halt.Order) error {
	if o.Restart {
		if err := h.check(ctx); err != nil {
			return packet.Refuse("not-acceptable", "the server would not begin anew: "+err.Error())
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.given {
		return packet.Refuse("conflict", "the server is about to end already")
	}
	h.given = true
	time.AfterFunc(max(o.After, breath), func() { h.due <- o })
	return nil
}

// mistakes returns what is wrong with a configuration as it is now.
func (p *program) mistakes(ctx context.Context, src cli.Source) error {
	f, diags := config.Read(src.Path, src.Vars)
	if !diags.HasErrors() && (f.Engine.Isolation != "none" || p.linked != nil) {
		modules, more := p.describe(ctx, f)
		diags = append(append(diags, more...), f.Bind(modules)...)
		diags = append(diags, f.CheckFiles()...)
	}
	if diags.HasErrors() {
		return diags
	}
	return nil
}

// anew replaces this program, whose server has stopped, by itself: by what is in its
// place now, if that has been replaced. It returns only an error.
func anew() error {
	self, err := os.Executable()
	if err == nil {
		err = syscall.Exec(self, os.Args, os.Environ())
	}
	return fmt.Errorf("begin anew: %w", err)
}

// stop has a running server end, or begin anew.
func stop(use, short, done string, restart bool) *cobra.Command {
	var after time.Duration
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs}
	socket := socketOf(cmd)
	cmd.Flags().DurationVar(&after, "after", 0, "when, of whole seconds")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if after < 0 || after > halt.MaxDelay || after%time.Second != 0 {
			return fmt.Errorf("--after is of whole seconds, %v at most", halt.MaxDelay)
		}
		err := halt.Ask(cmd.Context(), server.Dial(*socket), "", halt.Order{Restart: restart, After: after})
		var no *packet.Reject
		if errors.As(err, &no) && no.Text != "" {
			return errors.New(no.Text)
		}
		if err != nil {
			return err
		}
		if after > 0 {
			done += " in " + after.String()
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), done)
		return err
	}
	return cmd
}
