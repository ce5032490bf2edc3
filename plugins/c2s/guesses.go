package c2s

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

type guessArgs struct {
	Address int             `json:"per_address" default:"30" doc:"Logins from one address, of IPv6 one /64, that may fail within window; then it may try no more until some of them are past. 0 is any number."`
	Account int             `json:"per_account" default:"100" doc:"Logins to one account that may fail within window; then it takes none from addresses that have failed themselves. 0 is any number."`
	Window  module.Duration `json:"window" default:"10m" doc:"The time in which as many failures as are allowed are forgotten."`
	Delay   module.Duration `json:"delay" default:"5s" doc:"The longest time that a client waits to be told that its login has failed: the more have failed before, the longer."`
}

func (a *guessArgs) check() error {
	if a.Window <= 0 {
		return module.BadArg("guesses.window", "must be longer than nothing")
	}
	return nil
}

// guesses count logins that fail, by address and by account. What counts against both
// is forgotten steadily. The table is bounded: with too many entries those that failed
// least recently go.
type guesses struct {
	args guessArgs

	mu     sync.Mutex
	counts map[string]*list.Element // of *guess
	recent list.List                // the one that failed last in front
}

type guess struct {
	key   string
	level float64 // failures that are not forgotten
	at    time.Time
}

const (
	maxGuesses = 20000
	firstDelay = 50 * time.Millisecond // after one failure; it grows with the square
)

// An attempt is what is known of who tries to log in on a connection.
type attempt struct {
	g       *guesses
	address string
	account string    // that was tried last
	since   string    // of the credentials that were proved, see still.go
	proved  time.Time // no later than they were read
	invited string    // the token of an invitation that was shown (XEP-0445)
}

var errGuessing = errors.New("somebody guesses")

type attemptKey struct{}

func withAttempt(ctx context.Context, a *attempt) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

// attemptOf is the attempt of a login, nil outside of one.
func attemptOf(ctx context.Context) *attempt {
	a, _ := ctx.Value(attemptKey{}).(*attempt)
	return a
}

// allowed is asked before a password or a token is looked at. It does not tell accounts
// that exist from others.
func (a *attempt) allowed(account string) error {
	if a == nil {
		return nil
	}
	a.account = account
	if a.g.stops(a.address, account, time.Now()) {
		return &sasl.Failure{Condition: sasl.TemporaryAuthFailure, Text: "too many logins have failed", Cause: errGuessing}
	}
	return nil
}

// failed counts a failure, and returns how long the client is to wait for the news.
func (a *attempt) failed() time.Duration {
	return a.g.failed(a.address, a.account, time.Now())
}

func (g *guesses) stops(address, account string, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	own := g.level("from "+address, g.args.Address, now)
	if g.args.Address > 0 && own+1 > float64(g.args.Address) {
		return true
	}
	return g.args.Account > 0 && own > 0 && g.level("to "+account, g.args.Account, now)+1 > float64(g.args.Account)
}

func (g *guesses) failed(address, account string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	most := g.add("from "+address, g.args.Address, now)
	if account != "" {
		most = max(most, g.add("to "+account, g.args.Account, now))
	}
	return min(time.Duration(most*most*float64(firstDelay)), g.args.Delay.Std())
}

// level is how many failures count. With the lock held.
func (g *guesses) level(key string, limit int, now time.Time) float64 {
	el := g.counts[key]
	if el == nil {
		return 0
	}
	x := el.Value.(*guess)
	past := now.Sub(x.at).Seconds() / g.args.Window.Std().Seconds()
	return max(0, x.level-past*float64(max(limit, 1)))
}

// add counts one more. With the lock held.
func (g *guesses) add(key string, limit int, now time.Time) float64 {
	level := g.level(key, limit, now) + 1
	if el := g.counts[key]; el != nil {
		*el.Value.(*guess) = guess{key, level, now}
		g.recent.MoveToFront(el)
		return level
	}
	if g.counts == nil {
		g.counts = map[string]*list.Element{}
	}
	g.counts[key] = g.recent.PushFront(&guess{key, level, now})
	if len(g.counts) > maxGuesses {
		delete(g.counts, g.recent.Remove(g.recent.Back()).(*guess).key)
	}
	return level
}

// slowDown has a client wait for the news that its login has failed.
func slowDown(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
