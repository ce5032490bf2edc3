package c2s

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jabberii/server/plugins/sdk/entry"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// refusals are the logins that were refused, as far as the log has to do with them: who
// guesses shall not fill it. In a minute it has few of one address, and not many of all.
type refusals struct {
	mu      sync.Mutex
	since   time.Time      // when the minute began
	said    map[string]int // in it, by address
	all     int
	omitted int // since the last that was said
}

const (
	refusalsOfOne = 10 // in the log, a minute
	refusalsOfAll = 200
	longestName   = 128 // bytes of what a client calls itself, in the log
)

// due counts a refusal. It reports whether it is for the log, and how many before it
// were not.
func (r *refusals) due(address string, now time.Time) (omitted int, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.since) >= time.Minute || r.said == nil {
		r.since, r.said, r.all = now, map[string]int{}, 0
	}
	if r.all >= refusalsOfAll || r.said[address] >= refusalsOfOne {
		r.omitted++
		return 0, false
	}
	r.all++
	r.said[address]++
	omitted, r.omitted = r.omitted, 0
	return omitted, true
}

// refusedLogin has the log say who was not let in, and why. A client that has changed
// its mind was not refused.
func (c *conn) refusedLogin(tried *attempt, host string, why *session.Refused) {
	if errors.Is(why, sasl.Aborted) {
		return
	}
	omitted, due := c.s.refusals.due(tried.address, time.Now())
	if !due {
		return
	}
	text, level := "refused a login", slog.LevelInfo
	condition, more := reasonOf(why)
	switch {
	case errors.Is(why, errGuessing):
		text += " unseen: too many have failed"
	case condition == sasl.TemporaryAuthFailure:
		level = slog.LevelWarn // no fault of the client's
	}
	args := []any{entry.Event, entry.Refused, "host", host, "account", asTried(why.Username, host),
		"mechanism", cut(why.Mechanism), "client", c.remote(), "reason", string(condition)}
	if more != "" && more != string(condition) {
		args = append(args, "why", cut(more))
	}
	if omitted > 0 {
		args = append(args, "omitted", omitted)
	}
	c.s.env.Log().Log(context.Background(), level, text, args...)
}

// reasonOf is the condition that a client was told, and what else is known.
func reasonOf(err error) (c sasl.Condition, more string) {
	var f *sasl.Failure
	switch {
	case errors.As(err, &f) && f.Cause == nil:
		return f.Condition, f.Text
	case errors.As(err, &f):
		return f.Condition, f.Cause.Error()
	case errors.As(err, &c):
		return c, ""
	}
	return sasl.TemporaryAuthFailure, err.Error()
}

// asTried is the account at a host that a client has named; "" is that it has named none.
func asTried(username, host string) string {
	if username == "" || strings.HasSuffix(username, "@"+host) { // an authzid is an address
		return cut(username)
	}
	return cut(username) + "@" + host
}

// cut keeps a text of others as long as a line can have it.
func cut(s string) string {
	if len(s) <= longestName {
		return s
	}
	n := longestName
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
