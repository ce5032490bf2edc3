// Package file is the xdb module file: it keeps items in readable files, one
// for each namespace of each owner.
//
//	data/xdb/example.org/3f/ann/roster.xml
//
// A file is well-formed XML at any time: an element <namespace> that names its
// owner and itself, and in it the items. Items that are added are written over
// the end tag, with a new end tag behind them; whatever replaces or removes
// items writes a new file and puts it in the place of the old one. What a crash
// leaves of an addition is found at the next look, set aside and reported.
//
// In memory are only the places of items in files, as many as fit into the
// cache. A file that somebody else has changed is read again.
package file

import (
	"context"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

type args struct {
	Path       string      `json:"path" required:"true" doc:"The folder of the files. It is made if it is not there; a relative path is below data_dir. No two processes can use it at once."`
	Durability string      `json:"durability" default:"disk" enum:"process,disk" doc:"When a change is answered: process when it is written, so that the death of the process loses nothing but that of the machine may lose the last moments; disk when it is on the disk."`
	Cache      module.Size `json:"cache" default:"8MiB" doc:"Memory for the places of items in files, about 100 bytes an item."`
	MaxSize    module.Size `json:"max_size" default:"64MiB" doc:"What the file of one namespace may take. A change beyond it is refused with resource-constraint."`
}

// Module is the module file.
var Module = module.Define("file", "Keeps items in readable files, one for each namespace of each owner.", module.On(packet.XDB), New)

// New makes the handler.
func New(env module.Env, a args) (packet.Handler, error) {
	switch {
	case a.Path == "":
		return nil, module.BadArg("path", "must name a folder")
	case a.Cache < 64<<10:
		return nil, module.BadArg("cache", "must be at least 64KiB")
	case a.MaxSize < 64<<10:
		return nil, module.BadArg("max_size", "must be at least 64KiB")
	}
	h := &handler{env: env, args: a}
	h.Server = xdb.Serve(env, &h.store, "file at "+a.Path)
	return h, nil
}

type handler struct {
	*xdb.Server
	env   module.Env
	args  args
	store Store
}

// Start opens the folder and brings to its end what was cut short.
func (h *handler) Start(context.Context) error {
	return h.store.open(h.env.Path(h.args.Path), Options{
		Sync: h.args.Durability == "disk", Cache: int64(h.args.Cache), MaxSize: int64(h.args.MaxSize), Log: h.env.Log(),
	})
}

// Close lets go of the folder.
func (h *handler) Close() error { return h.store.Close() }
