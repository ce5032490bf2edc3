package server

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// staleName is the file in the data folder that says which copies are stale.
const staleName = "stale.json"

// Between tries to copy anew what is stale there is healSoon, then twice as
// long each time, at most healLate.
const (
	healSoon = time.Second
	healLate = 5 * time.Minute
)

// A healer copies anew what is stale, from the stores that own it. Methods but
// save are called by one goroutine.
type healer struct {
	*Server
	path   string
	saved  []byte
	pauses map[string]pause // by section
}

type pause struct {
	until time.Time
	next  time.Duration
}

func (s *Server) newHealer() (*healer, error) {
	h := &healer{Server: s, path: filepath.Join(s.plan.Data, staleName), pauses: map[string]pause{}}
	b, err := os.ReadFile(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	var stale []tree.Stale
	if err == nil {
		err = json.Unmarshal(b, &stale)
	}
	if err != nil {
		return nil, err
	}
	stale = slices.DeleteFunc(stale, func(st tree.Stale) bool { return !s.stores(st.Section) })
	s.engine.MarkStale(stale...)
	return h, nil
}

// stores reports whether a section is there and for storage.
func (s *Server) stores(section string) bool {
	for i := range s.sections {
		if s.sections[i].ID == section {
			return slices.Contains(s.sections[i].Kinds, packet.XDB) && !s.sections[i].Observe
		}
	}
	return false
}

// run heals until the server stops. What is stale is written down meanwhile too.
func (h *healer) run() {
	changed := make(chan struct{}, 1)
	h.keeping.Go(func() { h.heals(changed) })
	for {
		h.save()
		select {
		case changed <- struct{}{}:
		default:
		}
		select {
		case <-h.up.Done():
			return
		case <-h.engine.StaleChanged():
		}
	}
}

// heals heals when something has changed, and when it is time.
func (h *healer) heals(changed <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-h.up.Done():
			return
		case <-changed:
		case <-timer.C:
		}
		if next := h.round(); next > 0 {
			timer.Reset(next)
		}
	}
}

// save writes down what is stale, for the next core.
func (h *healer) save() {
	stale := h.engine.Stale()
	b, err := json.MarshalIndent(stale, "", "  ")
	if err != nil || string(b) == string(h.saved) {
		return
	}
	if len(stale) == 0 {
		err = os.Remove(h.path)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		err = replaceFile(h.path, b)
	}
	if err != nil {
		h.log.Error("what is stale cannot be written down, and will not be known after a restart: " + err.Error())
		return
	}
	h.saved = b
}

// replaceFile puts a file into the place of another, or of none, as a whole.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// round heals what can be healed now, and returns when to try again; 0 is when
// something changes.
func (h *healer) round() (next time.Duration) {
	sections := map[string][]tree.Stale{}
	for _, st := range h.engine.Stale() {
		sections[st.Section] = append(sections[st.Section], st)
	}
	maps.DeleteFunc(h.pauses, func(section string, _ pause) bool { return sections[section] == nil })
	for section, stale := range sections {
		p := h.pauses[section]
		wait := time.Until(p.until)
		if wait <= 0 {
			if h.all(stale) {
				delete(h.pauses, section)
				continue
			}
			p.next = min(max(2*p.next, healSoon), healLate)
			wait = p.next + rand.N(p.next/4)
			p.until = time.Now().Add(wait)
			h.pauses[section] = p
		}
		if next == 0 || wait < next {
			next = wait
		}
	}
	return next
}

// all heals what is stale in a section, and reports whether that worked. What the
// store refuses does not keep it from the rest.
func (h *healer) all(stale []tree.Stale) (healed bool) {
	healed = true
	for _, st := range stale {
		err := h.heal(h.up, st)
		if h.up.Err() != nil {
			return false
		}
		if err == nil {
			h.log.Info("a stale copy is whole again", "section", st.Section, "owner", st.Owner, "namespace", st.NS)
			continue
		}
		healed = false
		var why *packet.Reject
		if !errors.As(err, &why) {
			why = packet.Refuse("internal-server-error", err.Error())
		}
		h.engine.GaveUp(st, why)
		h.log.Warn("what is stale cannot be copied anew yet: "+err.Error(), "section", st.Section, "owner", st.Owner, "namespace", st.NS)
		if tree.Unreachable(why) {
			return false
		}
	}
	return healed
}

