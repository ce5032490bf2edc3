package c2s

import (
	"context"
	"net/http"
	"slices"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// With returns the module with WebSocket, which is hung up on routes.
func With(routes *web.Routes) module.Module { return define(routes) }

// hang hangs up what clients reach by HTTP.
func (s *Service) hang() error {
	if a := s.args.WebSocket; a != nil {
		return s.hangAt(web.Route{
			Path: a.Path, Handler: http.HandlerFunc(s.serveWebSocket),
			Rel: "urn:xmpp:alt-connections:websocket", WebSocket: true,
		})
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
	if s.args.WebSocket != nil && s.routes == nil {
		return module.BadArg("websocket", "this program has nobody who serves HTTP")
	}
	return nil
}

// admit takes a client that comes by HTTP, or tells it that it cannot.
func (s *Service) admit(w http.ResponseWriter, r *http.Request) bool {
	select {
	case <-s.up:
	case <-r.Context().Done():
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending || s.open.Load() >= int64(s.args.Max) {
		http.Error(w, "There is no room for a further connection.", http.StatusServiceUnavailable)
		return false
	}
	s.open.Add(1)
	s.wg.Add(1)
	return true
}

// release undoes admit.
func (s *Service) release() {
	s.open.Add(-1)
	s.wg.Done()
}

// isFrom reports whether a request is from a page of one of some origins, or
// from none.
func isFrom(r *http.Request, origins []string) bool {
	origin := r.Header.Get("Origin")
	return origin == "" || slices.Contains(origins, "*") || slices.Contains(origins, origin)
}

// channelOf is what is known of a connection by HTTP. SASL is bound to it only if
// the client's own TLS ends here.
func channelOf(c web.Client) sasl.Channel {
	channel := sasl.Channel{Secure: c.Secure}
	if c.TLS != nil {
		channel.Bindings = sasl.TLSBindings(c.TLS, nil)
	}
	return channel
}

// liveOverWeb is the life of a connection by HTTP.
func (c *conn) liveOverWeb(client web.Client) {
	c.live(func(_ context.Context, r *session.Receiver) error {
		r.Secured(channelOf(client))
		return nil
	})
}
