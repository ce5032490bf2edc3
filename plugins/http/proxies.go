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

// last is the last value of a header whose values are lists.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	list := values[len(values)-1]
	return strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
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
	hops := xForwarded(r.Header)
	if s.args.Told == "Forwarded" {
		hops = forwarded(r.Header)
	}
	if len(hops) == 0 {
		c.Secure = c.Secure || peer.IsLoopback()
		return c
	}
	c.TLS, c.Proto = nil, hops[len(hops)-1].proto
	c.Secure = strings.EqualFold(c.Proto, "https") || strings.EqualFold(c.Proto, "wss")
	for _, h := range slices.Backward(hops) {
		addr, err := netip.ParseAddr(h.from)
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

// A hop is what one proxy says of who has asked it.
type hop struct{ from, proto string }

// xForwarded reads X-Forwarded-For, and what the last proxy says in X-Forwarded-Proto.
func xForwarded(h http.Header) (hops []hop) {
	proto := last(h.Values("X-Forwarded-Proto"))
	list := strings.Join(h.Values("X-Forwarded-For"), ",")
	if proto == "" && list == "" {
		return nil
	}
	for from := range strings.SplitSeq(list, ",") {
		hops = append(hops, hop{from: strings.TrimSpace(from)})
	}
	hops[len(hops)-1].proto = proto
	return hops
}
