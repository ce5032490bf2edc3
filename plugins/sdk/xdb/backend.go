package xdb

import (
	"context"
	"errors"
)

// A Backend keeps items. All of its methods are called from many goroutines;
// owner, ns and keys are within the limits of this package and may be kept.
//
// An error is a *packet.Reject, which the asker is told, or any other, whose
// text goes to the log.
type Backend interface {
	// Get appends to items those of keys that are there, in the order of
	// keys. Without keys it appends all of the namespace in the order of
	// their keys, or returns [TooLarge] beyond [MaxBody].
	Get(ctx context.Context, owner, ns string, keys []string, items []Item) ([]Item, error)

	// Query returns a page of a namespace, as it was at one moment.
	Query(ctx context.Context, owner, ns string, q Query) (Page, error)

	// Change makes all changes or none, and sets the Rev of each and the Key
	// of an Append without one. What is there decides [Change.Effect]; values
	// are copied or kept, not written to. It returns when the changes are as
	// durable as the backend promises. After an error changes is undefined.
	Change(ctx context.Context, owner string, changes []Change) error

	// Drop takes away the items of a namespace whose keys sort before a key,
	// all with "", and with ns "" those of all namespaces. It need not be one
	// transaction, but goes to its end once begun, if need be after a restart.
	Drop(ctx context.Context, owner, ns, before string) error

	// Namespaces returns the namespaces in which owner has items, in order.
	Namespaces(ctx context.Context, owner string) ([]string, error)

	// Owners returns the owners in a domain that have items, with ns not ""
	// those that have some in it: in the order of their bytes the first max of
	// those that come after another, which need not be there. The server
	// itself, "", is in none.
	Owners(ctx context.Context, domain, ns, after string, max int) ([]string, error)
}

// A Slow backend has Change and Drop wait, for a disk or another machine, if
// Waits reports so. Others are answered meanwhile.
type Slow interface {
	Backend
	Waits() bool
}

// ErrPass is returned by a Backend that has nothing to do with an owner or a
// namespace, such as one that knows accounts only: the next in the chain is asked.
var ErrPass = errors.New("xdb: not mine")
