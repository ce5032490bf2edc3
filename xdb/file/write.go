package file

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Change implements xdb.Backend.
func (s *Store) Change(_ context.Context, owner string, changes []xdb.Change) error {
	leave, err := s.enter(owner)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.stamp(changes); err != nil {
		return err
	}
	edits, err := s.plan(owner, changes)
	switch {
	case err != nil:
		return err
	case len(edits) < 2:
		return s.apply(edits)
	}
	return s.applyBatch(owner, edits)
}

// Waits implements xdb.Slow.
func (s *Store) Waits() bool { return s.opt.Sync }

// An edit is what is to be done to a namespace.
type edit struct {
	*space
	writes  []*xdb.Change
	removes map[string]bool
	adds    bool // it does nothing but add items
	listed  bool
}

// plan decides what changes do to the files.
func (s *Store) plan(owner string, changes []xdb.Change) ([]*edit, error) {
	var edits []*edit
	byName := map[string]*edit{}
	for i := range changes {
		c := &changes[i]
		e := byName[c.NS]
		if e == nil {
			p, err := s.space(owner, c.NS)
			if err != nil {
				return nil, err
			}
			e = &edit{space: p, removes: map[string]bool{}, adds: true}
			byName[c.NS] = e
		}
		if err := e.decide(c); err != nil {
			return nil, err
		}
		if len(e.writes)+len(e.removes) > 0 && !e.listed {
			e.listed = true
			edits = append(edits, e)
		}
	}
	for _, e := range edits {
		if e.sizeAfter() > s.opt.MaxSize {
			return nil, xdb.TooLarge("the file of the namespace would be too large")
		}
	}
	return edits, nil
}

// decide decides a change.
func (e *edit) decide(c *xdb.Change) error {
	var old *xdb.Item
	if i, found := e.search(c.Key); found {
		at := &e.items[i]
		old = &xdb.Item{Key: at.key, Rev: at.rev, With: at.with}
		if c.Op == xdb.Append { // what is there may be the same
			r := &reader{path: e.path}
			defer r.close()
			it, err := r.item(at)
			if err != nil {
				return err
			}
			old = &it
		}
	}
	effect, err := c.Effect(old)
	switch {
	case err != nil:
		return err
	case effect == xdb.Write:
		e.writes = append(e.writes, c)
	case effect == xdb.Remove:
		e.removes[c.Key] = true
	}
	if effect != xdb.Keep && old != nil {
		e.adds = false
	}
	return nil
}

// sizeAfter is about how large the file will be.
func (e *edit) sizeAfter() int64 {
	n := e.file.size
	for _, c := range e.writes {
		n += int64(len(c.Key) + len(c.With) + len(c.Value) + 64)
		if i, found := e.search(c.Key); found {
			n -= int64(e.items[i].length)
		}
	}
	for key := range e.removes {
		if i, found := e.search(key); found {
			n -= int64(e.items[i].length)
		}
	}
	return n
}

func (s *Store) apply(edits []*edit) error {
	for _, e := range edits {
		write := s.rewrite
		if e.exists() && e.adds {
			write = s.add
		}
		if err := write(e); err != nil {
			s.spaces.Invalidate(e.path)
			return err
		}
	}
	return nil
}

