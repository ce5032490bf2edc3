package file

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/maypok86/otter/v2"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// Options say how a folder is opened.
type Options struct {
	Sync    bool         // a change returns when it is on the disk
	Cache   int64        // bytes for the places of items
	MaxSize int64        // bytes of one file
	Log     *slog.Logger // nil is silent
}

// Store is an [xdb.Backend] in a folder. Make one with [Open].
type Store struct {
	dir  string
	opt  Options
	lock *os.File

	clock xdb.Clock
	lease lease

	seed   maphash.Seed
	owners [1024]sync.Mutex // by hash; what is about an owner is done under its lock
	opened atomic.Bool
	spaces *otter.Cache[string, *space] // by path

	mu         sync.Mutex
	unfinished map[string]string // batches that were not brought to their end: file by owner
}

// Open opens a folder, which it makes if need be.
func Open(dir string, o Options) (*Store, error) {
	s := new(Store)
	return s, s.open(dir, o)
}

// own is the folder for what is the store's own. No owner's folder is named so.
const own = ".store"

func (s *Store) open(dir string, o Options) (err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s.dir, s.opt, s.seed, s.unfinished = dir, o, maphash.MakeSeed(), map[string]string{}
	s.lease = lease{path: filepath.Join(dir, own, "clock")}
	s.spaces, err = otter.New(&otter.Options[string, *space]{
		MaximumWeight: uint64(o.Cache),
		Weigher:       func(path string, p *space) uint32 { return uint32(len(path)) + p.weight() },
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"batches", "dropped"} {
		if err := s.mkdir(filepath.Join(dir, own, name)); err != nil {
			return fmt.Errorf("open %s: %w", dir, err)
		}
	}
	if err := s.seize(); err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	if err := s.begin(); err != nil {
		return errors.Join(fmt.Errorf("open %s: %w", dir, err), s.lock.Close())
	}
	s.opened.Store(true)
	return nil
}

// seize makes sure that no other process uses the folder.
func (s *Store) seize() (err error) {
	if s.lock, err = os.OpenFile(filepath.Join(s.dir, own, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err = syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
		return nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errors.New("another process uses it")
	}
	return errors.Join(err, s.lock.Close())
}

// begin takes up where the process before has ended.
func (s *Store) begin() error {
	if err := s.lease.read(&s.clock); err != nil {
		return err
	}
	if err := s.finishBatches(); err != nil {
		return err
	}
	return s.finishDrops()
}

// Close waits for what is under way and lets go of the folder.
func (s *Store) Close() error {
	if !s.opened.Swap(false) {
		return nil
	}
	for i := range s.owners {
		s.owners[i].Lock()
		defer s.owners[i].Unlock()
	}
	return s.lock.Close()
}

var errClosed = errors.New("the folder is closed")

// enter locks an owner and finishes a batch of it that was cut short.
func (s *Store) enter(owner string) (leave func(), err error) {
	if !s.opened.Load() {
		return nil, errClosed
	}
	m := &s.owners[maphash.String(s.seed, owner)%uint64(len(s.owners))]
	m.Lock()
	if !s.opened.Load() {
		m.Unlock()
		return nil, errClosed
	}
	s.mu.Lock()
	path, unfinished := s.unfinished[owner]
	s.mu.Unlock()
	if unfinished {
		if err := s.finishBatch(path); err != nil {
			m.Unlock()
			return nil, err
		}
	}
	return m.Unlock, nil
}

// mkdir makes a folder and those above it.
func (s *Store) mkdir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	switch {
	case err == nil:
		return s.syncDir(filepath.Dir(dir))
	case errors.Is(err, os.ErrExist):
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	if err := s.mkdir(filepath.Dir(dir)); err != nil {
		return err
	}
	return s.mkdir(dir)
}

// syncDir brings the names in a folder to the disk.
func (s *Store) syncDir(dir string) error {
	if !s.opt.Sync {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (s *Store) syncFile(f *os.File) error {
	if !s.opt.Sync {
		return nil
	}
	return f.Sync()
}

// replace puts a file into the place of another, or of none, as a whole.
func (s *Store) replace(path string, write func(*os.File) error) error {
	name := path + ".tmp"
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		if err := s.mkdir(filepath.Dir(path)); err != nil {
			return err
		}
		f, err = os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	}
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = s.syncFile(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	if err := os.Rename(name, path); err != nil {
		return err
	}
	return s.syncDir(filepath.Dir(path))
}

// remove takes a file away, and its folder if that is empty then.
func (s *Store) remove(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.Remove(dir); err == nil {
		dir = filepath.Dir(dir)
	}
	return s.syncDir(dir)
}

// A lease keeps revisions from coming back after a restart on a machine whose
// clock was set back: a file says up to when the clock may have come.
type lease struct {
	path string
	mu   sync.Mutex
	end  atomic.Uint64
}

const leaseTime = xdb.Rev(60e9)

func (l *lease) read(clock *xdb.Clock) error {
	b, err := os.ReadFile(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	rev, err := xdb.ParseRev(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("%s has no revision; without the file, the machine's clock counts", l.path)
	}
	clock.Saw(rev)
	return nil
}

// stamp gives changes their revisions.
func (s *Store) stamp(changes []xdb.Change) error {
	s.clock.Stamp(changes)
	l := &s.lease
	if uint64(s.clock.Last()) <= l.end.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	last := s.clock.Last()
	if uint64(last) <= l.end.Load() {
		return nil
	}
	end := min(last+leaseTime, xdb.MaxRev)
	err := s.replace(l.path, func(f *os.File) error {
		_, err := f.WriteString(end.String() + "\n")
		return err
	})
	if err == nil {
		l.end.Store(uint64(end))
	}
	return err
}
