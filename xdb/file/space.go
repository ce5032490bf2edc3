package file

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A space is a namespace of an owner: where in its file the items are. It is
// used under its owner's lock only.
type space struct {
	path, owner, ns string

	items []entry // in the order of keys
	tail  int64   // where the end tag is, which additions are written over
	file  stamp   // what the file looked like; the zero stamp is no file
}

// An entry is an item in a file.
type entry struct {
	key, with string
	rev       xdb.Rev
	at        int64 // of the element
	length    int32
}

// A stamp tells whether a file was changed by somebody else.
type stamp struct {
	size, time int64
	inode      uint64
}

func stampOf(info os.FileInfo) stamp {
	st := stamp{size: info.Size(), time: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		st.inode = sys.Ino
	}
	return st
}

// weight is what a space takes in memory.
func (p *space) weight() uint32 {
	n := 300 + len(p.path) + len(p.owner) + len(p.ns)
	for i := range p.items {
		n += 56 + len(p.items[i].key) + len(p.items[i].with)
	}
	return uint32(n)
}

// space returns a namespace as it is in its file now. Its owner is locked.
func (s *Store) space(owner, ns string) (*space, error) {
	path := s.path(owner, ns)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		s.spaces.Invalidate(path)
		return &space{path: path, owner: owner, ns: ns}, nil
	}
	if err != nil {
		return nil, err
	}
	if p, ok := s.spaces.GetIfPresent(path); ok && p.file == stampOf(info) {
		return p, nil
	}
	p, err := s.load(path, owner, ns)
	if err != nil {
		return nil, err
	}
	s.spaces.Set(path, p)
	return p, nil
}

// keep remembers a space after its file was changed by ourselves.
func (s *Store) keep(p *space, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		s.spaces.Invalidate(p.path)
		return err
	}
	p.file = stampOf(info)
	s.spaces.Set(p.path, p)
	return nil
}

func (p *space) exists() bool { return p.file != stamp{} }

func (p *space) search(key string) (at int, found bool) {
	if n := len(p.items); n == 0 || p.items[n-1].key < key {
		return n, false // appended, mostly
	}
	return slices.BinarySearchFunc(p.items, key, func(e entry, key string) int { return strings.Compare(e.key, key) })
}

// put notes an item; it is another if it was there before.
func (p *space) put(e entry) {
	i, found := p.search(e.key)
	if found {
		p.items[i] = e
		return
	}
	p.items = slices.Insert(p.items, i, e)
}

// between returns the entries of keys from one to before another, "" being no end.
func (p *space) between(from, to string) []entry {
	lo, _ := p.search(from)
	hi := len(p.items)
	if to != "" {
		hi, _ = p.search(to)
	}
	return p.items[lo:max(lo, hi)]
}

// A reader reads items out of a space's file.
type reader struct {
	path string
	file *os.File
	data []byte // the whole file, if it was read
}

func (r *reader) close() {
	if r.file != nil {
		r.file.Close()
	}
}

// readWhole is up to which size a file is rather read whole than item by item.
const readWhole = 4 << 20

// whole reads the file whole, unless it is large, since most of its items are needed.
func (r *reader) whole(p *space) (err error) {
	if p.exists() && p.file.size <= readWhole {
		r.data, err = os.ReadFile(r.path)
	}
	return err
}

// raw returns the element of an item.
func (r *reader) raw(e *entry) (b []byte, err error) {
	end := e.at + int64(e.length)
	if int64(len(r.data)) >= end {
		return r.data[e.at:end:end], nil
	}
	if r.file == nil {
		if r.file, err = os.Open(r.path); err != nil {
			return nil, err
		}
	}
	b = make([]byte, e.length)
	if _, err := r.file.ReadAt(b, e.at); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, &os.PathError{Op: "read", Path: r.path, Err: err}
	}
	return b, nil
}

func (r *reader) item(e *entry) (xdb.Item, error) {
	it := xdb.Item{Key: e.key, Rev: e.rev, With: e.with}
	b, err := r.raw(e)
	if err != nil {
		return it, err
	}
	el, ok := xml.First(b, "")
	if !ok || !el.Is("item", "") {
		return it, &os.PathError{Op: "read", Path: r.path, Err: errors.New("it was changed by somebody else at the same time")}
	}
	it.Value = el.Inner()
	return it, nil
}
