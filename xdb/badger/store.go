package badger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"syscall"

	badgerdb "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/ristretto/v2/z"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// Options say how a database is opened.
type Options struct {
	Sync  bool         // a change returns when it is on the disk
	Cache int64        // bytes for indices, and a quarter as many for blocks
	Log   *slog.Logger // nil is silent
}

// Store is an [xdb.Backend] in a folder. Make one with [Open].
type Store struct {
	dir   string
	db    *badgerdb.DB
	room  room // for the writer
	clock xdb.Clock
	queue chan *request
	ended chan struct{} // the writer has ended

	closing sync.RWMutex // held while something is asked
	closed  bool

	mu        sync.Mutex
	committed uint64         // what readers see
	readers   map[uint64]int // how many see which commit
}

// What is in the memory of the database before it goes to its tables. A
// transaction can have 15 % of it.
const memtable = 16 << 20

// Values from this size on are written beside the tables, into the value log.
// That is as much as the database allows, since what is gone from the value
// log is found out only when the tables are compacted that pointed to it: with
// small pointers and large values, very late.
const large = 1 << 20

// Open opens the database in a folder, which it makes if need be.
func Open(dir string, o Options) (*Store, error) {
	s := new(Store)
	return s, s.open(dir, o)
}

func (s *Store) open(dir string, o Options) error {
	opt := badgerdb.DefaultOptions(dir).
		WithSyncWrites(o.Sync).
		WithMemTableSize(memtable).
		WithNumMemtables(2).
		WithValueThreshold(large).
		WithValueLogFileSize(64 << 20).
		WithBlockCacheSize(o.Cache / 4). // what is read again and again is in a cache before the store
		WithIndexCacheSize(o.Cache).
		WithNumCompactors(2).
		WithDetectConflicts(false). // there is one writer
		WithMetricsEnabled(false).
		WithVerifyValueChecksum(true).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithLogger(logger(o.Log))
	db, err := openAnew(opt)
	if errors.Is(err, syscall.EWOULDBLOCK) || err != nil && strings.Contains(err.Error(), "directory lock") {
		return fmt.Errorf("open %s: another process uses it", dir)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	s.dir, s.db, s.room.free = dir, db, diskFree
	s.committed = db.MaxVersion()
	s.clock.Saw(xdb.Rev(s.committed))
	s.readers = map[uint64]int{}
	db.SetDiscardTs(s.committed)
	s.queue = make(chan *request, 256)
	s.ended = make(chan struct{})
	go s.write()
	if err := s.resume(); err != nil {
		return errors.Join(fmt.Errorf("open %s: %w", dir, err), s.Close())
	}
	return nil
}

// openAnew opens the database, also where its process was killed after it had
// created a file and before it had given it a size. badger refuses such a file,
// each once, since it makes it a whole one meanwhile.
func openAnew(opt badgerdb.Options) (*badgerdb.DB, error) {
	const most = 8 // files that are made at once, and some
	for i := 0; ; i++ {
		db, err := badgerdb.OpenManaged(opt)
		if err == nil || i == most || !strings.Contains(err.Error(), z.NewFile.Error()) {
			return db, err
		}
	}
}

// Close waits for what is under way and closes the database.
func (s *Store) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	if s.db == nil || s.closed {
		return nil
	}
	s.closed = true
	close(s.queue)
	<-s.ended
	return s.db.Close()
}

var errClosed = errors.New("the database is closed")

// enter keeps the database open until leave.
func (s *Store) enter() error {
	s.closing.RLock()
	if s.closed || s.db == nil {
		s.closing.RUnlock()
		return errClosed
	}
	return nil
}

func (s *Store) leave() { s.closing.RUnlock() }

// Collect gives the room of large values that are gone back to the disk.
func (s *Store) Collect(ctx context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	for ctx.Err() == nil {
		switch err := s.db.RunValueLogGC(0.5); {
		case errors.Is(err, badgerdb.ErrNoRewrite), errors.Is(err, badgerdb.ErrRejected):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// read calls f with a view of the state after the last commit.
func (s *Store) read(f func(*badgerdb.Txn) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	at := s.beginRead()
	defer s.endRead(at)
	txn := s.db.NewTransactionAt(at, false)
	defer txn.Discard()
	return f(txn)
}

func (s *Store) beginRead() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers[s.committed]++
	return s.committed
}

func (s *Store) endRead(at uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readers[at]--; s.readers[at] == 0 {
		delete(s.readers, at)
	}
}

// advance shows readers a commit and lets go of what no reader can see.
func (s *Store) advance(commit uint64) {
	s.mu.Lock()
	s.committed = commit
	oldest := commit
	for at := range s.readers {
		oldest = min(oldest, at)
	}
	s.mu.Unlock()
	s.db.SetDiscardTs(oldest)
}

// log passes on what the database has to say.
type log struct{ *slog.Logger }

func logger(l *slog.Logger) badgerdb.Logger {
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	return log{l}
}

func (l log) say(level slog.Level, format string, values []any) {
	if l.Enabled(context.Background(), level) {
		l.Log(context.Background(), level, strings.TrimSpace(fmt.Sprintf(format, values...)))
	}
}

// Debugf drops what is said of each write.
func (l log) Debugf(string, ...any) {}

func (l log) Errorf(format string, values ...any)   { l.say(slog.LevelError, format, values) }
func (l log) Warningf(format string, values ...any) { l.say(slog.LevelWarn, format, values) }
func (l log) Infof(format string, values ...any)    { l.say(slog.LevelDebug, format, values) }

// fits reports whether a transaction has room for so many entries and bytes
// more, with a reserve for what the database itself adds to each.
func (s *Store) fits(entries, bytes int) bool {
	const overhead = 64
	return int64(entries) < s.db.MaxBatchCount()-2 && int64(bytes+overhead*entries) < s.db.MaxBatchSize()-4<<10 && bytes < math.MaxInt32
}
