package landing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/invite"
	"github.com/jabberii/server/plugins/xmpp/jid"
)

// patience is how long storage may take.
const patience = 10 * time.Second

// ServeHTTP shows the page of an invitation.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	page := page{Text: s.args.Text, Clients: s.args.Clients}
	status := http.StatusOK
	switch err := s.find(ctx, r, &page); {
	case errors.Is(err, errNoPage):
		http.NotFound(w, r)
		return
	case errors.Is(err, invite.ErrNone):
		status, page.Over = http.StatusGone, true
	case err != nil:
		s.env.Log().Error("landing: "+err.Error(), "host", page.Host)
		http.Error(w, "The server cannot look for the invitation. Try again later.", http.StatusServiceUnavailable)
		return
	}
	var b bytes.Buffer
	if err := layout.Execute(&b, &page); err != nil {
		s.env.Log().Error("landing: " + err.Error())
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Robots-Tag", "noindex")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", policy)
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // an error is that the client is gone
}

// find fills in what a request asks for. The error is errNoPage if it is about none of
// the server's hosts, and invite.ErrNone if the invitation cannot be used.
func (s *Service) find(ctx context.Context, r *http.Request, p *page) error {
	host, token, named := strings.Cut(strings.TrimPrefix(r.URL.Path, s.args.Path), "/")
	if !named {
		host, token = (&url.URL{Host: r.Host}).Hostname(), host
	}
	j, err := jid.New("", host, "")
	if err != nil || !s.env.Serves(packet.Session, j.Domain()) {
		return errNoPage
	}
	p.Host = j.Domain()
	i, err := invite.Get(ctx, s.store, p.Host, token)
	switch {
	case err != nil:
		return err
	case !i.Good(time.Now()):
		return invite.ErrNone
	}
	p.By, p.Username, p.URI = i.By, i.Username, template.URL(i.URI()) // xmpp: and nothing else
	p.Register, p.Code = i.Register, code(i.URI())
	if !i.Expires.IsZero() {
		p.Expires = i.Expires.UTC()
	}
	return nil
}

// A page is what layout shows.
type page struct {
	Host, By, Username, Text string
	URI                      template.URL
	Code                     template.HTML // the URI as a picture
	Register                 bool
	Expires                  time.Time
	Over                     bool // it cannot be used
	Clients                  []clientArgs
}

const style = `body{font:1.1rem/1.6 system-ui,sans-serif;max-width:36rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}` +
	`a{color:#0b57a4}.go{display:inline-block;padding:.7rem 1.2rem;border-radius:.4rem;background:#0b57a4;color:#fff;text-decoration:none}` +
	`.code{display:block;width:16rem;max-width:100%}` +
	`a:focus-visible{outline:3px solid #d97706;outline-offset:2px}code{overflow-wrap:anywhere}` +
	`@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}a{color:#8ec5ff}.go{background:#8ec5ff;color:#111}}`

// policy lets a page load nothing; its style is known by its hash.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

var layout = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{if .Over}}An invitation that is over{{else}}Invitation to {{.Host}}{{end}}</title>
<style>` + style + `</style>
</head>
<body>
<main>
{{- if .Over}}
<h1>This invitation cannot be used any more</h1>
<p>It was used up, taken back, or is too old. Ask whoever sent it to you for another one.</p>
{{- else}}
<h1>{{if .By}}{{.By}} invites you{{else}}You are invited to {{.Host}}{{end}}</h1>
<p>{{if .By}}{{.By}} would like to chat with you. {{end}}Chats here go over XMPP, which many apps speak: choose one, and talk with people on any server.</p>
{{- if .Text}}
<p>{{.Text}}</p>
{{- end}}
<ol>
<li>Install one of these apps, if you have none yet:
<ul>
{{- range .Clients}}
<li><a href="{{.URL}}" rel="noreferrer">{{.Name}}</a>{{with .Systems}} ({{.}}){{end}}</li>
{{- end}}
</ul></li>
<li>Come back to this page and open the invitation in the app:
<p><a class="go" href="{{.URI}}">Open the invitation</a></p>
If nothing happens, copy this address into the app: <code>{{.URI}}</code>
{{- with .Code}}
<p>Is the app on your phone, and this page is not? Scan this with the phone:</p>
{{.}}
{{- end}}</li>
{{- if .Register}}
<li>{{if .Username}}Choose a password for your account <strong>{{.Username}}@{{.Host}}</strong>.{{else}}Choose a name and a password for your account at <strong>{{.Host}}</strong>{{if .By}}, or use one that you have elsewhere{{end}}.{{end}}</li>
{{- end}}
</ol>
{{- if not .Expires.IsZero}}
<p>The invitation can be used until <time datetime="{{.Expires.Format "2006-01-02T15:04:05Z07:00"}}">{{.Expires.Format "2 January 2006, 15:04"}} UTC</time>.</p>
{{- end}}
{{- end}}
</main>
</body>
</html>
`))
