package badger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// Get implements xdb.Backend.
func (s *Store) Get(_ context.Context, owner, ns string, keys []string, items []xdb.Item) ([]xdb.Item, error) {
	err := s.read(func(txn *badgerdb.Txn) (err error) {
		prefix := spacePrefix(itemKey, owner, ns)
		if len(keys) == 0 {
			items, err = getAll(txn, prefix, items)
			return err
		}
		for _, key := range keys {
			it, found, err := get(txn, append(prefix, key...), key)
			if err != nil {
				return err
			}
			if found {
				items = append(items, it)
			}
		}
		return nil
	})
	return items, err
}

// get returns the item that is at a key of the database.
func get(txn *badgerdb.Txn, at []byte, key string) (it xdb.Item, found bool, err error) {
	entry, err := txn.Get(at)
	if errors.Is(err, badgerdb.ErrKeyNotFound) {
		return it, false, nil
	}
	if err != nil {
		return it, false, err
	}
	b, err := entry.ValueCopy(nil)
	if err != nil {
		return it, false, err
	}
	it, err = readItem(key, b)
	return it, err == nil, err
}

func getAll(txn *badgerdb.Txn, prefix []byte, items []xdb.Item) ([]xdb.Item, error) {
	cursor := txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer cursor.Close()
	size := 0
	for cursor.Rewind(); cursor.Valid(); cursor.Next() {
		it, err := itemAt(cursor, len(prefix))
		if err != nil {
			return items, err
		}
		if size += len(it.Key) + len(it.Value); size > xdb.MaxBody && len(items) > 0 {
			return items, xdb.TooLarge("the namespace is too large for one answer; query it by pages")
		}
		items = append(items, it)
	}
	return items, nil
}

// itemAt reads the item at a cursor.
func itemAt(cursor *badgerdb.Iterator, prefix int) (xdb.Item, error) {
	b, err := cursor.Item().ValueCopy(nil)
	if err != nil {
		return xdb.Item{}, err
	}
	return readItem(string(cursor.Item().Key()[prefix:]), b)
}

// Query implements xdb.Backend.
func (s *Store) Query(_ context.Context, owner, ns string, q xdb.Query) (page xdb.Page, err error) {
	page.Count = -1
	err = s.read(func(txn *badgerdb.Txn) error {
		if q.Count {
			if page.Count, err = count(txn, owner, ns, &q); err != nil {
				return err
			}
		}
		if q.Empty() {
			return nil
		}
		return fill(txn, owner, ns, &q, &page)
	})
	return page, err
}

// fill puts the items of a query into its page.
func fill(txn *badgerdb.Txn, owner, ns string, q *xdb.Query, page *xdb.Page) error {
	from, to := q.Keys()
	if q.With == "" {
		prefix := spacePrefix(itemKey, owner, ns)
		return walk(txn, prefix, from, to, q.Reverse, func(cursor *badgerdb.Iterator) (bool, error) {
			it, err := itemAt(cursor, len(prefix))
			if err != nil {
				return false, err
			}
			return !page.Add(q, it), nil
		})
	}
	items := spacePrefix(itemKey, owner, ns)
	return walkWith(txn, owner, ns, q, from, to, func(key []byte) (bool, error) {
		it, found, err := get(txn, append(items, key...), string(key))
		if err != nil || !found {
			return err == nil, err
		}
		return !page.Add(q, it), nil
	})
}

// count counts the items in the range of a query.
func count(txn *badgerdb.Txn, owner, ns string, q *xdb.Query) (n int, err error) {
	from, to := q.Range()
	if q.With == "" {
		err = walk(txn, spacePrefix(itemKey, owner, ns), from, to, false, func(*badgerdb.Iterator) (bool, error) {
			n++
			return true, nil
		})
		return n, err
	}
	err = walkWith(txn, owner, ns, q, from, to, func([]byte) (bool, error) {
		n++
		return true, nil
	})
	return n, err
}

// walkWith calls f with the keys of the items about the address of a query.
func walkWith(txn *badgerdb.Txn, owner, ns string, q *xdb.Query, from, to string, f func(key []byte) (bool, error)) error {
	bare := packet.Bare(q.With)
	prefix := withPrefix(owner, ns, bare)
	return walk(txn, prefix, from, to, q.Reverse, func(cursor *badgerdb.Iterator) (on bool, err error) {
		takes := len(bare) == len(q.With)
		if !takes {
			err = cursor.Item().Value(func(rest []byte) error {
				takes = string(rest) == q.With[len(bare):]
				return nil
			})
		}
		if err != nil || !takes {
			return err == nil, err
		}
		return f(cursor.Item().Key()[len(prefix):])
	})
}

