package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// entriesOf are the entries of a folder in the order of their names, none if
// it is not there.
func entriesOf(dir string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		err = nil
	}
	return entries, err
}

// headerOf reads the owner and the name of the namespace that a file has.
func headerOf(path string) (owner, ns string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	r := xml.NewReader(f, fileLimits)
	t, err := r.Next()
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", path, err)
	}
	return string(t.Attr("owner")), string(t.Attr("name")), nil
}

// Namespaces implements xdb.Backend.
func (s *Store) Namespaces(_ context.Context, owner string) (names []string, err error) {
	leave, err := s.enter(owner)
	if err != nil {
		return nil, err
	}
	defer leave()
	dir := s.ownerDir(owner)
	files, err := entriesOf(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name, isSpace := strings.CutSuffix(f.Name(), suffix)
		if !isSpace {
			continue
		}
		ns, whole := unescaped(name)
		if !whole {
			if _, ns, err = headerOf(filepath.Join(dir, f.Name())); err != nil {
				return nil, err
			}
		}
		names = append(names, ns)
	}
	slices.Sort(names)
	return names, nil
}

// Owners implements xdb.Backend.
func (s *Store) Owners(_ context.Context, domain, ns, after string, max int) (owners []string, err error) {
	if !s.opened.Load() {
		return nil, errClosed
	}
	folders, err := s.foldersOf(domain)
	if err != nil {
		return nil, err
	}
	for _, f := range folders {
		if len(owners) == max {
			break
		}
		if f.owner <= after {
			continue
		}
		some, err := spaceIn(f.path, ns)
		if err != nil {
			return nil, err
		}
		if some != "" {
			owners = append(owners, f.owner)
		}
	}
	return owners, nil
}

// A folder is that of an owner.
type folder struct{ owner, path string }

// foldersOf lists the folders of a domain in the order of owners. The shards
// have them in another.
func (s *Store) foldersOf(domain string) (all []folder, err error) {
	if domain == "" {
		return nil, nil
	}
	shards, err := entriesOf(s.domainDir(domain))
	if err != nil {
		return nil, err
	}
	for _, shard := range shards {
		dir := filepath.Join(s.domainDir(domain), shard.Name())
		folders, err := entriesOf(dir)
		if err != nil {
			return nil, err
		}
		for _, f := range folders {
			path := filepath.Join(dir, f.Name())
			owner, err := ownerIn(path, domain)
			if err != nil {
				return nil, err
			}
			if owner != "" {
				all = append(all, folder{owner, path})
			}
		}
	}
	slices.SortFunc(all, func(a, b folder) int { return strings.Compare(a.owner, b.owner) })
	return all, nil
}

// ownerIn returns whose a folder is, "" if that cannot be told since it is empty.
func ownerIn(dir, domain string) (owner string, err error) {
	if name, whole := unescaped(filepath.Base(dir)); whole {
		return ownerOf(domain, name), nil
	}
	some, err := spaceIn(dir, "")
	if err != nil || some == "" {
		return "", err
	}
	owner, _, err = headerOf(some)
	return owner, err
}

// spaceIn returns the file of a namespace in an owner's folder, with ns "" that
// of any, or "" if there is none.
func spaceIn(dir, ns string) (path string, err error) {
	files, err := entriesOf(dir)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), suffix) && (ns == "" || f.Name() == escaped(ns)+suffix) {
			return filepath.Join(dir, f.Name()), nil
		}
	}
	return "", nil
}

// Drop implements xdb.Backend.
func (s *Store) Drop(_ context.Context, owner, ns, before string) error {
	leave, err := s.enter(owner)
	if err != nil {
		return err
	}
	defer leave()
	if ns == "" {
		return s.dropOwner(owner)
	}
	p, err := s.space(owner, ns)
	if err != nil {
		return err
	}
	doomed := p.between("", before)
	if len(doomed) == 0 {
		return nil
	}
	e := &edit{space: p, removes: make(map[string]bool, len(doomed))}
	for i := range doomed {
		e.removes[doomed[i].key] = true
	}
	return s.apply([]*edit{e})
}

// dropOwner moves an owner's folder out of the way, which takes all of it away
// at once, and then empties it.
func (s *Store) dropOwner(owner string) error {
	dir := s.ownerDir(owner)
	gone := filepath.Join(s.dir, own, "dropped", s.clock.Next(1).String())
	err := os.Rename(dir, gone)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = errors.Join(s.syncDir(filepath.Dir(dir)), s.syncDir(filepath.Dir(gone)))
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

// finishDrops empties what the process before has dropped.
func (s *Store) finishDrops() error {
	dir := filepath.Join(s.dir, own, "dropped")
	gone, err := os.ReadDir(dir)
	for i := 0; i < len(gone) && err == nil; i++ {
		err = os.RemoveAll(filepath.Join(dir, gone[i].Name()))
	}
	return err
}

var _ xdb.Backend = (*Store)(nil)
