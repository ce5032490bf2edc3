package sm

import (
	"strconv"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sessions"
)

// changes remember when all sessions of an account were ended, as they are because of a
// change: another password, disabling, removal. Who has proved something before, and had no session
// then, may have proved what counts no more.
type changes struct {
	mu      sync.Mutex
	latest  recent[time.Time] // by account
	unknown time.Time         // until then there may have been others
}

// maxSkew is by how much the clocks of processes may differ.
const maxSkew = 10 * time.Second

// begin is where a process knows nothing of what was before.
func (c *changes) begin(now time.Time) { c.unknown = now }

// note is told of a change when storage has it.
func (c *changes) note(account string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if gone, ok := c.latest.add(account, now); ok && gone.After(c.unknown) {
		c.unknown = gone
	}
}

// overtake reports whether an account may have changed since what the client of a
// connection has proved. It is asked when the account has the session, locked: a change
// that comes later ends it.
func (c *changes) overtake(account string, p *packet.Packet) bool {
	proved, err := strconv.ParseInt(attribute(p, sessions.Proved), 10, 64)
	if err != nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last, _ := c.latest.find(account)
	if last.Before(c.unknown) {
		last = c.unknown
	}
	return !last.Add(maxSkew).Before(time.UnixMilli(proved))
}

// doubt is the mark of what gives a session to a connection.
func (x *session) doubt() packet.Flags {
	if x.recheck {
		return packet.Recheck
	}
	return 0
}
