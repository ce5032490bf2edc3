package badger

import (
	"bytes"
	"context"
	"errors"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// A request is what the writer is asked to do: changes, or a drop.
type request struct {
	owner   string
	changes []xdb.Change
	drop    *drop
	err     error
	done    chan struct{}
}

// ask hands a request to the writer and waits for it. ctx matters only until
// the writer has it: then its outcome is waited for.
func (s *Store) ask(ctx context.Context, r *request) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	r.done = make(chan struct{})
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	<-r.done
	return r.err
}

// Change implements xdb.Backend.
func (s *Store) Change(ctx context.Context, owner string, changes []xdb.Change) error {
	return s.ask(ctx, &request{owner: owner, changes: changes})
}

// Waits implements xdb.Slow: the writer commits together what was asked meanwhile.
func (s *Store) Waits() bool { return true }

// write is the writer. It ends with the queue.
func (s *Store) write() {
	defer close(s.ended)
	g := &group{Store: s}
	for r := range s.queue {
		for r != nil {
			g.take(r)
			select {
			case r = <-s.queue: // nil when it is closed
			default:
				r = nil
			}
		}
		g.commit()
	}
}

// A group is the requests that are committed together.
type group struct {
	*Store
	txn            *badgerdb.Txn
	requests       []*request
	entries, bytes int
}

// take makes a request a part of the group, or answers it with an error.
func (g *group) take(r *request) {
	if g.txn == nil {
		g.txn = g.db.NewTransactionAt(g.committed, true) // the writer alone changes committed
	}
	if r.drop != nil {
		g.takeDrop(r)
		return
	}
	plan, err := g.plan(r)
	if err == nil && !g.fits(g.entries+plan.entries, g.bytes+plan.bytes) {
		if !g.fits(plan.entries, plan.bytes) {
			err = xdb.TooLarge("the changes are too large for one transaction")
		} else if len(g.requests) > 0 {
			g.commit()
			g.take(r)
			return
		}
	}
	if err != nil {
		r.end(err)
		return
	}
	g.requests = append(g.requests, r)
	g.entries += plan.entries
	g.bytes += plan.bytes
	if err := g.apply(r, plan); err != nil { // made in part: nothing of the group can stay
		g.end(err)
	}
}

func (r *request) end(err error) {
	r.err = err
	close(r.done)
}

// A plan is what the changes of a request come to.
type plan struct {
	effects        []xdb.Effect
	withs          []string // of the items that were there
	entries, bytes int
}

// plan decides the changes of a request, on top of those of the group.
func (g *group) plan(r *request) (p plan, err error) {
	if err := g.room.check(g.dir, r.changes); err != nil {
		return p, err
	}
	g.clock.Stamp(r.changes)
	p.effects, p.withs = make([]xdb.Effect, len(r.changes)), make([]string, len(r.changes))
	for i := range r.changes {
		c := &r.changes[i]
		var old *xdb.Item
		it, found, err := get(g.txn, append(spacePrefix(itemKey, r.owner, c.NS), c.Key...), c.Key)
		if err != nil {
			return p, err
		}
		if found {
			old = &it
		}
		if p.effects[i], err = c.Effect(old); err != nil {
			return p, err
		}
		p.withs[i] = it.With
		name := len(r.owner) + len(c.NS) + len(c.Key) + 8
		p.entries++
		p.bytes += name + len(c.With) + 12
		for _, with := range []string{it.With, c.With} { // where it was found, and is
			if with != "" {
				p.entries++
				p.bytes += name + len(with)
			}
		}
		if p.effects[i] == xdb.Write && len(c.Value) < large {
			p.bytes += len(c.Value)
		}
	}
	return p, nil
}

