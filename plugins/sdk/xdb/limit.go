package xdb

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/jabberii/server/jabberd/packet"
)

// Limits of what is asked.
const (
	MaxOwner   = 3071    // bytes: the longest JID
	MaxNS      = 1023    // bytes
	MaxKey     = 3071    // bytes: a key may be a JID
	MaxValue   = 1 << 20 // bytes
	MaxBody    = 2 << 20 // bytes of a question or, but for a last value, of an answer
	MaxChanges = 1000    // in one transaction, and keys in one get
)

// maxCopy is the length of a copy, which is a question and its answer.
const maxCopy = MaxBody + MaxBody/2

// ahead is how far the clock of who gives a key may be ahead of ours.
const ahead = time.Hour

// TooLarge is the error of a backend for what would be beyond a limit.
func TooLarge(text string) error { return packet.Refuse("resource-constraint", text) }

func bad(format string, values ...any) error {
	return packet.Refuse("bad-request", fmt.Sprintf(format, values...))
}

// checkName reports what is wrong with an owner, a namespace or a key.
func checkName(what, s string, limit int) error {
	if len(s) > limit {
		return bad("%s is longer than %d bytes", what, limit)
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == 0x7f {
			return bad("%s has a control character", what)
		}
	}
	if !utf8.ValidString(s) {
		return bad("%s is not UTF-8", what)
	}
	return nil
}

func checkKey(s string) error {
	if s == "" {
		return bad("a key is needed")
	}
	return checkName("a key", s, MaxKey)
}

func checkNS(s string) error {
	if s == "" {
		return bad("a namespace is needed")
	}
	return checkName("the namespace", s, MaxNS)
}

// check reports what is wrong with a change, but for its value's XML.
func (c *Change) check() error {
	if err := checkNS(c.NS); err != nil {
		return err
	}
	if c.Key != "" || c.Op != Append {
		if err := checkKey(c.Key); err != nil {
			return err
		}
	}
	if len(c.Value) > MaxValue {
		return TooLarge(fmt.Sprintf("a value is longer than %d bytes", MaxValue))
	}
	if c.Copy && c.Rev == 0 {
		return bad("a copy needs a revision")
	}
	if r, ok := parseRev(c.Key); ok && c.Op == Append && !c.Copy && r.Time().After(time.Now().Add(ahead)) {
		return bad("the key of an appended item is in the future")
	}
	return checkName("an address", c.With, MaxOwner)
}

// checkAll reports what is wrong with a transaction.
func checkAll(changes []Change) error {
	switch {
	case len(changes) == 0:
		return bad("nothing to change")
	case len(changes) > MaxChanges:
		return TooLarge(fmt.Sprintf("more than %d changes at once", MaxChanges))
	}
	for i := range changes {
		if err := changes[i].check(); err != nil {
			return err
		}
	}
	return checkOnce(changes)
}

// checkOnce refuses a key that comes twice.
func checkOnce(changes []Change) error {
	if len(changes) == 1 {
		return nil
	}
	type place struct{ ns, key string }
	seen := make(map[place]struct{}, len(changes))
	for i := range changes {
		p := place{changes[i].NS, changes[i].Key}
		if _, twice := seen[p]; twice && p.key != "" {
			return bad("the key %q is changed twice at once", p.key)
		}
		seen[p] = struct{}{}
	}
	return nil
}
