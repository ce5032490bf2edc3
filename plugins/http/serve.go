package http

import (
	"net/http"
	"slices"

	"github.com/jabberii/server/plugins/sdk/web"
)

// ServeHTTP finds the route of a request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route, ok := s.own.Find(r.URL.Path)
	if !ok {
		route, ok = s.routes.Find(r.URL.Path)
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	if s.cors(w, r, route.Methods) {
		return
	}
	route.Handler.ServeHTTP(w, web.WithClient(r, s.client(r)))
}

// cors says which pages may use a route (the Fetch standard, 3.2), and reports
// whether that was all that was asked.
func (s *Service) cors(w http.ResponseWriter, r *http.Request, methods string) bool {
	if methods == "" {
		return false
	}
	// Also without an Origin: the answer may be kept for a page that asks next.
	h, origin := w.Header(), r.Header.Get("Origin")
	switch {
	case slices.Contains(s.args.Origins, "*"):
		h.Set("Access-Control-Allow-Origin", "*")
	case slices.Contains(s.args.Origins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
	default:
		h.Add("Vary", "Origin")
	}
	if origin == "" || r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", "Content-Type")
		h.Set("Access-Control-Max-Age", "7200")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
