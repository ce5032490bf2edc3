package module

import (
	"encoding/json"
	"time"

	"github.com/jabberii/server/jabberd/packet"
)

// A Section is one section of the configuration: what config reads from a
// file, and what the processes make handlers from.
type Section struct {
	ID      string        `json:"id"`                // the block's label
	Kinds   []packet.Kind `json:"kinds"`             // one, or Normal and Session for a service
	Place   string        `json:"place"`             // file:line of the block
	Chain   []Link        `json:"chain"`             // in the order of the file
	Observe bool          `json:"observe,omitempty"` // gets copies, never counts, never holds up
	Uplink  bool          `json:"uplink,omitempty"`  // takes what no host of its kind takes
	Timeout time.Duration `json:"timeout,omitempty"` // for the handling of one packet, in ns; 0 is 30 s
	Queue   int           `json:"queue,omitempty"`   // packets that may wait for its processes; 0 is 10000

	// Fallback says of a store, a section of kind XDB, that the next one is
	// asked for what it has nothing of.
	Fallback bool `json:"fallback,omitempty"`
}

// A Link is one block, one link of a section's chain.
type Link struct {
	Module   string          `json:"module"`             // the block type
	Label    string          `json:"label,omitempty"`    // "" without one
	Process  string          `json:"process,omitempty"`  // the process that it runs in; "" is this one
	Args     json.RawMessage `json:"args,omitempty"`     // a JSON object
	Place    string          `json:"place,omitempty"`    // file:line of the block
	Optional bool            `json:"optional,omitempty"` // the server starts without it if it does not come up
	Timeout  time.Duration   `json:"timeout,omitempty"`  // to come up, and for the handling of one packet, in ns; 0 is the section's
	OnCrash  OnCrash         `json:"on_crash,omitempty"` // while its process is gone
}

// OnCrash says what becomes of packets for a link whose process is gone.
type OnCrash string

// What may become of them.
const (
	CrashWait   OnCrash = ""       // they wait for its restart, at most for the timeout, then bounce
	CrashBounce OnCrash = "bounce" // they bounce at once
	CrashPass   OnCrash = "pass"   // they go on as if it had passed
)
