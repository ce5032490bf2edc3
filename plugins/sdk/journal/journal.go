// Package journal keeps records in a file for the time in which their owner
// may die: what was promised to somebody and is not done yet.
//
// A [Journal] is a folder of segments to which records are only appended. Who
// opens it again after a death, be it kill -9 in the middle of a write, gets
// all records back in order, up to the last that was committed at least:
//
//	j, _, err := journal.Open(ctx, "data/sm", journal.Options{}, func(at journal.Pos, record []byte) error {
//		return state.replay(at, record)
//	})
//	...
//	at, err := j.Append(record)  // gathered, in order
//	...
//	err = j.Commit()             // now it outlives the process
//	...
//	err = j.Release(oldest)      // what is before is needed no more
//
// Commit writes at once all that everybody has appended until then, so that
// under load one write serves many. The records of a journal are no archive:
// its owner releases what it needs no more, and appends again the little that
// stays valid for long, so that the segments before can go.
package journal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// A Pos is the place of a record in the journal: the bytes of all records
// before it since the journal was made.
type Pos uint64

// Limits.
const (
	MaxRecord  = 16 << 20 // bytes in one record
	maxPending = 64 << 20 // bytes appended while writing does not succeed

	defaultSegment = 16 << 20
)

// ErrFull is returned by Append while the records before cannot be written.
var ErrFull = errors.New("the journal cannot be written and its memory is full")

// Options are the settings of a journal.
type Options struct {
	// Sync makes Commit wait for the disk, so that records outlive the
	// machine. Without it they outlive the process.
	Sync bool
	// Segment is the size at which a new segment is begun, in bytes; 0 is
	// 16 MiB. A segment is the least that can be released.
	Segment int64
}

// A Journal is an open journal. Its methods are for concurrent use.
type Journal struct {
	dir  string
	o    Options
	lock *os.File

	mu      sync.Mutex
	written sync.Cond // durable, writing or err have changed
	pending []byte    // appended, nobody writes it yet
	spare   []byte    // the buffer to use next
	next    Pos       // of the record after the last appended
	durable Pos       // the records before are as durable as the options say
	writing bool      // somebody writes; file belongs to that one
	closed  bool
	broken  error // the disk refused to sync: what it has is unknown
	segs    []segment

	file *os.File // of the last segment
	size int64    // of that file
}

// Append adds a record behind all others, without writing it, and returns its
// place. The record is copied. A journal that can be written refuses only a
// record that is empty or longer than [MaxRecord].
func (j *Journal) Append(record []byte) (Pos, error) {
	if len(record) == 0 || len(record) > MaxRecord {
		return 0, fmt.Errorf("a record of %d bytes", len(record))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return 0, os.ErrClosed
	case j.broken != nil:
		return 0, j.broken
	case len(j.pending)+len(record) > maxPending:
		return 0, ErrFull
	}
	at := j.next
	j.pending = appendFrame(j.pending, at, record)
	j.next += Pos(frameSize(len(record)))
	return at, nil
}

// Commit returns when all records that were appended before are durable. After
// an error some of them may be, and a later Commit tries again.
func (j *Journal) Commit() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.commit(j.next)
}

// CommitTo is Commit for the records up to the one at a place, that included.
func (j *Journal) CommitTo(at Pos) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.commit(min(at, math.MaxUint64-1) + 1)
}

func (j *Journal) commit(to Pos) error {
	to = min(to, j.next)
	for j.durable < to {
		switch {
		case j.broken != nil:
			return j.broken
		case j.closed:
			return os.ErrClosed
		case j.writing:
			j.written.Wait()
		default:
			if err := j.writeGroup(); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeGroup writes all that is pending. The lock is held, but not while writing.
func (j *Journal) writeGroup() error {
	group, upto := j.pending, j.next
	j.pending, j.spare = j.spare[:0], nil
	j.writing = true
	j.mu.Unlock()
	err := j.write(group, upto-Pos(len(group)))
	j.mu.Lock()
	j.writing = false
	var lost *syncError
	switch {
	case errors.As(err, &lost):
		j.broken = err
	case err != nil: // it stays first in line; what was written of it is written over
		j.pending = append(group, j.pending...)
	default:
		j.durable = upto
		j.spare = keep(group)
	}
	j.written.Broadcast()
	return err
}

// keep returns a buffer to use again, unless it grew out of the usual.
func keep(b []byte) []byte {
	if cap(b) > 1<<20 {
		return nil
	}
	return b[:0]
}

// write puts a group behind what is in the last segment, or into a new one.
func (j *Journal) write(group []byte, start Pos) error {
	if j.file == nil || j.size >= j.o.Segment {
		if err := j.rotate(start); err != nil {
			return err
		}
	}
	if _, err := j.file.WriteAt(group, j.size); err != nil {
		return err
	}
	if j.o.Sync {
		if err := j.file.Sync(); err != nil {
			return &syncError{err}
		}
	}
	j.size += int64(len(group))
	return nil
}

// A syncError leaves open what the disk has: trying again would not tell.
type syncError struct{ error }

func (e *syncError) Unwrap() error { return e.error }

// Durable returns the place up to which records are durable.
func (j *Journal) Durable() Pos {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable
}

// Next returns the place of the record that is appended next.
func (j *Journal) Next() Pos {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next
}

// Size returns the bytes that the segments take, about.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segs) == 0 {
		return 0
	}
	return int64(j.next - j.segs[0].start)
}

// Release says that the records before a place are needed no more. Segments
// that hold no others are removed.
func (j *Journal) Release(before Pos) error {
	j.mu.Lock()
	n := 0
	for n+1 < len(j.segs) && j.segs[n+1].start <= before {
		n++
	}
	gone := slices.Clone(j.segs[:n])
	j.segs = slices.Delete(j.segs, 0, n)
	j.mu.Unlock()
	for _, s := range gone {
		if err := os.Remove(filepath.Join(j.dir, s.name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Close commits what was appended and lets go of the folder.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	err := j.commit(j.next)
	for j.writing {
		j.written.Wait()
	}
	j.closed = true
	j.written.Broadcast()
	if j.file != nil {
		err = errors.Join(err, j.file.Close())
	}
	return errors.Join(err, j.lock.Close())
}

// Open opens the journal in a folder, which is made if there is none, and shows
// its records in order to replay; record is valid until it returns. An error
// of replay ends Open. While another process has the journal, Open waits for
// it until ctx is done.
func Open(ctx context.Context, dir string, o Options, replay func(at Pos, record []byte) error) (*Journal, Replayed, error) {
	if o.Segment <= 0 {
		o.Segment = defaultSegment
	}
	j := &Journal{dir: dir, o: o}
	j.written.L = &j.mu
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, Replayed{}, err
	}
	var err error
	if j.lock, err = lock(ctx, filepath.Join(dir, "lock")); err != nil {
		return nil, Replayed{}, err
	}
	done, err := j.replay(replay)
	if err != nil {
		return nil, done, errors.Join(err, j.lock.Close())
	}
	return j, done, nil
}
