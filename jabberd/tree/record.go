package tree

import "github.com/jabberii/server/jabberd/frame"

// The records are what two processes tell each other; see package frame.
type (
	Walk       = frame.Walk
	Stop       = frame.Stop
	Delivery   = frame.Delivery
	Commit     = frame.Commit
	Settlement = frame.Settlement
	HostChange = frame.HostChange
	Explain    = frame.Explain
	Step       = frame.Step
)

// A Peer is the sending end of a connection to another process. What its methods
// append arrives once it was flushed.
type Peer interface {
	frame.Peer

	// As those without Later, but nobody waits for it: Flush need not send for its sake.
	WalkLater(*Walk)
	CommitLater(*Commit)
	SettleLater(*Settlement)

	Flush()     // send what has gathered; it does not wait
	FlushSoon() // have all sent by somebody else, for whoever has more to do
}