// add writes items over the end tag of a file.
func (s *Store) add(e *edit) error {
	var b []byte
	if len(e.writes) > 1 {
		b = append(xml.AppendEmpty(b, "batch", "", "items", strconv.Itoa(len(e.writes))), '\n')
	}
	added := make([]entry, len(e.writes))
	for i, c := range e.writes {
		it := c.Item()
		start := len(b)
		b = it.AppendXML(b)
		added[i] = entry{it.Key, it.With, it.Rev, e.tail + int64(start), int32(len(b) - start)}.clone()
		b = append(b, '\n')
	}
	f, err := os.OpenFile(e.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(append(b, trailer...), e.tail)
	if err == nil {
		err = s.syncFile(f)
	}
	if err != nil {
		return errors.Join(err, s.end(f, e.tail)) // as it was
	}
	for _, a := range added {
		e.put(a)
	}
	e.tail += int64(len(b))
	return s.keep(e.space, f)
}

// rewrite writes the file anew, or takes it away if nothing is left.
func (s *Store) rewrite(e *edit) error {
	p := &space{path: e.path, owner: e.owner, ns: e.ns}
	kept := e.kept()
	if len(kept)+len(e.writes) == 0 {
		s.spaces.Invalidate(e.path)
		return s.remove(e.path)
	}
	r := &reader{path: e.path}
	defer r.close()
	if err := r.whole(e.space); err != nil {
		return err
	}
	var written *os.File
	err := s.replace(e.path, func(f *os.File) (err error) {
		written, err = os.Open(f.Name())
		if err != nil {
			return err
		}
		return p.write(f, r, kept, e.writes)
	})
	if written != nil {
		defer written.Close()
	}
	if err != nil {
		return err
	}
	return s.keep(p, written)
}

// kept are the items that stay as they are.
func (e *edit) kept() []entry {
	gone := e.removes
	if len(e.writes) > 0 {
		gone = make(map[string]bool, len(e.removes)+len(e.writes))
		for key := range e.removes {
			gone[key] = true
		}
		for _, c := range e.writes {
			gone[c.Key] = true
		}
	}
	kept := make([]entry, 0, len(e.items))
	for _, it := range e.items {
		if !gone[it.key] {
			kept = append(kept, it)
		}
	}
	return kept
}

// write writes a file with the items of another that are kept, and new ones.
func (p *space) write(f *os.File, r *reader, kept []entry, writes []*xdb.Change) error {
	// In the order of keys, for those who read it.
	all := &space{items: kept}
	fresh := make(map[string]*xdb.Change, len(writes))
	for _, c := range writes {
		fresh[c.Key] = c
		all.put(entry{key: c.Key, with: c.With, rev: c.Rev}.clone())
	}
	w := bufio.NewWriterSize(f, 64<<10)
	head := header(p.owner, p.ns)
	if _, err := w.Write(head); err != nil {
		return err
	}
	p.tail = int64(len(head))
	p.items = make([]entry, 0, len(all.items))
	for _, e := range all.items {
		var b []byte
		var err error
		if c := fresh[e.key]; c != nil {
			it := c.Item()
			b = it.AppendXML(nil)
		} else if b, err = r.raw(&e); err != nil {
			return err
		}
		e.at, e.length = p.tail, int32(len(b))
		p.items = append(p.items, e)
		p.tail += int64(len(b)) + 1
		if _, err := w.Write(append(b, '\n')); err != nil {
			return err
		}
	}
	if _, err := w.WriteString(trailer); err != nil {
		return err
	}
	return w.Flush()
}

// Changes in several files are written down first, in a file of their own. From
// then on they are made, if need be after a restart.
func (s *Store) applyBatch(owner string, edits []*edit) error {
	body := append([]byte("<batch"), xml.AppendAttr(nil, "owner", owner)...)
	body = append(body, ">\n"...)
	var done []byte
	for _, e := range edits {
		note := func(c *xdb.Change) {
			body = append(c.AppendXML(body, ""), '\n')
			done = append(xml.AppendEmpty(done, "done", "", "key", c.Key, "rev", c.Rev.String()), '\n')
		}
		for _, c := range e.writes {
			c := *c
			c.Check = false
			note(&c)
		}
		for key := range e.removes {
			note(&xdb.Change{Op: xdb.Delete, NS: e.ns, Key: key, Rev: s.clock.Last()})
		}
	}
	body = append(append(body, done...), "</batch>\n"...)
	path := filepath.Join(s.dir, own, "batches", s.clock.Next(1).String()+suffix)
	err := s.replace(path, func(f *os.File) error {
		_, err := f.Write(body)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.apply(edits); err != nil {
		s.mu.Lock()
		s.unfinished[owner] = path
		s.mu.Unlock()
		return fmt.Errorf("%w; it will be tried again", err)
	}
	return s.forgetBatch(owner, path)
}

func (s *Store) forgetBatch(owner, path string) error {
	s.mu.Lock()
	delete(s.unfinished, owner)
	s.mu.Unlock()
	if err := os.Remove(path); err != nil {
		return err
	}
	return s.syncDir(filepath.Dir(path))
}

// finishBatches makes the changes that were written down when the process
// before ended.
func (s *Store) finishBatches() error {
	dir := filepath.Join(s.dir, own, "batches")
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		if filepath.Ext(path) != suffix {
			continue
		}
		if err := s.finishBatch(path); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) finishBatch(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	owner, changes, err := readBatch(b)
	if err != nil {
		// It was put there as a whole, but perhaps not to the disk.
		aside := path + ".torn"
		s.opt.Log.Error("a batch was torn and is set aside", "file", path, "aside", aside, "error", err)
		return os.Rename(path, aside)
	}
	edits, err := s.plan(owner, changes)
	if err != nil {
		return err
	}
	if err := s.apply(edits); err != nil {
		return err
	}
	return s.forgetBatch(owner, path)
}

func readBatch(b []byte) (owner string, changes []xdb.Change, err error) {
	if err := xml.Check(b, xml.Limits{Bytes: 1 << 30, Depth: fileLimits.Depth}); err != nil {
		return "", nil, err
	}
	el, ok := xml.First(b, "")
	if !ok || !el.Is("batch", "") {
		return "", nil, errors.New("it is not a batch")
	}
	changes, err = xdb.ReadChanges(&packet.Packet{Name: "batch", Attrs: " replica='true'", Body: el.Inner()}, nil)
	return el.Attr("owner"), changes, err
}
