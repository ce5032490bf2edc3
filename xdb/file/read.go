package file

import (
	"context"
	"strings"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// clone makes the entry stand on its own: its strings may be parts of a frame.
func (e entry) clone() entry {
	e.key, e.with = strings.Clone(e.key), strings.Clone(e.with)
	return e
}

// Get implements xdb.Backend.
func (s *Store) Get(_ context.Context, owner, ns string, keys []string, items []xdb.Item) ([]xdb.Item, error) {
	leave, err := s.enter(owner)
	if err != nil {
		return items, err
	}
	defer leave()
	p, err := s.space(owner, ns)
	if err != nil {
		return items, err
	}
	r := &reader{path: p.path}
	defer r.close()
	if len(keys) == 0 {
		return p.getAll(r, items)
	}
	for _, key := range keys {
		i, found := p.search(key)
		if !found {
			continue
		}
		it, err := r.item(&p.items[i])
		if err != nil {
			return items, err
		}
		items = append(items, it)
	}
	return items, nil
}

func (p *space) getAll(r *reader, items []xdb.Item) ([]xdb.Item, error) {
	if p.tail > xdb.MaxBody+xdb.MaxBody/2 && len(p.items) > 1 {
		return items, xdb.TooLarge("the namespace is too large for one answer; query it by pages")
	}
	if err := r.whole(p); err != nil {
		return items, err
	}
	for i := range p.items {
		it, err := r.item(&p.items[i])
		if err != nil {
			return items, err
		}
		items = append(items, it)
	}
	return items, nil
}

// Query implements xdb.Backend.
func (s *Store) Query(_ context.Context, owner, ns string, q xdb.Query) (page xdb.Page, err error) {
	page.Count = -1
	leave, err := s.enter(owner)
	if err != nil {
		return page, err
	}
	defer leave()
	p, err := s.space(owner, ns)
	if err != nil {
		return page, err
	}
	if q.Count {
		page.Count = 0
		for _, e := range p.between(q.Range()) {
			if q.Takes(e.with) {
				page.Count++
			}
		}
	}
	if q.Empty() {
		return page, nil
	}
	return page, p.fill(&page, &q)
}

// fill puts the items of a query into its page.
func (p *space) fill(page *xdb.Page, q *xdb.Query) error {
	r := &reader{path: p.path}
	defer r.close()
	entries := p.between(q.Keys())
	for i := range entries {
		e := &entries[i]
		if q.Reverse {
			e = &entries[len(entries)-1-i]
		}
		if !q.Takes(e.with) {
			continue
		}
		it := xdb.Item{Key: e.key, Rev: e.rev, With: e.with}
		if !q.NoValue {
			var err error
			if it, err = r.item(e); err != nil {
				return err
			}
		}
		if page.Add(q, it) {
			return nil
		}
	}
	return nil
}
