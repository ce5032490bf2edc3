package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/jabberii/server/jabberd/wire"
)

// MaxProfile is the longest time that a process is measured for at once.
const MaxProfile = commandLimit

// CoreName is how a profile's caller names the core among the processes.
const CoreName = "core"

// Profile has a process measure where it spends its time or its memory; kind and
// result are those of [wire.Profile].
func (s *Server) Profile(ctx context.Context, process, kind string, d time.Duration) ([]byte, error) {
	if d <= 0 || d > MaxProfile {
		return nil, fmt.Errorf("a profile takes up to %s, not %s", MaxProfile, d)
	}
	ctx, cancel := context.WithTimeout(ctx, MaxProfile+commandLimit)
	defer cancel()
	if process == CoreName {
		return wire.Profile(ctx, kind, d)
	}
	for _, p := range s.processes {
		if p.name != process {
			continue
		}
		p.mu.Lock()
		now := p.now
		p.mu.Unlock()
		if now == nil {
			return nil, fmt.Errorf("process %s does not run", process)
		}
		return now.Profile(ctx, kind, d)
	}
	return nil, fmt.Errorf("there is no process %q", process)
}

// profile answers the command of that name.
func (s *Server) profile(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	d, err := time.ParseDuration(q.Get("for"))
	var profile []byte
	if err == nil {
		profile, err = s.Profile(r.Context(), q.Get("process"), q.Get("kind"), d)
	}
	reply(w, profile, err)
}

// Profile asks for a profile of a process; see [Server.Profile].
func (c *Client) Profile(ctx context.Context, process, kind string, d time.Duration) (profile []byte, err error) {
	q := url.Values{"process": {process}, "kind": {kind}, "for": {d.String()}}
	return profile, c.do(ctx, "GET", "profile?"+q.Encode(), nil, &profile)
}