// apply makes the changes that were decided.
func (g *group) apply(r *request, p plan) error {
	for i := range r.changes {
		c := &r.changes[i]
		if p.effects[i] == xdb.Keep {
			continue
		}
		it := c.Item()
		if p.effects[i] == xdb.Remove {
			it.With = ""
		}
		if err := g.index(r.owner, c.NS, c.Key, p.withs[i], it.With); err != nil {
			return err
		}
		at, err := append(spacePrefix(itemKey, r.owner, c.NS), c.Key...), error(nil)
		if p.effects[i] == xdb.Remove {
			err = g.txn.Delete(at)
		} else {
			err = g.txn.Set(at, appendItem(make([]byte, 0, len(it.With)+len(it.Value)+12), &it))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// index makes an item be found by its address, which was another before.
func (g *group) index(owner, ns, key, was, is string) error {
	if was == is {
		return nil
	}
	bareWas, bareIs := packet.Bare(was), packet.Bare(is)
	if was != "" && (is == "" || bareWas != bareIs) {
		if err := g.txn.Delete(append(withPrefix(owner, ns, bareWas), key...)); err != nil {
			return err
		}
	}
	if is == "" {
		return nil
	}
	return g.txn.Set(append(withPrefix(owner, ns, bareIs), key...), []byte(is[len(bareIs):]))
}

// commit writes what the group has and answers its requests.
func (g *group) commit() {
	if g.txn == nil {
		return
	}
	var err error
	if len(g.requests) > 0 {
		at := uint64(g.clock.Last())
		if err = g.txn.Set([]byte(clockKey), nil); err == nil {
			err = g.txn.CommitAt(at, nil)
		}
		if err == nil {
			g.advance(at)
		}
	}
	g.end(err)
}

// end answers the requests of the group and makes it ready for others.
func (g *group) end(err error) {
	g.txn.Discard()
	for _, r := range g.requests {
		r.end(err)
	}
	clear(g.requests)
	*g = group{Store: g.Store, requests: g.requests[:0]}
}

// A drop takes away the items of a namespace, or with ns "" of an owner, whose
// keys are before one, or with "" all.
type drop struct {
	ns, before string
	marked     bool // the database knows of it
	more       bool // there are items left
}

// dropAtOnce is how many items a drop takes away in one transaction.
const dropAtOnce = 500

// Drop implements xdb.Backend.
func (s *Store) Drop(ctx context.Context, owner, ns, before string) error {
	return s.dropAll(ctx, owner, &drop{ns: ns, before: before})
}

func (s *Store) dropAll(ctx context.Context, owner string, d *drop) error {
	for {
		if err := s.ask(ctx, &request{owner: owner, drop: d}); err != nil || !d.more {
			return err
		}
		ctx = context.WithoutCancel(ctx) // it was begun
	}
}

// takeDrop takes away what one transaction can, alone in its group.
func (g *group) takeDrop(r *request) {
	g.commit()
	g.txn = g.db.NewTransactionAt(g.committed, true)
	g.requests = append(g.requests, r)
	if err := g.dropSome(r.owner, r.drop); err != nil {
		g.end(err)
		return
	}
	g.clock.Next(1)
	g.commit()
}

func (g *group) dropSome(owner string, d *drop) error {
	mark := append(append(append(ownerPrefix(dropKey, owner), d.ns...), 0), d.before...)
	prefix := ownerPrefix(itemKey, owner)
	if d.ns != "" {
		prefix = spacePrefix(itemKey, owner, d.ns)
	}
	doomed, err := doom(g.txn, prefix, d.before)
	if err != nil {
		return err
	}
	d.more = len(doomed) > dropAtOnce
	for _, it := range doomed[:min(len(doomed), dropAtOnce)] {
		ns, key := d.ns, string(it.at[len(prefix):])
		if ns == "" {
			ns, key = cut(it.at, len(prefix))
		}
		if err := errors.Join(g.index(owner, ns, key, it.with, ""), g.txn.Delete(it.at)); err != nil {
			return err
		}
	}
	switch {
	case d.more && !d.marked:
		d.marked = true
		return g.txn.Set(mark, nil)
	case !d.more && d.marked:
		return g.txn.Delete(mark)
	}
	return nil
}

type doomed struct {
	at   []byte
	with string
}

// doom finds the items that a transaction is to take away, and one more if
// there are more.
func doom(txn *badgerdb.Txn, prefix []byte, before string) (items []doomed, err error) {
	err = walk(txn, prefix, "", before, false, func(cursor *badgerdb.Iterator) (bool, error) {
		it, err := itemAt(cursor, len(prefix))
		if err != nil {
			return false, err
		}
		items = append(items, doomed{cursor.Item().KeyCopy(nil), it.With})
		return len(items) <= dropAtOnce, nil
	})
	return items, err
}

// resume brings drops to their end that were cut short.
func (s *Store) resume() error {
	type cutShort struct {
		owner string
		drop  *drop
	}
	var all []cutShort
	err := s.read(func(txn *badgerdb.Txn) error {
		return walk(txn, []byte{dropKey}, "", "", false, func(cursor *badgerdb.Iterator) (bool, error) {
			parts := bytes.Split(cursor.Item().KeyCopy(nil)[1:], []byte{0})
			if len(parts) != 4 {
				return false, errDamaged
			}
			all = append(all, cutShort{
				ownerOf(string(parts[0]), string(parts[1])),
				&drop{ns: string(parts[2]), before: string(parts[3]), marked: true},
			})
			return true, nil
		})
	})
	for i := 0; i < len(all) && err == nil; i++ {
		err = s.dropAll(context.Background(), all[i].owner, all[i].drop)
	}
	return err
}
