package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// A Made is what came of making the handler of one link, without effects.
type Made struct {
	Section string   // its id
	Link    int      // index in the chain
	Hosts   []string // that it attached
	Err     error    // why it refused
}

// Make makes the handlers of f in this process, as a check does: none is
// started and nothing is opened. It is for programs that link the modules;
// others ask the processes that have them.
func (f *File) Make(ctx context.Context, modules Catalog) []Made {
	var made []Made
	for i := range f.Sections {
		s := &f.Sections[i]
		for n, link := range s.Chain {
			if ctx.Err() != nil {
				return made
			}
			made = append(made, f.make(s, n, link, modules))
		}
	}
	return made
}

func (f *File) make(s *module.Section, n int, link module.Link, modules Catalog) Made {
	env := &trial{section: s, place: link.Place, data: f.Engine.DataDir}
	m, err := modules.Find(s.Kinds, link)
	switch {
	case err != nil:
	case m.New == nil:
		err = errors.New("its module is not in this program")
	default:
		_, err = m.New(env, link.Args)
	}
	env.mu.Lock()
	defer env.mu.Unlock()
	return Made{Section: s.ID, Link: n, Hosts: env.hosts, Err: err}
}

// A trial is the environment of a handler that is made to see whether it can
// be, and never started.
type trial struct {
	section *module.Section
	place   string
	data    string

	mu    sync.Mutex
	hosts []string
}

var errTrial = errors.New("the configuration is only checked; nothing runs")

func (t *trial) Section() string                                              { return t.section.ID }
func (t *trial) Kinds() []packet.Kind                                         { return slices.Clone(t.section.Kinds) }
func (t *trial) Place() string                                                { return t.place }
func (t *trial) Log() *slog.Logger                                            { return slog.New(slog.DiscardHandler) }
func (t *trial) Path(name string) string                                      { return below(t.data, name) }
func (t *trial) Detach(string) error                                          { return errTrial }
func (t *trial) Deliver(context.Context, *packet.Packet) error                { return errTrial }
func (t *trial) Answer(context.Context, *packet.Packet, *packet.Packet) error { return errTrial }
func (t *trial) Ask(context.Context, *packet.Packet) (*packet.Packet, error)  { return nil, errTrial }
func (t *trial) Listen(context.Context, string, string) (net.Listener, error) { return nil, errTrial }
func (t *trial) Source(module.SourceConfig) module.Source                     { return trialSource{} }

func (t *trial) Serves(packet.Kind, string) bool { return false }

func (t *trial) Attach(host string) error {
	switch host {
	case "":
		return errors.New("there is no host without a name")
	case packet.ServerHost:
		return fmt.Errorf("%s is the server's own host; nothing can be attached to it", host)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hosts = append(t.hosts, host)
	return nil
}

func (t *trial) Hosts() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.hosts)
}

type trialSource struct{}

func (trialSource) Deliver(context.Context, *packet.Packet, uint64) error { return errTrial }
func (trialSource) Flush()                                                {}
func (trialSource) Close()                                                {}

// below makes a relative path one in a folder.
func below(folder, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(folder, name)
}
