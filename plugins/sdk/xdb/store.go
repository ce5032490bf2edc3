package xdb

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// An Asker puts questions to the tree; module.Env is one.
type Asker interface {
	Ask(ctx context.Context, question *packet.Packet) (*packet.Packet, error)
}

// A Store asks the stores of the tree. Each owner's are those of the section
// whose host the owner's domain is. It is safe for concurrent use.
//
// Errors are those of Ask. [IsConflict] tells that a change was refused since
// somebody else was faster.
type Store struct {
	asker Asker
	from  string
}

// New returns a Store that asks in the name of from, an address or a host.
// Questions of one asker about one owner are answered one after another.
func New(asker Asker, from string) *Store { return &Store{asker: asker, from: from} }

// IsConflict reports whether a change was refused because the item has another
// revision than the asker thought, or an appended key was there.
func IsConflict(err error) bool {
	var reject *packet.Reject
	return errors.As(err, &reject) && reject.Condition == "conflict"
}

func (s *Store) ask(ctx context.Context, owner, ns, name, kind string, body []byte) (*packet.Packet, error) {
	if len(body) > MaxBody {
		return nil, TooLarge(fmt.Sprintf("a question is longer than %d bytes", MaxBody))
	}
	if err := errors.Join(checkName("the owner", owner, MaxOwner), checkName("the namespace", ns, MaxNS)); err != nil {
		return nil, err
	}
	answer, err := s.asker.Ask(ctx, &packet.Packet{
		Kind: packet.XDB, To: owner, From: s.from, Name: name, Type: kind, NS: ns, Body: body,
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// Get returns the item of a key, and whether there is one.
func (s *Store) Get(ctx context.Context, owner, ns, key string) (it Item, found bool, err error) {
	if err := checkKey(key); err != nil {
		return it, false, err
	}
	answer, err := s.ask(ctx, owner, ns, "get", "get", appendKey(make([]byte, 0, len(key)+16), key))
	if err != nil {
		return it, false, err
	}
	items, err := readItems(answer)
	if err != nil || len(items) == 0 {
		return it, false, err
	}
	return items[0], true, nil
}

// GetAll returns the items of those of keys that are there, in the order of
// keys; without keys all of the namespace in the order of their keys, which
// fails beyond [MaxBody].
func (s *Store) GetAll(ctx context.Context, owner, ns string, keys ...string) ([]Item, error) {
	var body []byte
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
		body = appendKey(body, key)
	}
	answer, err := s.ask(ctx, owner, ns, "get", "get", body)
	if err != nil {
		return nil, err
	}
	return readItems(answer)
}

// Query returns a page of a namespace.
func (s *Store) Query(ctx context.Context, owner, ns string, q Query) (Page, error) {
	if err := q.check(); err != nil {
		return Page{Count: -1}, err
	}
	answer, err := s.ask(ctx, owner, ns, "query", "get", q.AppendXML(nil))
	if err != nil {
		return Page{Count: -1}, err
	}
	return readPage(answer)
}

// Put makes or replaces an item and returns its revision.
func (s *Store) Put(ctx context.Context, owner, ns, key string, value []byte) (Rev, error) {
	return s.one(ctx, owner, "put", Change{Op: Put, NS: ns, Key: key, Value: value})
}

// CompareAndSet makes or replaces an item that has the revision was, or with
// was 0 isn't there; otherwise it fails with a conflict.
func (s *Store) CompareAndSet(ctx context.Context, owner, ns, key string, was Rev, value []byte) (Rev, error) {
	return s.one(ctx, owner, "cas", Change{Op: Put, NS: ns, Key: key, Value: value, Check: true, Was: was})
}

// Delete takes an item away. That there is none is no error.
func (s *Store) Delete(ctx context.Context, owner, ns, key string) error {
	_, err := s.one(ctx, owner, "delete", Change{Op: Delete, NS: ns, Key: key})
	return err
}

// Append adds an item to an archive or a queue and returns the key that the
// store gave it. with is the address that it is about; it may be empty.
// If the question has to be put again after an error, the item may be there
// twice; who gives the key, in [Store.Batch], can repeat it.
func (s *Store) Append(ctx context.Context, owner, ns, with string, value []byte) (key string, err error) {
	changes := []Change{{Op: Append, NS: ns, With: with, Value: value}}
	err = s.change(ctx, owner, "append", ns, changes)
	return changes[0].Key, err
}

// Batch makes all changes or none, and sets the Rev of each and the Key of an
// Append without one.
func (s *Store) Batch(ctx context.Context, owner string, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	ns := changes[0].NS
	for i := range changes {
		if changes[i].NS != ns {
			ns = ""
			break
		}
	}
	return s.change(ctx, owner, "batch", ns, changes)
}

// updates is how often Update tries.
const updates = 16

// Update changes an item to what f makes of it, again if somebody else was
// faster. f is given nil if there is no item, and returns nil to delete it.
func (s *Store) Update(ctx context.Context, owner, ns, key string, f func(old *Item) ([]byte, error)) (Rev, error) {
	for try := 1; ; try++ {
		it, found, err := s.Get(ctx, owner, ns, key)
		if err != nil {
			return 0, err
		}
		c := Change{Op: Put, NS: ns, Key: key, Check: true, Was: it.Rev, With: it.With}
		old := &it
		if !found {
			old = nil
		}
		if c.Value, err = f(old); err != nil {
			return 0, err
		}
		if c.Value == nil {
			c.Op = Delete
		}
		rev, err := s.one(ctx, owner, "cas", c)
		if !IsConflict(err) || try == updates {
			return rev, err
		}
	}
}

func (s *Store) one(ctx context.Context, owner, name string, c Change) (Rev, error) {
	changes := [1]Change{c}
	err := s.change(ctx, owner, name, c.NS, changes[:])
	return changes[0].Rev, err
}

func (s *Store) change(ctx context.Context, owner, name, ns string, changes []Change) error {
	if err := checkAll(changes); err != nil {
		return err
	}
	size := 0
	for i := range changes {
		size += len(changes[i].Value) + 96
	}
	body := make([]byte, 0, size)
	for i := range changes {
		// A value that closed its element could go on with changes of its own.
		if err := xml.Check(changes[i].Value, xmlLimits); err != nil {
			return bad("the value of %.80q: %v", changes[i].Key, err)
		}
		body = changes[i].AppendXML(body, ns)
	}
	answer, err := s.ask(ctx, owner, ns, name, "set", body)
	if err != nil {
		return err
	}
	i := 0
	for el := range xml.Elements(answer.Body, "") {
		if !el.Is("done", "") || i == len(changes) {
			continue
		}
		changes[i].Key = el.Attr("key")
		if changes[i].Rev, err = ParseRev(el.Attr("rev")); err != nil {
			return err
		}
		i++
	}
	if i < len(changes) {
		return fmt.Errorf("%s %q of %q: %d changes asked for, %d answered", name, ns, owner, len(changes), i)
	}
	return nil
}

// Drop takes away all items of a namespace, or with before those whose keys
// sort before it: At(t).String() takes away what was appended before t. With ns ""
// it takes away all that owner has.
func (s *Store) Drop(ctx context.Context, owner, ns, before string) error {
	_, err := s.ask(ctx, owner, ns, "drop", "set", xml.AppendEmpty(nil, "drop", "", "before", before))
	return err
}

// Copy has a store make changes that another has made, with their keys and
// revisions; see "Several stores". What is asked must name the store: the
// asker sets the Section of questions.
func (s *Store) Copy(ctx context.Context, owner, ns string, changes []Change) error {
	var body []byte
	for i := range changes {
		body = changes[i].AppendXML(body, ns)
	}
	for i := range changes {
		body = appendDone(body, &changes[i], ns)
	}
	if len(body) > maxCopy {
		return TooLarge(fmt.Sprintf("a copy is longer than %d bytes", maxCopy))
	}
	_, err := s.asker.Ask(ctx, &packet.Packet{
		Kind: packet.XDB, To: owner, From: s.from, Name: "batch", Type: "set", NS: ns, Attrs: replica, Body: body,
	})
	return err
}

// Namespaces returns the namespaces in which owner has items, in order.
func (s *Store) Namespaces(ctx context.Context, owner string) ([]string, error) {
	answer, err := s.ask(ctx, owner, "", "list", "get", nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for el := range xml.Elements(answer.Body, "") {
		if el.Is("namespace", "") {
			names = append(names, el.Attr("name"))
		}
	}
	return names, nil
}

// Keys returns a page of a namespace without the values.
func (s *Store) Keys(ctx context.Context, owner, ns string, q Query) (Page, error) {
	if err := q.check(); err != nil {
		return Page{Count: -1}, err
	}
	answer, err := s.ask(ctx, owner, ns, "list", "get", q.AppendXML(nil))
	if err != nil {
		return Page{Count: -1}, err
	}
	return readPage(answer)
}

// Owners returns who has items in a namespace, or with ns "" any, of those whose
// domain this is: in the order of their bytes at most max of those after
// another, and whether there are more. At most [MaxPage] are returned at once.
func (s *Store) Owners(ctx context.Context, domain, ns, after string, max int) (owners []string, more bool, err error) {
	body := xml.AppendEmpty(nil, "owners", "", "after", after, "max", strconv.Itoa(max))
	answer, err := s.ask(ctx, domain, ns, "owners", "get", body)
	if err != nil {
		return nil, false, err
	}
	for el := range xml.Elements(answer.Body, "") {
		switch {
		case el.Is("owner", ""):
			owners = append(owners, el.Attr("jid"))
		case el.Is("page", ""):
			more = el.Attr("more") == "true"
		}
	}
	return owners, more, nil
}
