package frame

import (
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// The records are what two processes tell each other, and two servers over a
// native link (plugins/sdk/link), which know Walk and Stop only. A process that holds a
// packet (its origin) numbers it; the number, with the origin, names the packet
// for as long as anybody may ask for it again.

// A Walk asks a process to go on with a packet at a link of a chain.
type Walk struct {
	ID      uint64 // the hop's, for its verdict; increasing on a connection
	Origin  uint64 // the process that holds the packet
	Num     uint64 // the packet's number there
	Part    uint64 // which walk of the packet: copies and bounces have their own
	Settled uint64 // all numbers of Origin below it are settled and will not come again
	Section uint32 // index in the layout
	Link    uint16 // the first link to ask
	Timeout time.Duration
	Packet  packet.Packet
	Answer  *packet.Packet // XDB: show this answer to the links from Link on that passed; nothing is handled
}

// A Stop is the verdict on a walk.
type Stop struct {
	Walk     uint64 // its ID
	Link     uint16 // the link after the last that was asked
	Verdict  packet.Verdict
	Reject   *packet.Reject // what the sender is told; the verdict does not count
	Internal string         // the text for the log of any other error
	Changed  *packet.Packet // the packet as it goes on, if a link changed it
	Answer   *packet.Packet // XDB: the answer
}

// A Delivery puts a packet into the tree.
type Delivery struct {
	Num     uint64 // at the sender; 0 wants no outcome (log entries)
	Cause   uint64 // ID of the walk whose handling delivered it, with its Stop in the same commit; 0 is none
	Ask     bool   // a question: the outcome has the answer
	Timeout time.Duration
	Hop     bool // of module.SourceConfig: settled once it is handled, and never bounced
	Patient bool // nobody waits for its settlement
	Packet  packet.Packet
}

// A Commit is what handling came to: verdicts and what was delivered. It is
// applied whole or not at all, so it crosses in one frame.
type Commit struct {
	Stops      []Stop
	Deliveries []Delivery
	Settled    uint64 // all numbers of the sender below it are settled
}

// A Settlement tells the origin of a packet how it ended.
type Settlement struct {
	Num    uint64
	Result packet.Result
	Reason *packet.Reject
	Answer *packet.Packet
}

// A HostChange attaches a section to a host or detaches it. A plugin process
// asks for one (ID not 0); the core tells all processes (ID 0), and then
// answers the one that asked with its ID and, if it was refused, Refused.
type HostChange struct {
	ID      uint64
	Section uint32
	Host    string
	Gone    bool
	Refused string
}

// An Explain asks a process what its links would do with a packet, and carries
// the answer back.
type Explain struct {
	ID      uint64
	Section uint32
	Link    uint16
	Answer  bool
	Packet  packet.Packet // in the answer: as the last link left it
	Steps   []Step        // the answer
}

// A Step is what one link would do, and why.
type Step struct {
	Module  string `json:"module"`
	Label   string `json:"label,omitempty"`
	Place   string `json:"place"`
	Process string `json:"process"`
	Verdict string `json:"verdict"` // pass, claim, skip, refuse or unknown
	Why     string `json:"why"`
	Asked   bool   `json:"asked"` // false: the link cannot explain itself, and this is what its module declares
}

// A Peer is the sending end of a connection to another process. Each method
// appends to what is gathered for it and returns at once; the record is copied.
// Records arrive in order. A Commit is never split.
type Peer interface {
	Walk(*Walk)
	Commit(*Commit)
	Settle(*Settlement)
	Host(*HostChange)
	Explain(*Explain)
}
