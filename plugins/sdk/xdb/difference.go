package xdb

import (
	"context"
	"errors"

	"github.com/jabberii/server/jabberd/packet"
)

// A Difference is what one store has of a namespace otherwise than another.
type Difference struct {
	Owner, NS string
	From, To  *Store // the one that is right, and the one that is to become like it
}

// Copy makes To like From: items that it lacks or has of another revision are
// copied, others taken away. It moves only what differs. While the namespace is
// changed meanwhile something may still be different in the end.
func (d *Difference) Copy(ctx context.Context) error {
	from, to := &keys{store: d.From, d: d}, &keys{store: d.To, d: d}
	var wanted []string
	var stray []Change
	for {
		a, okA, errA := from.peek(ctx)
		b, okB, errB := to.peek(ctx)
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		if !okA && !okB {
			break
		}
		switch {
		case !okB || okA && a.Key < b.Key:
			wanted = append(wanted, a.Key)
			from.next()
		case !okA || b.Key < a.Key:
			stray = append(stray, Change{Op: Delete, NS: d.NS, Key: b.Key, Rev: b.Rev, Copy: true})
			to.next()
		default:
			if a.Rev != b.Rev {
				wanted = append(wanted, a.Key)
			}
			if a.Rev < b.Rev { // or it would stay, as the newer one
				stray = append(stray, Change{Op: Delete, NS: d.NS, Key: b.Key, Rev: b.Rev, Copy: true})
			}
			from.next()
			to.next()
		}
		if len(wanted) >= few || len(stray) >= few {
			if err := d.move(ctx, stray, wanted); err != nil {
				return err
			}
			wanted, stray = wanted[:0], stray[:0]
		}
	}
	return d.move(ctx, stray, wanted)
}

// few is how many items are moved at once.
const few = 100

// move takes stray items away and copies those that are wanted.
func (d *Difference) move(ctx context.Context, stray []Change, wanted []string) error {
	if len(stray) > 0 {
		if err := d.To.Copy(ctx, d.Owner, d.NS, stray); err != nil {
			return err
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	items, err := d.From.GetAll(ctx, d.Owner, d.NS, wanted...)
	if tooLarge(err) && len(wanted) > 1 {
		half := len(wanted) / 2
		if err := d.move(ctx, nil, wanted[:half]); err != nil {
			return err
		}
		return d.move(ctx, nil, wanted[half:])
	}
	if err != nil || len(items) == 0 {
		return err
	}
	var changes []Change
	size := 0
	for i := range items {
		it := &items[i]
		if size += it.size(); size > MaxValue && len(changes) > 0 {
			if err := d.To.Copy(ctx, d.Owner, d.NS, changes); err != nil {
				return err
			}
			changes, size = changes[:0], it.size()
		}
		changes = append(changes, Change{Op: Put, NS: d.NS, Key: it.Key, With: it.With, Value: it.Value, Rev: it.Rev, Copy: true})
	}
	return d.To.Copy(ctx, d.Owner, d.NS, changes)
}

func tooLarge(err error) bool {
	var why *packet.Reject
	return errors.As(err, &why) && why.Condition == "resource-constraint"
}

// keys goes through the keys of a namespace, a page at a time.
type keys struct {
	store *Store
	d     *Difference
	page  Page
	at    int
	begun bool
}

// peek returns the next item, without its value, and whether there is one.
func (k *keys) peek(ctx context.Context) (it Item, ok bool, err error) {
	for k.at == len(k.page.Items) {
		if k.begun && !k.page.More {
			return it, false, nil
		}
		q := Query{Max: MaxPage, NoValue: true}
		if k.begun && k.at > 0 {
			q.After = k.page.Items[k.at-1].Key
		}
		if k.page, err = k.store.Keys(ctx, k.d.Owner, k.d.NS, q); err != nil {
			return it, false, err
		}
		if k.page.More && len(k.page.Items) == 0 {
			return it, false, errors.New("a page that is not the last is empty")
		}
		k.begun, k.at = true, 0
	}
	return k.page.Items[k.at], true, nil
}

func (k *keys) next() { k.at++ }
