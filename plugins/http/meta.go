package http

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A link is one of host-meta.
type link struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

// hangMeta serves host-meta (RFC 6415), by which clients find how to connect
// (XEP-0156): as XRD, and as JRD.
func (s *Service) hangMeta() {
	for path, write := range map[string]func(http.ResponseWriter, []link){
		"/.well-known/host-meta": writeXRD, "/.well-known/host-meta.json": writeJRD,
	} {
		s.own.Hang("", web.Route{Path: path, Methods: "GET, HEAD", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			host := s.asked(r)
			if host == "" {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Cache-Control", "max-age=3600")
			write(w, s.links(r, host))
		})})
	}
}

// asked returns the host that a request is about, as it is written in URLs; ""
// if it is not one of this server's.
func (s *Service) asked(r *http.Request) string {
	name := (&url.URL{Host: r.Host}).Hostname()
	address, err := jid.New("", name, "")
	if err != nil || !s.env.Serves(packet.Session, address.Domain()) {
		return ""
	}
	return name
}

// links are what is served, by where clients reach it in TLS: XEP-0156 allows no others.
func (s *Service) links(r *http.Request, host string) []link {
	base, encrypted := s.base(r, host)
	list := []link{} // never null
	for _, route := range s.routes.Links() {
		if !encrypted {
			break
		}
		at := *base
		if route.WebSocket {
			at.Scheme = strings.Replace(at.Scheme, "http", "ws", 1)
		}
		list = append(list, link{route.Rel, at.JoinPath(route.Path).String()})
	}
	for rel, href := range s.args.Links {
		list = append(list, link{rel, href})
	}
	slices.SortFunc(list, func(a, b link) int { return strings.Compare(a.Rel+" "+a.Href, b.Rel+" "+b.Href) })
	return list
}

const hostMark = "{host}" // in the argument external

// base is the URL, https, by which a client that asks about a host reaches this server;
// there may be none.
func (s *Service) base(r *http.Request, host string) (u *url.URL, known bool) {
	if s.args.External != "" {
		u, _ := url.Parse(strings.ReplaceAll(s.args.External, hostMark, host)) // a name that jid took
		if u != nil {
			return u, true
		}
	}
	switch client := web.ClientOf(r); {
	case client.Secure && (r.TLS != nil || client.Proto != ""):
		return &url.URL{Scheme: "https", Host: r.Host}, true
	case len(s.secure) > 0:
		_, port, _ := net.SplitHostPort(s.secure[0].Addr().String())
		return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, port)}, true
	}
	return nil, false
}

func (s *Service) checkExternal() error {
	text := strings.ReplaceAll(s.args.External, hostMark, "example.org")
	u, err := url.Parse(text)
	if text != "" && (err != nil || u.Scheme != "https" || u.Host == "") {
		return module.BadArg("external", "%q is no URL of https; write it like https://chat.example.org or https://{host}:5281", s.args.External)
	}
	return nil
}

func writeXRD(w http.ResponseWriter, links []link) {
	b := []byte("<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>\n")
	for _, l := range links {
		b = append(xml.AppendEmpty(append(b, "  "...), "Link", "", "rel", l.Rel, "href", l.Href), '\n')
	}
	w.Header().Set("Content-Type", "application/xrd+xml")
	w.Write(append(b, "</XRD>\n"...))
}

func writeJRD(w http.ResponseWriter, links []link) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string][]link{"links": links})
}
