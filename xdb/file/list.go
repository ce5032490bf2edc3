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
	shards, err := entriesOf(s.domainDir(domain))
	if err != nil || domain == "" {
		return nil, err
	}
	afterShard, afterName := "", ""
	if after != "" {
		afterShard, afterName = shardOf(rest(after)), escaped(rest(after))
	}
	for _, shard := range shards {
		if shard.Name() < afterShard {
			continue
		}
		dir := filepath.Join(s.domainDir(domain), shard.Name())
		folders, err := entriesOf(dir)
		if err != nil {
			return nil, err
		}
		for _, f := range folders {
			if shard.Name() == afterShard && f.Name() <= afterName {
				continue
			}
			if len(owners) == max {
				return owners, nil
			}
			owner, has, err := s.ownerIn(filepath.Join(dir, f.Name()), domain, ns)
			if err != nil {
				return nil, err
			}
			if has {
				owners = append(owners, owner)
			}
		}
	}
	return owners, nil
}

// ownerIn returns whose a folder is, and whether it has items in a namespace,
// or with ns "" any.
func (s *Store) ownerIn(dir, domain, ns string) (owner string, has bool, err error) {
	files, err := entriesOf(dir)
	if err != nil {
		return "", false, err
	}
	some := ""
	for _, f := range files {
		if strings.HasSuffix(f.Name(), suffix) && (ns == "" || f.Name() == escaped(ns)+suffix) {
			some = f.Name()
			break
		}
	}
	if some == "" {
		return "", false, nil
	}
	name, whole := unescaped(filepath.Base(dir))
	if whole {
		return ownerOf(domain, name), true, nil
	}
	owner, _, err = headerOf(filepath.Join(dir, some))
	return owner, err == nil, err
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
