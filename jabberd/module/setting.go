package module

import (
	"encoding/json"

	"github.com/jabberii/server/jabberd/packet"
)

// A Setting is one block of the running configuration, as it holds: values are
// worked out, and secrets are "***". plugins/sdk/setting reads those of a
// running server.
type Setting struct {
	// Key names a block at the top of the file: engine, plugin/NAME,
	// process/NAME or section/ID. A block inside has none.
	Key   string          `json:"key,omitempty"`
	Order int             `json:"order"`           // of a block at the top: engine, plugins, processes, then sections in the order of the file
	Type  string          `json:"type"`            // the block type
	Label string          `json:"label,omitempty"` // "" without one
	Place string          `json:"place,omitempty"` // file:line; "" if it was left out
	Kinds []packet.Kind   `json:"kinds,omitempty"` // of a section
	Hosts []string        `json:"hosts,omitempty"` // of a section: what its blocks attach when they are made
	Args  json.RawMessage `json:"args,omitempty"`  // what is given, a JSON object; of engine, plugin and process what is left out too
	Chain []Setting       `json:"chain,omitempty"` // of a section: the blocks in it
	HCL   string          `json:"hcl,omitempty"`   // of a block at the top: all of it as it would be written
}
