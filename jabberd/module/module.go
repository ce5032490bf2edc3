// Package module describes what a configuration can name.
//
// A [Module] makes handlers. Its name is a block type of the configuration,
// its arguments are the attributes and blocks inside. [Define] makes one from
// a struct whose fields are the arguments: the struct is schema, decoder and
// documentation at once.
//
//	type args struct {
//		Path   string          `json:"path" doc:"Where entries go." required:"true"`
//		Rotate module.Size     `json:"rotate" default:"10MiB" doc:"Size at which a new file is begun."`
//	}
//
//	var Module = module.Define("file", "Writes entries to a file.", module.On(packet.Log), New)
//
//	func New(env module.Env, a args) (packet.Handler, error) { ... }
//
// New has no effects, since it is also called to check a configuration. A
// handler that has effects implements one of the small interfaces here:
// [Starter], [Runner], [io.Closer]; [Updater] if it can take new arguments,
// [Explainer] to say what it would do, [Watcher] to see answers on their way
// back. Nothing else connects a module to the server.
package module

import (
	"context"
	"slices"

	"github.com/jabberii/server/jabberd/packet"
)

// A Module is a kind of handler that a configuration can name. It is data, so
// it can cross to another process and be printed; only New stays behind.
type Module struct {
	Name  string        `json:"name"`           // the block type
	Doc   string        `json:"doc"`            // markdown; the first sentence is the summary
	Kinds []packet.Kind `json:"kinds"`          // the sections that it may stand in
	Args  []Arg         `json:"args,omitempty"` // in the order in which to document them

	// Label says what the block's label means ("host name"); "" is a block
	// without one. The label reaches New as the argument "label".
	Label string `json:"label,omitempty"`

	// Services, if not empty, are what the label picks from: the block's
	// arguments are those of the service, and New is the service's.
	Services []Module `json:"services,omitempty"`

	// Other, if not nil, finds what no service is named like: a file. What it
	// returns stays the same for the life of the process.
	Other func(label string) (*Module, error) `json:"-"`

	// Passive says that the handler takes no packets: it acts when it is made
	// (host attaches its section) and is no link of the chain.
	Passive bool `json:"passive,omitempty"`

	// Claims says what is known of the handler's verdicts before it has seen a
	// packet. The check of a configuration warns by it.
	Claims Claims `json:"claims,omitempty"`

	// Attaches says that the handler attaches hosts while it runs, so that a
	// section with no host in the configuration may yet be reached.
	Attaches bool `json:"attaches,omitempty"`

	// Needs are the kinds without which it does not work: its section has to be of
	// those among them that it may stand in, and some section of each other one.
	// The check of a configuration warns by it.
	Needs []packet.Kind `json:"needs,omitempty"`

	// External says of storage that it shows what is kept elsewhere, a directory for
	// example: behind a store that owns the same it would only be told of changes.
	// The check of a configuration warns by it.
	External bool `json:"external,omitempty"`

	// XEPs are the extensions of XMPP that it brings to a server.
	XEPs []XEP `json:"xeps,omitempty"`

	// New makes a handler from the arguments as a JSON object. What is left
	// out has its default. It may be called many times, from many goroutines,
	// and has no effects but Attach. A wrong argument is reported as *ArgError.
	New func(env Env, args []byte) (packet.Handler, error) `json:"-"`
}

// Claims says which packets a handler claims.
type Claims string

// What handlers claim.
const (
	ClaimsSome Claims = ""     // it depends on the packet
	ClaimsAll  Claims = "all"  // each, or it is an error: links behind it are never asked
	ClaimsRest Claims = "rest" // it answers what nobody in front has claimed, and so stands last
	ClaimsNone Claims = "none" // it looks, changes, passes or skips
)

// Find returns the module of a name for sections of kinds, nil if there is none.
// One name may be a module for logs and another for storage.
func Find(modules []Module, name string, kinds []packet.Kind) *Module {
	for i := range modules {
		m := &modules[i]
		if m.Name == name && !slices.ContainsFunc(kinds, func(k packet.Kind) bool { return !slices.Contains(m.Kinds, k) }) {
			return m
		}
	}
	return nil
}

