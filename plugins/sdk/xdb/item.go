package xdb

import (
	"bytes"

	"github.com/jabberii/server/jabberd/packet"
)

// An Item is what a store keeps under an owner, a namespace and a key.
//
// Value is XML content: text and elements, well-formed and with all of its
// prefixes declared. It is never written to. What [Backend] and [Store] return
// may be kept.
type Item struct {
	Key   string
	Rev   Rev
	With  string // the address that it is about, for [Query]; may be empty
	Value []byte
}

// size is about what an item takes in a packet.
func (it *Item) size() int { return len(it.Key) + len(it.With) + len(it.Value) + 48 }

// An Op is what a [Change] does.
type Op uint8

// The changes.
const (
	Put    Op = iota // makes the item or replaces it
	Delete           // takes it away; that there is none is no error
	Append           // makes an item that was not there
)

// String returns the name of the element that the change is in a packet.
func (o Op) String() string {
	switch o {
	case Delete:
		return "delete"
	case Append:
		return "append"
	}
	return "put"
}

// A Change is one change of one item. Several are one transaction: all of
// them happen or none, and in one transaction a key comes at most once.
type Change struct {
	Op    Op
	NS    string
	Key   string // of an Append, "" lets the store give it: its Rev in text, greater than all before
	With  string
	Value []byte

	// Check refuses the change with conflict unless the item has the revision
	// Was; with Was 0, unless there is no item.
	Check bool
	Was   Rev

	Rev  Rev  // set by the store: the item's revision now
	Copy bool // Key and Rev are those of another store, whose change this is a copy of
}

// An Effect is what a change does to an item.
type Effect uint8

// The effects.
const (
	Keep   Effect = iota // nothing changes
	Write                // the item becomes that of the change
	Remove               // the item goes
)

// Effect decides what c does where old is, nil being no item. All backends
// ask it, so that they agree. It may set c.Rev, that of an item which is kept.
//
// An Append that is there already, the same to the byte, is done already: so
// it can be repeated by who gives the key.
func (c *Change) Effect(old *Item) (Effect, error) {
	switch {
	case c.Copy:
		if old != nil && old.Rev > c.Rev {
			return Keep, nil
		}
	case c.Check && c.Was != old.rev():
		return Keep, conflict()
	case c.Op == Append && old != nil:
		if old.With != c.With || !bytes.Equal(old.Value, c.Value) {
			return Keep, conflict()
		}
		c.Rev = old.Rev
		return Keep, nil
	}
	switch {
	case c.Op != Delete:
		return Write, nil
	case old == nil:
		return Keep, nil
	}
	return Remove, nil
}

func (it *Item) rev() Rev {
	if it == nil {
		return 0
	}
	return it.Rev
}

// Item returns the item that c writes. It shares the value of c.
func (c *Change) Item() Item { return Item{Key: c.Key, Rev: c.Rev, With: c.With, Value: c.Value} }

func conflict() error { return packet.Refuse("conflict", "the item was changed by somebody else") }
