package c2s

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// With returns the module with WebSocket and BOSH, which are hung up on routes.
func With(routes *web.Routes) module.Module { return define(routes) }

// hang hangs up what clients reach by HTTP.
func (s *Service) hang() error {
	var routes []web.Route
	if a := s.args.WebSocket; a != nil {
		routes = append(routes, web.Route{
			Path: a.Path, Handler: http.HandlerFunc(s.serveWebSocket), Rel: "urn:xmpp:alt-connections:websocket", WebSocket: true,
		})
	}
	if a := s.args.BOSH; a != nil {
		routes = append(routes, web.Route{
			Path: a.Path, Handler: s.newBOSH(), Rel: "urn:xmpp:alt-connections:xbosh", Methods: "POST, OPTIONS",
		})
	}
	for _, r := range routes {
		if err := s.hangAt(r); err != nil {
			s.takeDown()
			return err
		}
	}
	return nil
}

func (s *Service) hangAt(r web.Route) error {
	down, err := s.routes.Hang("section "+s.env.Section(), r)
	if err == nil {
		s.hung = append(s.hung, down)
	}
	return err
}

// takeDown undoes hang.
func (s *Service) takeDown() {
	for _, down := range s.hung {
		down()
	}
	s.hung = nil
}

// checkWeb reports what cannot be served.
func (s *Service) checkWeb() error {
	const nobody = "this program has nobody who serves HTTP"
	ws, b := s.args.WebSocket, s.args.BOSH
	switch {
	case ws != nil && s.routes == nil:
		return module.BadArg("websocket", nobody)
	case b != nil && s.routes == nil:
		return module.BadArg("bosh", nobody)
	case ws != nil && !strings.HasPrefix(ws.Path, "/"):
		return module.BadArg("websocket.path", "%q does not begin with a slash", ws.Path)
	case b != nil && !strings.HasPrefix(b.Path, "/"):
		return module.BadArg("bosh.path", "%q does not begin with a slash", b.Path)
	case b != nil && ws != nil && b.Path == ws.Path:
		return module.BadArg("bosh.path", "is that of websocket too")
	case b != nil && (b.Hold < 0 || b.Hold > 10):
		return module.BadArg("bosh.hold", "is %d, not 0 to 10", b.Hold)
	}
	return nil
}

// admit reports whether there is room for a client that comes by HTTP, and counts it.
func (s *Service) admit(r *http.Request) bool {
	select {
	case <-s.up:
	case <-r.Context().Done():
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending || !s.open.Enter("") {
		return false
	}
	if !s.meet(web.ClientOf(r).NetAddr()) {
		s.open.Leave("")
		return false
	}
	s.wg.Add(1)
	return true
}

// release undoes that a connection was counted.
func (s *Service) release() {
	s.open.Leave("")
	s.wg.Done()
}

// isFrom reports whether a request is from a page of one of some origins, or
// from none.
func isFrom(r *http.Request, origins []string) bool {
	origin := r.Header.Get("Origin")
	return origin == "" || slices.Contains(origins, "*") || slices.Contains(origins, origin)
}

// liveOverWeb is the life of a connection by HTTP.
func (c *conn) liveOverWeb(channel sasl.Channel) {
	c.live(func(_ context.Context, r *session.Receiver) error {
		r.Secured(channel)
		return nil
	})
}
