package setting

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// A Table holds the settings of the server itself: the backend that it answers
// out of, read only and without waiting. The zero Table has none.
type Table struct{ items atomic.Pointer[[]xdb.Item] } // by key

var _ xdb.Backend = (*Table)(nil)

// Set replaces all settings by those that hold from a moment on.
func (t *Table) Set(list []module.Setting, since time.Time) error {
	items := make([]xdb.Item, 0, len(list))
	for _, s := range list {
		value, err := encode(s)
		if err != nil {
			return fmt.Errorf("setting %s: %w", s.Key, err)
		}
		items = append(items, xdb.Item{Key: s.Key, Rev: xdb.At(since), Value: value})
	}
	slices.SortFunc(items, func(a, b xdb.Item) int { return cmp.Compare(a.Key, b.Key) })
	t.items.Store(&items)
	return nil
}

// of returns the items of an owner in a namespace.
func (t *Table) of(owner, ns string) []xdb.Item {
	if items := t.items.Load(); items != nil && owner == packet.ServerHost && ns == NS {
		return *items
	}
	return nil
}

// Get implements xdb.Backend.
func (t *Table) Get(_ context.Context, owner, ns string, keys []string, items []xdb.Item) ([]xdb.Item, error) {
	size := 0
	for _, it := range t.of(owner, ns) {
		if len(keys) > 0 && !slices.Contains(keys, it.Key) {
			continue
		}
		items = append(items, it)
		if size += len(it.Value); size > xdb.MaxBody && len(items) > 1 {
			return nil, xdb.TooLarge("the configuration is too long for one answer; query it by pages")
		}
	}
	return items, nil
}

// Query implements xdb.Backend.
func (t *Table) Query(_ context.Context, owner, ns string, q xdb.Query) (xdb.Page, error) {
	page := xdb.Page{Count: -1}
	items := t.of(owner, ns)
	if q.Count {
		page.Count = 0
		for range between(items, &q, q.Range) {
			page.Count++
		}
	}
	if q.Empty() {
		return page, nil
	}
	list := between(items, &q, q.Keys)
	if q.Reverse {
		slices.Reverse(list)
	}
	for _, it := range list {
		if page.Add(&q, it) {
			break
		}
	}
	return page, nil
}

// between returns the items whose keys are in a range, and that are about the
// address which the query asks for.
func between(items []xdb.Item, q *xdb.Query, keys func() (from, to string)) []xdb.Item {
	from, to := keys()
	return slices.DeleteFunc(slices.Clone(items), func(it xdb.Item) bool {
		return it.Key < from || to != "" && it.Key >= to || !q.Takes(it.With)
	})
}

// Change implements xdb.Backend: nothing can be changed.
func (t *Table) Change(context.Context, string, []xdb.Change) error { return readOnly() }

// Drop implements xdb.Backend: nothing can be taken away.
func (t *Table) Drop(context.Context, string, string, string) error { return readOnly() }

func readOnly() error {
	return packet.Refuse("not-allowed", "the running configuration is read only")
}

// Namespaces implements xdb.Backend.
func (t *Table) Namespaces(_ context.Context, owner string) ([]string, error) {
	if len(t.of(owner, NS)) == 0 {
		return nil, nil
	}
	return []string{NS}, nil
}

// Owners implements xdb.Backend.
func (t *Table) Owners(_ context.Context, domain, ns, after string, max int) ([]string, error) {
	if len(t.of(domain, cmp.Or(ns, NS))) == 0 || after >= packet.ServerHost || max < 1 {
		return nil, nil
	}
	return []string{packet.ServerHost}, nil
}
