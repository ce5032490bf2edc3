// Package web is how modules serve HTTP: they hang their handlers on [Routes],
// and the module http of the same process listens and finds them there.
//
// A program makes one Routes and gives it to each module that wants it:
//
//	routes := new(web.Routes)
//	sdk.Serve(load.With(http.With(routes), c2s.With(routes)))
//
// A module hangs up what it serves when it starts, under its own name, and takes
// it down when it is closed:
//
//	func (s *Service) Start(context.Context) (err error) {
//		s.down, err = s.routes.Hang(s.env.Section(), web.Route{Path: "/bosh", Handler: s, Methods: "POST"})
//		return err
//	}
//
// A handler is told by [ClientOf] who asks, also behind a proxy.
package web

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Route is what a module serves.
type Route struct {
	Path    string // "/ws"; with a slash at its end, also all that is below it
	Handler http.Handler
	Methods string // that pages of other origins may use: "GET, POST"

	// Rel, if not "", has host-meta (RFC 6415) link to the path, by this relation.
	// WebSocket says that the address begins with ws instead of http.
	Rel       string
	WebSocket bool
}

// Routes are what the modules of a process serve by HTTP. The zero value is
// empty. Its methods may be called by several goroutines at a time.
type Routes struct {
	mu      sync.Mutex
	hung    []hung
	servers atomic.Int32
}

type hung struct {
	owner string
	*Route
}

// Hang adds a route. The owner, a section for example, may have another one at
// the same path, which is then hidden: so a new handler takes over from an old
// one. If somebody else has it, that is an error. Down takes the route away.
func (r *Routes) Hang(owner string, route Route) (down func(), err error) {
	if !strings.HasPrefix(route.Path, "/") {
		return nil, fmt.Errorf("the path %q does not begin with a slash", route.Path)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.hung {
		if h.Path == route.Path && h.owner != owner {
			return nil, fmt.Errorf("the path %s is that of %s already", route.Path, h.owner)
		}
	}
	added := &route
	r.hung = append(r.hung, hung{owner, added})
	return func() { r.take(added) }, nil
}

func (r *Routes) take(route *Route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hung = slices.DeleteFunc(r.hung, func(h hung) bool { return h.Route == route })
}

// Find returns the route of a path: its own, else the longest one that it is
// below of; of two at one path the later.
func (r *Routes) Find(path string) (Route, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found *Route
	for _, h := range r.hung {
		mine := path == h.Path || strings.HasSuffix(h.Path, "/") && strings.HasPrefix(path, h.Path)
		if mine && (found == nil || len(h.Path) >= len(found.Path)) {
			found = h.Route
		}
	}
	if found == nil {
		return Route{}, false
	}
	return *found, true
}

// Links returns the routes that host-meta links to, each path once.
func (r *Routes) Links() []Route {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Route
	for _, h := range r.hung {
		if h.Rel != "" && !slices.ContainsFunc(list, func(l Route) bool { return l.Path == h.Path && l.Rel == h.Rel }) {
			list = append(list, *h.Route)
		}
	}
	slices.SortFunc(list, func(a, b Route) int { return strings.Compare(a.Rel+" "+a.Path, b.Rel+" "+b.Path) })
	return list
}

// Serving notes that somebody serves the routes, until over is called.
func (r *Routes) Serving() (over func()) {
	r.servers.Add(1)
	return func() { r.servers.Add(-1) }
}

// Served reports whether anybody serves the routes.
func (r *Routes) Served() bool { return r.servers.Load() > 0 }
