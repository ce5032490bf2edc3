// Package idle lets connections wait for their peers without a goroutine and
// without a buffer: most connections of a server say nothing most of the time,
// and a goroutine's stack and a buffer each are what they cost.
//
// The goroutine that reads from a connection reads until it has waited for a
// while in vain (a read deadline), gives its buffer back, parks the connection
// in a [Lot] and ends. When there is something to read the lot wakes the
// connection, which starts a goroutine again.
package idle

// A Sleeper is woken when its connection has something to say. Wake is called
// by the lot's goroutine, which all its connections share: it does not wait.
type Sleeper interface{ Wake() }
