package http

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/jabberii/server/jabberd/module"
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
	origin := r.Header.Get("Origin")
	if origin == "" || methods == "" {
		return false
	}
	h := w.Header()
	switch {
	case slices.Contains(s.args.Origins, "*"):
		h.Set("Access-Control-Allow-Origin", "*")
	case slices.Contains(s.args.Origins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
	default:
		h.Add("Vary", "Origin")
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
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

// trust reads the addresses of proxies.
func (s *Service) trust() error {
	for i, text := range s.args.Proxies {
		prefix, err := netip.ParsePrefix(text)
		if addr, bare := netip.ParseAddr(text); bare == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return module.BadArg("trusted_proxies."+strconv.Itoa(i), "%q is neither an address nor a network; write it like 192.0.2.1 or 192.0.2.0/24", text)
		}
		s.trusted = append(s.trusted, prefix.Masked())
	}
	return nil
}

func (s *Service) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(s.trusted, func(p netip.Prefix) bool { return p.Contains(a) })
}

// client says who has sent a request: the peer, or whoever the proxies on the
// way say that are trusted, beginning with the last.
func (s *Service) client(r *http.Request) web.Client {
	c := web.Client{Secure: r.TLS != nil, TLS: r.TLS}
	c.Addr, _ = netip.ParseAddrPort(r.RemoteAddr)
	peer := c.Addr.Addr().Unmap()
	if !s.trusts(peer) {
		return c
	}
	proto := last(r.Header.Values("X-Forwarded-Proto"))
	list := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	if proto == "" && list[0] == "" && len(list) == 1 {
		c.Secure = c.Secure || peer.IsLoopback()
		return c
	}
	c.TLS = nil
	c.Secure = strings.EqualFold(proto, "https") || strings.EqualFold(proto, "wss")
	for _, text := range slices.Backward(list) {
		addr, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			break
		}
		c.Addr = netip.AddrPortFrom(addr.Unmap(), 0)
		if !s.trusts(addr.Unmap()) {
			break
		}
	}
	return c
}

// last is the last value of a header whose values are lists.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	list := values[len(values)-1]
	return strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
}