// walk calls f at each key that begins with a prefix, from one on and before
// another if that is not "", until f has enough. Values are not fetched ahead:
// all but the largest are where the keys are.
func walk(txn *badgerdb.Txn, prefix []byte, from, to string, reverse bool, f func(*badgerdb.Iterator) (bool, error)) error {
	cursor := txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix, Reverse: reverse})
	defer cursor.Close()
	first, last := append(bytes.Clone(prefix), from...), append(bytes.Clone(prefix), to...)
	if to == "" {
		last = append(last, end...)
	}
	start := first
	if reverse {
		start = last
	}
	for cursor.Seek(start); cursor.ValidForPrefix(prefix); cursor.Next() {
		key := cursor.Item().Key()
		switch {
		case bytes.Compare(key, last) >= 0:
			if reverse {
				continue // just the first
			}
			return nil
		case bytes.Compare(key, first) < 0:
			return nil
		}
		if on, err := f(cursor); err != nil || !on {
			return err
		}
	}
	return nil
}

// Namespaces implements xdb.Backend.
func (s *Store) Namespaces(_ context.Context, owner string) (names []string, err error) {
	err = s.read(func(txn *badgerdb.Txn) error {
		prefix := ownerPrefix(itemKey, owner)
		cursor := txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
		defer cursor.Close()
		for cursor.Rewind(); cursor.Valid(); {
			name, _ := cut(cursor.Item().Key(), len(prefix))
			names = append(names, name)
			cursor.Seek(append(spacePrefix(itemKey, owner, name), end...))
		}
		return nil
	})
	return names, err
}

// Owners implements xdb.Backend. Keys have owners without their domain. In their
// order those with a localpart are as they are with the domain, but a domain
// itself and its resources are elsewhere; so these are looked for apart.
func (s *Store) Owners(_ context.Context, domain, ns, after string, max int) (owners []string, err error) {
	if domain == "" {
		return nil, nil
	}
	err = s.read(func(txn *badgerdb.Txn) error {
		resource := ""
		if strings.HasPrefix(after, domain+"/") {
			resource = after[len(domain):]
		}
		account := after[:strings.IndexByte(after, '@')+1] // the page may begin among its resources
		owners = append(
			ownersOf(txn, domain, ns, after, cmp.Or(account, after), false, max),
			ownersOf(txn, domain, ns, after, resource, true, max)...)
		return nil
	})
	slices.Sort(owners)
	return owners[:min(len(owners), max)], err
}

// ownersOf returns the first owners after one that have a localpart, or with own
// those that have none, looking from the key of start on.
func ownersOf(txn *badgerdb.Txn, domain, ns, after, start string, own bool, max int) (owners []string) {
	prefix := domainPrefix(itemKey, domain)
	cursor := txn.NewIterator(badgerdb.IteratorOptions{Prefix: prefix})
	defer cursor.Close()
	seek := func(rest string) { cursor.Seek(append(bytes.Clone(prefix), rest...)) }
	for seek(start); cursor.Valid() && len(owners) < max; {
		rest, _ := cut(cursor.Item().Key(), len(prefix))
		isOwn := rest == "" || rest[0] == '/'
		switch {
		case isOwn == own:
			owner := ownerOf(domain, rest)
			if owner > after && hasSpace(cursor, owner, ns) {
				owners = append(owners, owner)
			}
			seek(rest + "\x00" + end)
		case own && rest < "/":
			seek("/")
		case own:
			return owners
		case rest == "":
			seek("\x00" + end)
		default:
			seek("/" + end)
		}
	}
	return owners
}

// hasSpace reports whether an owner, at whose first key the cursor is, has items
// in a namespace, or with "" any.
func hasSpace(cursor *badgerdb.Iterator, owner, ns string) bool {
	if ns == "" {
		return true
	}
	space := spacePrefix(itemKey, owner, ns)
	cursor.Seek(space)
	return cursor.ValidForPrefix(space)
}
