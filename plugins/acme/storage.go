package acme

import (
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// What certmagic keeps is in storage under one owner, a host, in two
// namespaces: what it calls files, and its locks.
const (
	filesNS = "acme"
	locksNS = "acme-locks"
)

// storage is what certmagic keeps things in: files with paths for keys. The
// value of an item is the time at which it was written and its bytes, base64.
type storage struct {
	store *xdb.Store
	owner string

	mu   sync.Mutex
	held map[string]*lock
}

func newStorage(store *xdb.Store, owner string) *storage {
	return &storage{store: store, owner: owner, held: map[string]*lock{}}
}

var _ certmagic.Storage = (*storage)(nil)

// String names it in certmagic's log.
func (s *storage) String() string { return "xdb of " + s.owner }

func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	text := strconv.FormatInt(time.Now().Unix(), 10) + " " + base64.StdEncoding.EncodeToString(value)
	_, err := s.store.Put(ctx, s.owner, filesNS, key, []byte(text))
	return err
}

func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	_, value, err := s.read(ctx, key)
	return value, err
}

// read returns what is at a key; if there is nothing, the error is fs.ErrNotExist.
func (s *storage) read(ctx context.Context, key string) (written time.Time, value []byte, err error) {
	it, found, err := s.store.Get(ctx, s.owner, filesNS, key)
	if err == nil && !found {
		err = fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	if err != nil {
		return written, nil, err
	}
	at, text, _ := strings.Cut(string(it.Value), " ")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err == nil {
		value, err = base64.StdEncoding.DecodeString(text)
	}
	if err != nil {
		return written, nil, fmt.Errorf("%s in storage: %w", key, err)
	}
	return time.Unix(seconds, 0), value, nil
}

func (s *storage) Delete(ctx context.Context, key string) error {
	below, err := s.List(ctx, key, true)
	if err != nil {
		return err
	}
	for _, k := range append(below, key) {
		if err := s.store.Delete(ctx, s.owner, filesNS, k); err != nil {
			return err
		}
	}
	return nil
}

func (s *storage) Exists(ctx context.Context, key string) bool {
	_, err := s.Stat(ctx, key)
	return err == nil
}

func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	written, value, err := s.read(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: written, Size: int64(len(value)), IsTerminal: true}, nil
	}
	if below, listed := s.List(ctx, key, true); listed == nil && len(below) > 0 {
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, err
}

// List returns the keys below a path: all of them, or those of the next level.
func (s *storage) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	prefix := strings.TrimSuffix(path, "/") + "/"
	if path == "" {
		prefix = ""
	}
	var all []string
	for after := prefix; ; {
		page, err := s.store.Keys(ctx, s.owner, filesNS, xdb.Query{After: after, Max: xdb.MaxPage})
		if err != nil {
			return nil, err
		}
		for _, it := range page.Items {
			rest, below := strings.CutPrefix(it.Key, prefix)
			if !below {
				return all, nil // keys are in order
			}
			if name, _, deeper := strings.Cut(rest, "/"); deeper && !recursive {
				rest = name
			}
			if n := len(all); n == 0 || all[n-1] != prefix+rest {
				all = append(all, prefix+rest)
			}
			after = it.Key
		}
		if !page.More || len(page.Items) == 0 {
			return all, nil
		}
	}
}
