package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A segment is a file whose first record has the place start. It begins with
// a mark that tells the format.
type segment struct{ start Pos }

const (
	suffix = ".log"
	mark   = "jbdjrnl1"
)

func (s segment) name() string { return fmt.Sprintf("%016x%s", uint64(s.start), suffix) }

// Replayed says what Open found.
type Replayed struct {
	Records int
	Torn    bool     // the last record was not whole and was cut off
	Aside   []string // segments behind a damaged record, set aside as NAME.aside
}

// segments lists the segments of a folder in order.
func segments(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var segs []segment
	for _, e := range entries {
		hex, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		start, err := strconv.ParseUint(hex, 16, 64)
		if s := (segment{Pos(start)}); err == nil && s.name() == e.Name() {
			segs = append(segs, s)
		}
	}
	slices.SortFunc(segs, func(a, b segment) int {
		if a.start < b.start {
			return -1
		}
		return 1
	})
	return segs, nil
}

// replay reads all segments and makes the journal ready to append to the last.
// It ends at the first record that is not whole: nothing behind it counts,
// because a record stands for those before it.
func (j *Journal) replay(show func(Pos, []byte) error) (Replayed, error) {
	var done Replayed
	segs, err := segments(j.dir)
	if err != nil {
		return done, err
	}
	for i, s := range segs {
		if i > 0 && s.start != j.next {
			done.Torn = true
		}
		if done.Torn {
			return done, j.setAside(segs[i:], &done)
		}
		j.next = s.start
		j.segs = append(j.segs, s)
		if err := j.replaySegment(s, i == len(segs)-1, show, &done); err != nil {
			return done, fmt.Errorf("%s: %w", s.name(), err)
		}
	}
	j.durable = j.next
	return done, nil
}

// replaySegment reads one segment, cuts off what is not whole, and keeps the
// file open if it is the last.
func (j *Journal) replaySegment(s segment, last bool, show func(Pos, []byte) error, done *Replayed) error {
	f, err := os.OpenFile(filepath.Join(j.dir, s.name()), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	good, err := j.read(f, show, done)
	if err == nil && done.Torn {
		last = true
		err = f.Truncate(good)
	}
	if err == nil && last && good == 0 { // the mark itself is missing
		_, err = f.WriteAt([]byte(mark), 0)
		good = int64(len(mark))
	}
	if err != nil || !last {
		return errors.Join(err, f.Close())
	}
	j.file, j.size = f, good
	return nil
}

// read shows the records of a file and returns how much of it is good.
func (j *Journal) read(f *os.File, show func(Pos, []byte) error, done *Replayed) (good int64, err error) {
	r := bufio.NewReaderSize(f, 256<<10)
	head := make([]byte, len(mark))
	switch _, err := io.ReadFull(r, head); {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		done.Torn = true
		return 0, nil
	case err != nil:
		return 0, err
	case !bytes.Equal(head, []byte(mark)):
		return 0, errors.New("is no journal of this version")
	}
	good = int64(len(mark))
	var buf []byte
	for {
		buf, err = readFrame(r, j.next, buf)
		switch {
		case err == io.EOF:
			return good, nil
		case err == errTorn:
			done.Torn = true
			return good, nil
		case err != nil:
			return good, err
		}
		if err := show(j.next, buf); err != nil {
			return good, err
		}
		done.Records++
		j.next += Pos(frameSize(len(buf)))
		good += int64(frameSize(len(buf)))
	}
}

// setAside renames segments that cannot count, so that they can be looked into.
func (j *Journal) setAside(segs []segment, done *Replayed) error {
	for _, s := range segs {
		path := filepath.Join(j.dir, s.name())
		if err := os.Rename(path, path+".aside"); err != nil {
			return err
		}
		done.Aside = append(done.Aside, s.name()+".aside")
	}
	j.durable = j.next
	return nil
}

// rotate begins a segment.
func (j *Journal) rotate(start Pos) error {
	s := segment{start}
	f, err := os.OpenFile(filepath.Join(j.dir, s.name()), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write([]byte(mark)); err == nil && j.o.Sync {
		err = syncDir(j.dir)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	if j.file != nil {
		if err := j.file.Close(); err != nil {
			return errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}
	j.file, j.size = f, int64(len(mark))
	j.mu.Lock()
	j.segs = append(j.segs, s)
	j.mu.Unlock()
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lock takes the journal for this process. The kernel gives it free when the
// process dies.
func lock(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s is locked by another process: %w", path, ctx.Err()), f.Close())
		case <-time.After(pause):
		}
	}
}
