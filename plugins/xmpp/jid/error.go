package jid

import "strconv"

// Part names a part of an address in an [Error].
type Part string

// The parts of an address.
const (
	Address      Part = "address" // the whole
	Localpart    Part = "localpart"
	Domainpart   Part = "domainpart"
	Resourcepart Part = "resourcepart"
)

// Error says why a text is no address. On the wire it is the condition
// jid-malformed.
type Error struct {
	Part   Part
	Text   string // what was to be prepared, cut if it is long
	Reason string
}

func (e *Error) Error() string {
	text := e.Text
	const most = 64
	if len(text) > most {
		text = text[:most] + "..."
	}
	return "jid " + strconv.Quote(text) + ": " + string(e.Part) + " " + e.Reason
}
