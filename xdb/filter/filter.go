// Package filter is the xdb module filter: the rest of its chain sees only the
// questions about some namespaces, so that each namespace can have its store.
package filter

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

type args struct {
	Namespaces []string `json:"namespaces" doc:"The namespaces that the rest of the chain sees; left out, all. With an asterisk at its end an entry stands for all that begin so: \"urn:xmpp:*\"."`
	Except     []string `json:"except" doc:"Namespaces that it does not see, of those."`
}

// Module is the module filter.
var Module = module.Define("filter",
	"Lets the rest of the chain see questions about some namespaces only. For others the section is skipped: the next one is asked.",
	module.On(packet.XDB), New)

// New makes the handler.
func New(_ module.Env, a args) (packet.Handler, error) {
	if len(a.Namespaces) == 0 && len(a.Except) == 0 {
		return nil, module.BadArg("namespaces", "or except is needed; without them nothing is filtered")
	}
	for name, list := range map[string][]string{"namespaces": a.Namespaces, "except": a.Except} {
		for _, entry := range list {
			if entry == "" || strings.Contains(strings.TrimSuffix(entry, "*"), "*") {
				return nil, module.BadArg(name, "%q is no namespace, and no beginning of one with * at its end", entry)
			}
		}
	}
	return &filter{only: a.Namespaces, except: a.Except}, nil
}

type filter struct{ only, except []string }

// Handle passes p, or skips the section.
func (f *filter) Handle(_ context.Context, p *packet.Packet) (packet.Verdict, error) {
	if p.Name == "batch" {
		return f.batch(p)
	}
	// What names no namespace is about all of them, and each store has its part.
	if p.NS == "" || f.takes(p.NS) {
		return packet.Pass, nil
	}
	return packet.Skip, nil
}

// batch looks at each change, since a batch can be in several namespaces.
func (f *filter) batch(p *packet.Packet) (packet.Verdict, error) {
	changes, err := xdb.ReadChanges(p, nil)
	if err != nil {
		return packet.Pass, err
	}
	taken := 0
	for i := range changes {
		if f.takes(changes[i].NS) {
			taken++
		}
	}
	switch taken {
	case 0:
		return packet.Skip, nil
	case len(changes):
		return packet.Pass, nil
	}
	return packet.Pass, packet.Refuse("not-acceptable", "the namespaces of the batch are in different stores")
}

func (f *filter) takes(ns string) bool {
	return (len(f.only) == 0 || slices.ContainsFunc(f.only, matches(ns))) && !slices.ContainsFunc(f.except, matches(ns))
}

func matches(ns string) func(entry string) bool {
	return func(entry string) bool {
		if prefix, ok := strings.CutSuffix(entry, "*"); ok {
			return strings.HasPrefix(ns, prefix)
		}
		return ns == entry
	}
}

// Explain says what Handle would do.
func (f *filter) Explain(ctx context.Context, p *packet.Packet) (packet.Verdict, string) {
	v, err := f.Handle(ctx, p)
	switch {
	case err != nil:
		return packet.Refuses, err.Error()
	case p.NS == "":
		return v, "the question names no namespace of its own"
	case v == packet.Skip && slices.ContainsFunc(f.except, matches(p.NS)):
		return v, fmt.Sprintf("%q is in except", p.NS)
	case v == packet.Skip:
		return v, fmt.Sprintf("%q is not in namespaces", p.NS)
	}
	return v, fmt.Sprintf("%q is for this section", p.NS)
}
