package packet

import "context"

// A Verdict is what a Handler decided about a packet.
type Verdict uint8

// The verdicts.
const (
	Pass  Verdict = iota // not mine, or changed in place: ask the next one
	Claim                // mine: done, or stored beyond this process
	Skip                 // not for this section: the chain ends here, unclaimed

	// Refuses is what an explanation says of a packet for which Handle returns
	// an error. Handle itself never returns it.
	Refuses

	// Unknown is what an explanation says of a packet when only Handle can know,
	// as where a program decides. Handle itself never returns it.
	Unknown
)

// String returns the verdict in lower case.
func (v Verdict) String() string {
	switch v {
	case Claim:
		return "claim"
	case Skip:
		return "skip"
	case Refuses:
		return "refuse"
	case Unknown:
		return "unknown"
	}
	return "pass"
}

// A Handler is one link of a section's chain.
//
// Handle may change *p and pass it on. An error ends the chain: a [*Reject]
// is what the sender is told, any other error is internal-server-error on the
// wire and its text goes to the log only. The Verdict beside an error is
// ignored. p is valid until Handle returns; a handler that needs it longer
// keeps a copy of the struct.
//
// Handling is a transaction: what Handle delivers through its environment with
// ctx, or with a context made from it, enters the tree when Handle returns
// without an error, in order. A packet whose handling was cut short is handled
// again, marked [Redelivered], and the tree has seen nothing of the first time.
//
// A stanza between a connection and its session (kind Session) may be rejected:
// the client gets the error, and both sides count the stanza (XEP-0198). Only an
// error that is no Reject, and the conditions internal-server-error,
// service-unavailable, remote-server-timeout and resource-constraint, end the
// session. Only the session may claim it, since it could not count what others
// claim. Who drops stanzas does that in kind Normal.
//
// Handle is called from many goroutines, but packets of one order key come one
// at a time and in order. The key is, for Session, the connection and the
// direction; for Normal, the bare From and the bare To; for XDB, From and To;
// for Log, From. ctx carries the packet's deadline.
type Handler interface {
	Handle(ctx context.Context, p *Packet) (Verdict, error)
}

// A HandlerFunc is a function that is a Handler.
type HandlerFunc func(ctx context.Context, p *Packet) (Verdict, error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, p *Packet) (Verdict, error) { return f(ctx, p) }

// A Result is the way in which a packet ended.
type Result uint8

// The results.
const (
	Claimed Result = iota // a section took responsibility for it
	Refused               // it was answered with an error, or ended its session
	Dropped               // it ended without an answer, for a reason that was counted
)

// An Outcome tells a source how one of its packets ended. Each packet of a
// source has exactly one.
type Outcome struct {
	Tag    uint64 // what the source gave with the packet
	Result Result
	Reason *Reject // why it bounced or was dropped; nil when claimed
}
