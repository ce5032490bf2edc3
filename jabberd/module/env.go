package module

import (
	"context"
	"errors"
	"log/slog"
	"net"

	"github.com/jabberii/server/jabberd/packet"
)

// Env is what a section lends to a handler in it. Its methods may be called
// from many goroutines; those with effects (all but Section, Kinds, Place, Log
// and Attach) only once Start or Run was called.
type Env interface {
	Section() string      // the section's id
	Kinds() []packet.Kind // one, or Normal and Session in a service section
	Place() string        // file:line of the block, for messages
	// Log writes entries, which go to the log branch, with module and place. The field host
	// says whom an entry is about; time, from, to, type, id and xmlns are an entry's own, and
	// a field with such a name has an underscore behind it.
	Log() *slog.Logger

	// Deliver puts a copy of *p into the tree. With the ctx of Handle it
	// enters when Handle returns. Elsewhere the section is p's source: Deliver
	// waits while too many of its packets are under way, and an error means
	// that ctx or the server ended before p entered. What happens to p then
	// comes back as a packet to its sender, not as an error.
	Deliver(ctx context.Context, p *packet.Packet) error

	// Ask puts a question (kind XDB) to the tree and waits for its answer. It
	// leaves at once, also within Handle. The answer is the caller's. An error
	// answer is returned as *packet.Reject; nobody to answer is item-not-found's
	// opposite, service-unavailable.
	Ask(ctx context.Context, question *packet.Packet) (*packet.Packet, error)

	// Answer gives the answer to question, which the handler then claims. It
	// is called within Handle with its ctx; a copy of *answer goes back.
	Answer(ctx context.Context, question, answer *packet.Packet) error

	// Source returns a source of packets with outcomes of its own.
	Source(SourceConfig) Source

	// Attach makes the section a branch of host, an exact name, "*.suffix" or
	// "*". In New it belongs to the configuration; later it returns when the
	// whole server knows, and refuses a host that an exclusive owner has.
	Attach(host string) error
	// Detach undoes an Attach that was made while running.
	Detach(host string) error

	// Listen binds a listener, or takes over the one that an earlier
	// handler of the same place held. It accepts once the whole server is up.
	// Network is tcp or unix.
	Listen(ctx context.Context, network, address string) (net.Listener, error)

	// Serves reports whether a section that is not an observer is attached to
	// host, by its name or a suffix of it. A section for "*" does not count.
	Serves(kind packet.Kind, host string) bool

	// Hosts lists the hosts that the section is attached to now.
	Hosts() []string

	// Path makes a relative path one below the server's data folder.
	Path(name string) string
}

// A Holder is an Env that can put off the end of a packet. The server's are;
// ask with a type assertion.
type Holder interface {
	// Hold, called within Handle with its ctx, has the packet not end before
	// release is called, although Handle has returned: it is for what a
	// handler claims now and does with others in one go. Until then who gave
	// the packet keeps it, and if this process dies hands it over again; the
	// packets behind it do not wait. Release is called once, from anywhere,
	// long before the section's timeout, and never with a lock held that
	// Settled of a Source may want.
	Hold(ctx context.Context) (release func())
}

// A Gatherer is an Env with which a handler finishes in one go what came
// together, such as one write for many packets. The server's are; ask with a
// type assertion. The handler has to be a [Finisher].
type Gatherer interface {
	// Gather, called within Handle with its ctx, has the packet not end before
	// the handler's Finish has returned true, although Handle has returned: as
	// with [Holder], who gave the packet keeps it until then, and the packets
	// behind it do not wait.
	Gather(ctx context.Context)
}

// A Waiter is an Env that is told of waits which it cannot see. The server's
// are; ask with a type assertion.
type Waiter interface {
	// Wait, called within Handle with its ctx, says that the handler is about
	// to wait for something outside of the tree, such as a disk or another
	// machine: until it returns others are handled by other goroutines. A
	// wait that nobody is told of is noticed too, but holds others up for 5 ms.
	Wait(ctx context.Context)
}

// A SourceConfig says how a source is told of its packets.
type SourceConfig struct {
	Window int // packets under way at once; 0 is 64

	// Own says that packets are handled on the goroutine that delivers them
	// as far as they can be. It saves a wake-up for a source whose packets are
	// one order key, such as a client's connection. A source with many keys
	// leaves it out, so that a waiting key holds up only itself.
	Own bool

	// Pass, with Own, is called when the handling of a packet has to wait: what
	// the source has next is another goroutine's to deliver, which Pass starts.
	// The Deliver that is under way then returns [ErrPassed], once it need not
	// wait any more, to a goroutine that has nothing left to do. So who is sent
	// to and takes nothing does not hold up what goes to others. Nil has the
	// source wait.
	Pass func()

	// Batch says that what Deliver has for other processes may wait for Flush,
	// which the source calls before it waits for anything: so packets that came
	// together go on together.
	Batch bool

	// Hop says that the packets are handed over by another tree, which is told
	// what became of them: the outcome comes as soon as a packet was handled,
	// without waiting for what that caused, and one that nobody claims is not
	// answered here, since its sender is told there. The deadline of the ctx of
	// Deliver, if it has one, is the packet's.
	Hop bool

	// Settled is told how packets ended, in any order. It must not wait. The
	// slice is valid until it returns. It may be nil.
	Settled func([]packet.Outcome)
}

// ErrPassed is returned by Deliver of a [Source] that another goroutine has gone
// on with; see SourceConfig.Pass.
var ErrPassed = errors.New("another goroutine delivers for the source")

// A Source is where packets enter the tree: a socket, a timer, a program. It
// holds a credit for each packet until its outcome, which comes when the
// packet and all that handling it delivered have ended.
type Source interface {
	// Deliver puts a copy of *p into the tree, waiting while no credit is
	// left. tag comes back with the outcome. It is for one goroutine at a time.
	Deliver(ctx context.Context, p *packet.Packet, tag uint64) error
	// Flush lets go what a source with Batch has delivered.
	Flush()
	// Close gives up outcomes: packets under way go on, nobody is told.
	Close()
}