// Pick returns the module that makes the handler of a block with a label: m
// itself, or that of its services which the label names.
func (m *Module) Pick(label string) (*Module, error) {
	if len(m.Services) == 0 && m.Other == nil {
		return m, nil
	}
	for i := range m.Services {
		if m.Services[i].Name == label {
			return &m.Services[i], nil
		}
	}
	if m.Other != nil {
		return m.Other(label)
	}
	return nil, BadArg("label", "there is no %s named %q", m.Name, label)
}

// On lists kinds.
func On(kinds ...packet.Kind) []packet.Kind { return kinds }

// A Starter is a handler that opens something before it can handle packets.
type Starter interface {
	// Start returns once Handle may be called. ctx ends with the section's
	// timeout; what Start opened lives until Close.
	Start(ctx context.Context) error
}

// A Runner is a handler with work of its own: a listener, a connection, a
// timer. Run starts when all sections have started, and returns nil once ctx
// is done and all that it opened is closed. If it returns earlier, or with an
// error, it is started again after a while.
//
// Handlers that are done for good also implement io.Closer; Close is called
// after Run has returned and the last packet was handled.
type Runner interface {
	Run(ctx context.Context) error
}

// A Finisher is a handler that finishes what it has claimed together with
// others; see [Gatherer].
type Finisher interface {
	packet.Handler

	// Finish is called when the packets that came together have been handled,
	// before anything of that leaves the process, and at the latest after some
	// milliseconds. It may be called while packets are handled, and several
	// times at once: each call finishes all for which Gather was called before
	// it, unless an earlier one does. It does not wait for other packets. If it
	// returns false they do not end, and it is called again within 0.1 s.
	Finish() bool
}

// A Hop is a handler that hands packets over to somewhere else and hears later
// how they ended: it is to another server what the engine is to another process.
// The engine calls Hop and never Handle, which does the same and waits.
//
// Packets of one order key still come one at a time and in order. Where the Hop
// is all that a section does, the next comes without waiting for the verdict on
// the one before, and it is the Hop that keeps their order from there on.
type Hop interface {
	packet.Handler

	// Hop takes *p, which is valid until it returns or calls end.End and is not
	// changed, and returns at once. It calls end.End once, from any goroutine, at the latest
	// at the deadline of ctx. It delivers nothing with ctx.
	Hop(ctx context.Context, p *packet.Packet, end Ending)
}

// An Ending takes the verdict on a packet that a Hop was given.
type Ending interface {
	// End is to the walk of the packet what the return of Handle is. The first
	// call counts, further ones do nothing.
	End(packet.Verdict, error)

	// Name is the packet's name, the zero Name if it has none.
	Name() Name
}

// A Name is the same for a packet when it is handed to a Hop again because the
// process of the Hop has died, and is no other packet's. There are none in a
// server that is one process.
type Name struct {
	Origin  uint64 // the process that holds the packet; random
	Num     uint64 // its number there, increasing
	Part    uint64 // copies and what else derives from it have their own
	Settled uint64 // all numbers of Origin below it will not come again
}

// An Updater takes new arguments while it runs.
type Updater interface {
	// Prepare checks args and readies everything that can fail. commit puts
	// them into effect and cannot fail; it is not called if the change is
	// given up.
	Prepare(args []byte) (commit func(), err error)
}

// An Explainer says what Handle would do with a packet, and why. It has no
// effects and may not wait for long. p may be changed as Handle would. Where
// Handle would return an error the verdict is [packet.Refuses], and where only
// Handle can know [packet.Unknown].
type Explainer interface {
	Explain(ctx context.Context, p *packet.Packet) (v packet.Verdict, why string)
}

// A Watcher is shown the answer to a question that it passed on, before the
// asker gets it. It may change *answer, which is valid until it returns.
type Watcher interface {
	Watch(ctx context.Context, question, answer *packet.Packet)
}
