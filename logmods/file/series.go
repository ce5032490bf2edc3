package file

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	stamp      = "20060102T150405.000Z" // sorts by time
	checkEvery = time.Second            // for a file that was moved away
	retryAfter = time.Minute            // to put a file aside that could not be
)

// A series is the file with the path and those that were before it.
//
// A line is one system call, so that it is in the system's hands when its entry
// is claimed, and so that lines of several writers do not mix.
type series struct {
	path string
	mode fs.FileMode
	size int64
	age  time.Duration
	log  *slog.Logger

	aside chan struct{} // has an element after a file was put aside

	mu      sync.Mutex
	file    *os.File
	regular bool  // else it is a device, which is not rotated
	length  int64 // of the file
	period  int64 // of its last line
	torn    bool  // the last line was cut short
	checked time.Time
	retry   time.Time // not before this
}

// Write writes a line. If the file is gone, since somebody moved it away, it
// is begun anew within a second.
func (s *series) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if err := s.ready(now, int64(len(line))); err != nil {
		return 0, err
	}
	if s.torn {
		if _, err := s.file.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		s.torn = false
	}
	n, err := s.file.Write(line)
	s.length += int64(n)
	s.period = s.periodOf(now)
	s.torn = n > 0 && n < len(line)
	return n, err
}

// ready makes sure that the file is the right one for a line of n bytes.
func (s *series) ready(now time.Time, n int64) error {
	if s.file == nil || now.Sub(s.checked) >= checkEvery && s.moved(now) {
		if err := s.reopen(); err != nil {
			return err
		}
	}
	if !s.finished(now, n) || now.Before(s.retry) {
		return nil
	}
	if s.moved(now) { // another section writes to it too, and was first
		return s.reopen()
	}
	if err := s.putAside(now); err != nil {
		s.retry = now.Add(retryAfter) // a file that is too long is better than none
		s.log.Error("log file cannot be rotated and goes on", "file", s.path, "error", err)
		return nil
	}
	return s.reopen()
}

// finished reports whether a line of n bytes belongs into a new file.
func (s *series) finished(now time.Time, n int64) bool {
	full := s.size > 0 && s.length+n > s.size
	return s.regular && s.length > 0 && (full || s.periodOf(now) != s.period)
}

// moved reports whether the path is no longer that of the open file.
func (s *series) moved(now time.Time) bool {
	s.checked = now
	at, err := os.Stat(s.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	open, err := s.file.Stat()
	return err == nil && !os.SameFile(at, open)
}

// periodOf numbers the periods of the server's time zone.
func (s *series) periodOf(t time.Time) int64 {
	if s.age == 0 {
		return 0
	}
	_, offset := t.Zone()
	return (t.Unix() + int64(offset)) / int64(s.age/time.Second)
}

// putAside renames the file to one that says when that was.
func (s *series) putAside(now time.Time) error {
	to := ""
	for t := now.UTC(); ; t = t.Add(time.Millisecond) {
		to = s.path + "." + t.Format(stamp)
		_, plain := os.Lstat(to)
		_, packed := os.Lstat(to + ".gz")
		if plain != nil && packed != nil { // free, or Rename says what is wrong
			break
		}
		if t.Sub(now) > time.Minute {
			return fmt.Errorf("no free name beside %s", s.path)
		}
	}
	if err := os.Rename(s.path, to); err != nil {
		return err
	}
	select {
	case s.aside <- struct{}{}:
	default:
	}
	return nil
}

// Reopen opens the path anew.
func (s *series) Reopen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reopen()
}

// reopen keeps the open file if the path can't be opened.
func (s *series) reopen() error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o750); err != nil {
		return err
	}
	if at, err := os.Stat(s.path); err == nil && at.Mode().Type()&^(fs.ModeDevice|fs.ModeCharDevice) != 0 {
		return fmt.Errorf("open %s: is no file", s.path) // a pipe would wait for a reader
	}
	file, err := os.OpenFile(s.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, s.mode)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	if s.file != nil {
		s.file.Close()
	}
	s.file, s.checked, s.torn = file, time.Now(), false
	s.regular, s.length, s.period = info.Mode().IsRegular(), info.Size(), s.periodOf(info.ModTime())
	return nil
}

// Close closes the file. A line that is written later opens it again.
func (s *series) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
