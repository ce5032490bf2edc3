// Package origin bounds what comes from one place in the network: connections
// of clients that nobody knows yet.
//
// A place is an address of IPv4 or, of IPv6, the /64 that one household or machine
// has, from which it takes as many addresses as it likes. A [Limit] counts what is
// there at once, from each place and from all. It holds no more entries than it lets
// in, and what it refuses makes at most one entry in the log a minute.
package origin

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Of names the place that an address belongs to.
func Of(a net.Addr) string {
	if at, ok := a.(*net.TCPAddr); ok {
		return ofIP(at.AddrPort().Addr())
	}
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	return ofIP(at.Addr())
}

func ofIP(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		if net, err := ip.Prefix(64); err == nil {
			return net.String()
		}
	}
	return ip.String()
}

// Counted is the place for which a connection counts: "", which is none, for one from
// this machine. That is often a proxy that does not tell who its clients are, such as
// one of an onion service.
func Counted(a net.Addr) string {
	if at, ok := a.(*net.TCPAddr); ok && at.IP.IsLoopback() {
		return ""
	}
	return Of(a)
}

// A Limit is how many there may be at once. It is for any number of goroutines; Each
// and All are not changed while it is used.
type Limit struct {
	What string       // is refused, for the log
	Each int          // from one place; 0 is any number
	All  int          // 0 is any number
	Log  *slog.Logger // of what is refused

	mu     sync.Mutex
	all    int
	counts map[string]int
	silent silence
}

// Enter counts one more, and reports whether there is room. Who was let in leaves. The
// place "" counts for all only.
func (l *Limit) Enter(place string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.All > 0 && l.all >= l.All || l.Each > 0 && place != "" && l.counts[place] >= l.Each {
		if n := l.silent.over(time.Now()); n > 0 {
			l.Log.Warn("too many "+l.What+": refused", "last_from", place, "from_it", l.counts[place], "in_all", l.all, "refused", n)
		}
		return false
	}
	l.all++
	if place != "" && l.Each > 0 {
		if l.counts == nil {
			l.counts = map[string]int{}
		}
		l.counts[place]++
	}
	return true
}

// Leave undoes one Enter that was let in.
func (l *Limit) Leave(place string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if place == "" || l.Each == 0 {
		return
	}
	if l.counts[place]--; l.counts[place] <= 0 {
		delete(l.counts, place)
	}
}

// Open is how many there are.
func (l *Limit) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all
}

// quiet is how long nothing is said again.
const quiet = time.Minute

// A silence keeps what may happen often from filling the log.
type silence struct {
	said time.Time
	n    int // since then
}

// over counts one, and returns how many are to be told of, 0 if it is too early.
func (s *silence) over(now time.Time) (n int) {
	s.n++
	if now.Sub(s.said) < quiet {
		return 0
	}
	n = s.n
	s.said, s.n = now, 0
	return n
}
