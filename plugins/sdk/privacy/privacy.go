// Package privacy keeps the privacy lists of accounts in storage, the block list
// among them: namespace "privacy" of an account has an item for each list,
// "list NAME", and the name of the default list under "default".
package privacy

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// NS is the namespace of storage that the lists are in.
const NS = "privacy"

const (
	listKey    = "list "
	defaultKey = "default"
)

// Read returns the lists of an account, a bare JID.
func Read(ctx context.Context, store *xdb.Store, account string) (privacy.Lists, error) {
	var lists privacy.Lists
	for after, more := "", true; more; {
		page, err := store.Query(ctx, account, NS, xdb.Query{After: after, Max: xdb.MaxPage})
		if err != nil {
			return lists, err
		}
		for _, it := range page.Items {
			after = it.Key
			if it.Key == defaultKey {
				if el, ok := xml.First(it.Value, ""); ok {
					lists.Default = el.Attr("name")
				}
				continue
			}
			list, err := parse(&it)
			if err != nil {
				return lists, err
			}
			lists = lists.With(list)
		}
		more = page.More && len(page.Items) > 0
	}
	return lists, nil
}

// Default returns the default list of an account, nil if it has none. Where that
// is all that is wanted, it asks for less than Read.
func Default(ctx context.Context, store *xdb.Store, account string) (*privacy.List, error) {
	it, found, err := store.Get(ctx, account, NS, defaultKey)
	if err != nil || !found {
		return nil, err
	}
	el, ok := xml.First(it.Value, "")
	if !ok {
		return nil, fmt.Errorf("the default privacy list of %s: %q", account, it.Value)
	}
	it, found, err = store.Get(ctx, account, NS, listKey+el.Attr("name"))
	if err != nil || !found {
		return nil, err
	}
	list, err := parse(&it)
	return &list, err
}

func parse(it *xdb.Item) (privacy.List, error) {
	el, ok := xml.First(it.Value, "")
	if !ok || !strings.HasPrefix(it.Key, listKey) {
		return privacy.List{}, fmt.Errorf("privacy list %q: %.80q", it.Key, it.Value)
	}
	list, err := privacy.Parse(&el)
	if err != nil {
		return list, fmt.Errorf("privacy list %q: %w", it.Key, err)
	}
	return list, nil
}

// Write has storage go from old to new: all of it or nothing.
func Write(ctx context.Context, store *xdb.Store, account string, old, new privacy.Lists) error {
	var changes []xdb.Change
	put := func(key string, value []byte) {
		changes = append(changes, xdb.Change{Op: xdb.Put, NS: NS, Key: key, Value: value})
	}
	for i := range new.All {
		list := &new.All[i]
		value := list.Value()
		if before := old.Find(list.Name); before == nil || !bytes.Equal(before.Value(), value) {
			put(listKey+list.Name, value)
		}
	}
	for _, list := range old.All {
		if new.Find(list.Name) == nil {
			changes = append(changes, xdb.Change{Op: xdb.Delete, NS: NS, Key: listKey + list.Name})
		}
	}
	switch {
	case new.Default == old.Default:
	case new.Default == "":
		changes = append(changes, xdb.Change{Op: xdb.Delete, NS: NS, Key: defaultKey})
	default:
		put(defaultKey, xml.AppendEmpty(nil, "default", privacy.NS, "name", new.Default))
	}
	return store.Batch(ctx, account, changes)
}
