package cache

import (
	"bytes"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A place is what a get can ask for: one key, or with key "" a whole namespace.
type place struct{ owner, ns, key string }

// An answer is the body of the answer to a get. It is worth nothing when the
// epoch of its owner's shard is another.
type answer struct {
	body  []byte
	epoch uint64
}

// placeOf returns what a question asks for, if it is a get of one place.
func placeOf(p *packet.Packet) (at place, ok bool) {
	if p.Name != "get" || p.NS == "" {
		return at, false
	}
	at.owner, at.ns = p.To, p.NS
	for el := range xml.Elements(p.Body, "") {
		if at.key != "" || !el.Is("item", "") {
			return at, false
		}
		if at.key = el.Attr("key"); at.key == "" {
			return at, false
		}
	}
	return at, true
}

// worth reports whether an answer is to be remembered. That a key is not there
// which an append may come to give is not: nobody would say that it is there.
func worth(at place, body []byte) bool {
	if len(body) == 0 && at.key != "" {
		_, err := xdb.ParseRev(at.key)
		return err != nil
	}
	return true
}

// clone makes the place stand on its own: its strings may be parts of a frame.
func (at place) clone() place {
	return place{strings.Clone(at.owner), strings.Clone(at.ns), strings.Clone(at.key)}
}

func newAnswer(body []byte, epoch uint64) answer { return answer{bytes.Clone(body), epoch} }

// weight is what an answer takes in memory.
func weight(at place, a answer) uint32 {
	return uint32(len(at.owner) + len(at.ns) + len(at.key) + len(a.body) + 200)
}

// forget takes back what may be different after a change. The shard is locked.
func (c *cache) forget(s *shard, p *packet.Packet) {
	changes, err := xdb.ReadChanges(p, nil)
	if err != nil || len(changes) == 0 { // a drop, or an operation of somebody else's
		s.epoch.Add(1)
		return
	}
	for i := range changes {
		at := place{p.To, changes[i].NS, changes[i].Key}
		if at.key != "" {
			c.answers.Invalidate(at)
			at.key = ""
		}
		if i == 0 || changes[i].NS != changes[i-1].NS {
			c.answers.Invalidate(at)
		}
	}
}
