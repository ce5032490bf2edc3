package file

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// unfinished is how old a temporary file has to be to be nobody's.
const unfinished = time.Hour

// A tidy keeps order among the files that were put aside. What it does can be
// cut short at any time and is done again the next time.
type tidy struct {
	path     string
	keep     int // 0 is all
	compress bool
}

// do removes the oldest files and compresses the others.
func (t tidy) do(ctx context.Context) error {
	aside, err := t.aside()
	if err != nil {
		return err
	}
	var problems []error
	if extra := len(aside) - t.keep; t.keep > 0 && extra > 0 {
		for _, path := range aside[:extra] {
			problems = append(problems, os.Remove(path))
		}
		aside = aside[extra:]
	}
	for _, path := range aside {
		if t.compress && !strings.HasSuffix(path, ".gz") {
			problems = append(problems, pack(ctx, path))
		}
	}
	return errors.Join(problems...)
}

// aside returns the files that were put aside, oldest first. It removes what
// was left of a compression that was cut short.
func (t tidy) aside() ([]string, error) {
	dir, base := filepath.Split(t.path)
	entries, err := os.ReadDir(filepath.Clean(dir)) // sorted by name, which is by time
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), base+".")
		if !ok {
			continue
		}
		name, temporary := strings.CutSuffix(rest, ".tmp")
		when, _, _ := strings.Cut(name, "Z")
		if _, err := time.Parse(stamp, when+"Z"); err != nil {
			continue
		}
		path := filepath.Join(dir, e.Name())
		switch {
		case !temporary:
			paths = append(paths, path)
		case abandoned(e):
			os.Remove(path)
		}
	}
	return paths, nil
}

func abandoned(e fs.DirEntry) bool {
	info, err := e.Info()
	return err == nil && time.Since(info.ModTime()) > unfinished
}

// pack replaces a file by a compressed one with the same permissions and time.
func pack(ctx context.Context, path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("compress %s: %w", path, err)
		}
	}()
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	to, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(to.Name()) // gone by then if all went well
	defer to.Close()
	z := gzip.NewWriter(to)
	if _, err := io.Copy(z, untilDone{ctx, from}); err != nil {
		return err
	}
	if err := errors.Join(z.Close(), to.Chmod(info.Mode()), to.Sync(), to.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(to.Name(), time.Time{}, info.ModTime()); err != nil {
		return err
	}
	if err := os.Rename(to.Name(), path+".gz"); err != nil {
		return err
	}
	return os.Remove(path)
}

// untilDone is a reader that ends with its context.
type untilDone struct {
	ctx context.Context
	io.Reader
}

func (u untilDone) Read(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.Reader.Read(b)
}
