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
	Peer       = frame.Peer
)