// heal copies what is stale.
func (h *healer) heal(ctx context.Context, st tree.Stale) error {
	h.engine.Mend(st)
	if st.Scope != tree.StaleStore {
		return h.owner(ctx, &st, st.Owner, func() { h.engine.Mended(st) })
	}
	domains := append([]string{""}, h.engine.Domains()...)
	for _, domain := range domains {
		if err := h.domain(ctx, &st, domain); err != nil {
			return err
		}
	}
	h.engine.Mended(st)
	return nil
}

// domain copies what the owners of a domain have.
func (h *healer) domain(ctx context.Context, st *tree.Stale, domain string) error {
	if domain == "" {
		return h.owner(ctx, st, "", nil)
	}
	all := xdb.New(h.engine, healing)
	after := ""
	for more := true; more; {
		var owners []string
		var err error
		owners, more, err = all.Owners(ctx, domain, "", after, xdb.MaxPage)
		if nobody(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, owner := range owners {
			if err := h.owner(ctx, st, owner, nil); err != nil {
				return err
			}
			after = owner
		}
	}
	return nil
}

// healing is who asks stores.
const healing = "jabberd heal"

// nobody reports whether an error says that no store takes the question.
func nobody(err error) bool {
	var why *packet.Reject
	return errors.As(err, &why) && why.Condition == "service-unavailable" && why.Text == ""
}

// owner copies what an owner has: once while it may be changed, and what was
// changed meanwhile while nobody can. Then it calls done.
func (h *healer) owner(ctx context.Context, st *tree.Stale, owner string, done func()) error {
	if err := h.spaces(ctx, st, owner); err != nil {
		return err
	}
	return h.engine.Alone(ctx, owner, func() error {
		err := h.spaces(ctx, st, owner)
		if err == nil && done != nil {
			done()
		}
		return err
	})
}

// spaces copies the namespaces of an owner that the section has copies of.
func (h *healer) spaces(ctx context.Context, st *tree.Stale, owner string) error {
	names := []string{st.NS}
	if st.Scope != tree.StaleSpace {
		var err error
		if names, err = xdb.New(h.engine, healing).Namespaces(ctx, owner); err != nil {
			if nobody(err) {
				return nil
			}
			return err
		}
	}
	for _, ns := range names {
		from, err := h.ownerOf(ctx, st.Section, owner, ns)
		if err != nil {
			return err
		}
		if from == nil {
			continue // it has no copies of others
		}
		d := xdb.Difference{Owner: owner, NS: ns, From: from, To: h.section(st.Section)}
		if err := d.Copy(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ownerOf returns the store that a section has copies of a namespace from, nil if
// it has none: it is the first to take the namespace, or does not take it.
func (h *healer) ownerOf(ctx context.Context, section, owner, ns string) (*xdb.Store, error) {
	var first *xdb.Store
	for _, id := range h.engine.Stores(owner) {
		store := h.section(id)
		_, err := store.Keys(ctx, owner, ns, xdb.Query{Max: -1})
		switch {
		case nobody(err):
			if id == section {
				return nil, nil
			}
			continue
		case err != nil:
			return nil, err
		case id == section:
			return first, nil
		case first == nil:
			first = store
		}
	}
	return nil, nil
}

// section returns the store of one section.
func (s *Server) section(id string) *xdb.Store { return xdb.New(sectionAsker{s.engine, id}, healing) }

// A sectionAsker asks one section only.
type sectionAsker struct {
	engine  *tree.Engine
	section string
}

func (a sectionAsker) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	q.Section = a.section
	return a.engine.Ask(ctx, q)
}

// CopyAnew has all that a store has copies of copied there anew, in the
// background: into one that is new in the configuration.
func (s *Server) CopyAnew(section string) error {
	if !s.stores(section) {
		var all []string
		for i := range s.sections {
			if s.stores(s.sections[i].ID) {
				all = append(all, s.sections[i].ID)
			}
		}
		return packet.Refuse("item-not-found", "there is no store "+section+"; there are: "+strings.Join(all, ", "))
	}
	s.engine.MarkStale(tree.Stale{Section: section, Scope: tree.StaleStore, Reason: tree.Asked})
	return nil
}
