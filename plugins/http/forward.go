package http

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/plugins/sdk/web"
)

// forwards makes the routes of the blocks forward.
func (s *Service) forwards() error {
	for i, f := range s.args.Forward {
		at := "forward." + strconv.Itoa(i)
		to, dial, err := target(f.To)
		if err != nil {
			return module.BadArg(at+".to", "%v", err)
		}
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.Proxy = nil
		if dial != nil {
			transport.DialContext = dial
		}
		proxy := &httputil.ReverseProxy{
			Transport: transport,
			Rewrite:   func(r *httputil.ProxyRequest) { rewrite(r, to) },
			ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
				s.env.Log().Warn("forward "+f.Path+": "+err.Error(), "upstream", f.To)
				w.WriteHeader(http.StatusBadGateway)
			},
		}
		if _, err := s.own.Hang(at, web.Route{Path: f.Path, Handler: proxy}); err != nil {
			return module.BadArg(at+".label", "%v", err)
		}
	}
	return nil
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// target reads where to forward to; dial is nil for what the URL says.
func target(text string) (to *url.URL, dial dialer, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok && path != "" {
		return &url.URL{Scheme: "http", Host: "localhost"}, func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}, nil
	}
	to, err = url.Parse(text)
	if err != nil || to.Scheme != "http" && to.Scheme != "https" || to.Host == "" {
		return nil, nil, errors.New("is neither a URL nor a socket; write it like http://127.0.0.1:8080 or unix:/run/upload.sock")
	}
	return to, nil, nil
}

// rewrite says who has asked and for what; what the client says of it itself is
// not passed on.
func rewrite(r *httputil.ProxyRequest, to *url.URL) {
	r.SetURL(to)
	r.Out.Host = r.In.Host
	client, proto := web.ClientOf(r.In), "http"
	if client.Secure {
		proto = "https"
	}
	r.Out.Header.Set("X-Forwarded-For", client.Addr.Addr().String())
	r.Out.Header.Set("Forwarded", forwardedBy(client.Addr.Addr().Unmap(), proto, r.In.Host))
	r.Out.Header.Set("X-Forwarded-Proto", proto)
	r.Out.Header.Set("X-Forwarded-Host", r.In.Host)
}
