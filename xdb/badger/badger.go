// Package badger is the xdb module badger: it keeps items in an embedded
// database, Badger, in a folder of its own. It is the store of a server that has
// no other database.
//
// All changes go through one goroutine, the writer, which decides them one
// after another and commits together what has gathered: one write, and with
// durability disk one sync, for all who wait. Readers have the state after the
// last commit and wait for nobody.
package badger

import (
	"context"
	"fmt"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

type args struct {
	Path       string          `json:"path" required:"true" doc:"The folder of the database. It is made if it is not there; a relative path is below data_dir. No two processes can use it at once."`
	Durability string          `json:"durability" default:"disk" enum:"process,disk" doc:"When a change is answered: process when it is written, so that the death of the process loses nothing but that of the machine may lose the last moments; disk when it is on the disk."`
	Cache      module.Size     `json:"cache" default:"8MiB" doc:"Memory for indices, and a quarter as much for what is read often. The database itself takes a few MiB when it is idle, and about 100 MiB more when much is written for long."`
	GCInterval module.Duration `json:"gc_interval" default:"10m" doc:"How often the room of large values that are gone is given back to the disk."`
}

// Module is the module badger.
var Module = module.Define("badger", "Keeps items in an embedded database.", module.On(packet.XDB), New)

// New makes the handler.
func New(env module.Env, a args) (packet.Handler, error) {
	switch {
	case a.Path == "":
		return nil, module.BadArg("path", "must name a folder")
	case a.Cache < 1<<20:
		return nil, module.BadArg("cache", "must be at least 1MiB")
	case a.GCInterval < module.Duration(time.Second):
		return nil, module.BadArg("gc_interval", "must be at least 1s")
	}
	h := &handler{env: env, args: a}
	h.Server = xdb.Serve(env, &h.store, "badger at "+a.Path)
	return h, nil
}

type handler struct {
	*xdb.Server
	env   module.Env
	args  args
	store Store
}

// Start opens the database.
func (h *handler) Start(context.Context) error {
	return h.store.open(h.env.Path(h.args.Path), Options{
		Sync: h.args.Durability == "disk", Cache: int64(h.args.Cache), Log: h.env.Log(),
	})
}

// Run gives room back to the disk from time to time.
func (h *handler) Run(ctx context.Context) error {
	tick := time.NewTicker(h.args.GCInterval.Std())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := h.store.Collect(ctx); err != nil {
				return fmt.Errorf("badger at %s: collect: %w", h.args.Path, err)
			}
		}
	}
}

// Close closes the database.
func (h *handler) Close() error { return h.store.Close() }
