package certs

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// lookEvery is how often files are looked at, at most.
const lookEvery = 3 * time.Second

// files are the pairs of files that certificates are read from. Whoever looks
// holds the lock.
type files struct {
	sync.Mutex
	pairs map[place]*pair
}

// A place is where a certificate and its key are; one file may be both.
type place struct{ cert, key string }

// A pair is what was read from a place.
type pair struct {
	stamp  stamp // of what was read last, right or not
	cert   *tls.Certificate
	warned time.Time // of its expiry
}

// A stamp changes when one of two files does, also when a link in a path to
// it leads elsewhere.
type stamp struct {
	modified [2]time.Time
	size     [2]int64
}

func stampOf(p place) (stamp, error) {
	var s stamp
	for i, name := range []string{p.cert, p.key} {
		info, err := os.Stat(name)
		if err != nil {
			return s, err
		}
		s.modified[i], s.size[i] = info.ModTime(), info.Size()
	}
	return s, nil
}

// lookSoon has files looked at if that was long ago, on a goroutine of its own.
func (s *Store) lookSoon() {
	now := time.Now()
	last := s.looked.Load()
	if now.UnixNano()-last > int64(lookEvery) && s.looked.CompareAndSwap(last, now.UnixNano()) {
		go s.look(now, false)
	}
}

// look reads what has changed and puts it on the shelf. At the start, what the
// arguments name has to be right.
func (s *Store) look(now time.Time, start bool) error {
	s.files.Lock()
	defer s.files.Unlock()
	read := make(map[place]*pair, len(s.files.pairs))
	next := &shelf{byName: map[string]*tls.Certificate{}}
	var wrong []error
	get := func(p place) *tls.Certificate {
		if read[p] == nil {
			var err error
			if read[p], err = s.read(p, s.files.pairs[p], now); err != nil {
				wrong = append(wrong, err)
			}
		}
		return read[p].cert
	}
	for _, n := range s.args.Named {
		if c := get(s.place(n.Cert, cmp.Or(n.Key, n.Cert))); c != nil {
			_, ascii := spell(n.Name)
			next.put(ascii, c)
		}
	}
	if s.args.Cert != "" {
		if next.other = get(s.place(s.args.Cert, s.args.Key)); next.other != nil {
			next.putNames(next.other)
		}
	}
	if err := errors.Join(wrong...); start && err != nil {
		return err
	}
	s.lookInFolder(next, get)
	for _, err := range wrong {
		s.env.Log().Error(err.Error())
	}
	s.files.pairs = read
	s.shown.Store(next)
	return nil
}

func (s *Store) place(cert, key string) place { return place{s.env.Path(cert), s.env.Path(key)} }

// lookInFolder puts what is in the folder on the shelf: first under the names
// of the files, then under those that the certificates say.
func (s *Store) lookInFolder(next *shelf, get func(place) *tls.Certificate) {
	if s.args.Folder == "" {
		return
	}
	folder := s.env.Path(s.args.Folder)
	found := placesIn(folder)
	certs := map[string]*tls.Certificate{}
	for name, p := range found {
		// What we have signed ourselves is for hosts that have nothing else.
		if c := get(p); c != nil && !isMade(c.Leaf) {
			certs[name] = c
		}
	}
	order := slices.SortedFunc(maps.Keys(certs), func(a, b string) int {
		return cmp.Or(-certs[a].Leaf.NotAfter.Compare(certs[b].Leaf.NotAfter), cmp.Compare(a, b))
	})
	for _, name := range order {
		_, ascii := spell(name)
		next.put(ascii, certs[name])
	}
	for _, name := range order {
		next.putNames(certs[name])
	}
}

// placesIn finds certificates with keys in a folder, by the names of their
// files. A folder that is not there has none.
func placesIn(folder string) map[string]place {
	found := map[string]place{}
	entries, _ := os.ReadDir(folder)
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		switch name, ext := strings.TrimSuffix(e.Name(), filepath.Ext(e.Name())), filepath.Ext(e.Name()); {
		case ext == ".crt" && isFile(filepath.Join(folder, name+".key")):
			found[name] = place{path, filepath.Join(folder, name+".key")}
		case ext == ".pem" && isFile(filepath.Join(folder, name+".key")):
			found[name] = place{path, filepath.Join(folder, name+".key")}
		case ext == ".pem" && isFile(path):
			found[name] = place{path, path}
		case isFile(filepath.Join(path, "fullchain.pem")):
			found[e.Name()] = place{filepath.Join(path, "fullchain.pem"), filepath.Join(path, "privkey.pem")}
		}
	}
	return found
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// read returns what is at a place, which is what was there unless the files
// have changed. If they are not right, it keeps what was read before and
// returns an error, once.
func (s *Store) read(p place, old *pair, now time.Time) (*pair, error) {
	stamp, err := stampOf(p)
	if old != nil && stamp == old.stamp {
		s.warnOfExpiry(p.cert, old, now)
		return old, nil
	}
	next := &pair{stamp: stamp}
	if err == nil {
		next.cert, err = load(p)
	}
	switch {
	case err != nil && (old == nil || old.cert == nil):
		return next, fmt.Errorf("certificate: %w", err)
	case err != nil:
		next.cert, next.warned = old.cert, old.warned
		return next, fmt.Errorf("certificate: %w; the one that was read before stays", err)
	case old != nil:
		s.env.Log().Info("read a new certificate", "file", p.cert, "names", strings.Join(names(next.cert.Leaf), " "),
			"expires", next.cert.Leaf.NotAfter.Format(time.DateOnly))
	}
	s.warnOfExpiry(p.cert, next, now)
	return next, nil
}

func load(p place) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.cert, err)
	}
	return &c, nil
}
