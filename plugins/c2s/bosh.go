package c2s

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/idle"
	"github.com/jabberii/server/plugins/sdk/web"
	"github.com/jabberii/server/plugins/xmpp/bosh"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

type boshArgs struct {
	Path       string          `json:"path" default:"/http-bind" doc:"Where http serves it."`
	Wait       module.Duration `json:"wait" default:"1m" doc:"The longest that a request is kept."`
	Hold       int             `json:"hold" default:"1" doc:"The most requests of a client that are kept."`
	Inactivity module.Duration `json:"inactivity" default:"1m" doc:"How long a client may be without a request; then its connection is lost."`
	MaxPause   module.Duration `json:"max_pause" default:"2m" doc:"And how long if it says that it pauses."`
	Polling    module.Duration `json:"polling" default:"2s" doc:"How often a client may ask without having anything to say; 0 is any time."`
}

// newBOSH makes what answers requests, whose sessions become connections.
func (s *Service) newBOSH() *bosh.Server {
	a := s.args.BOSH
	return bosh.New(bosh.Config{
		Wait: a.Wait.Std(), Hold: a.Hold, Inactivity: a.Inactivity.Std(), MaxPause: a.MaxPause.Std(), Polling: a.Polling.Std(),
		Limits: s.limits(), Sessions: s.args.Max,
		Secure: func(r *http.Request) bool { return web.ClientOf(r).Secure },
		Open: func(b *bosh.Session, r *http.Request) bool {
			if !s.admit(r) {
				return false
			}
			c, client := &conn{s: s}, web.ClientOf(r)
			c.t = &requests{c: c, session: b, client: client.NetAddr()}
			go c.liveOverWeb(sasl.Channel{Secure: client.Secure})
			return true
		},
	})
}

// Requests are the transport of XEP-0206. Nobody waits for the next one with a
// goroutine once the connection is parked.
type requests struct {
	c       *conn
	session *bosh.Session
	client  net.Addr
}

func (t *requests) Framing() session.Framing { return session.Bodies }

func (t *requests) Next() (*xml.Token, error) { return t.session.Next(t.c.handOver) }

func (t *requests) Restart() {}

func (t *requests) Rest() { t.session.Rest() }

func (t *requests) Encrypt(context.Context, string) (sasl.Channel, error) {
	return sasl.Channel{}, errors.New("no STARTTLS on BOSH")
}

func (t *requests) Answer(out []byte) error {
	_, err := t.session.Write(out)
	return err
}

func (t *requests) AppendElement(dst []byte, p *packet.Packet) []byte { return appendAlone(dst, p) }

func (t *requests) AppendEnd(dst []byte, e *stream.Error) []byte {
	if e != nil {
		dst = e.Append(dst)
	}
	return append(dst, stream.Close...)
}

func (t *requests) Write(b []byte) (int, error) { return t.session.Write(b) }

func (t *requests) Close() error { return t.session.Close() }

func (t *requests) Cut() error { return t.session.Cut() }

func (t *requests) SetReadDeadline(at time.Time) error { return t.session.SetReadDeadline(at) }

// SetWriteDeadline does nothing: a client that takes nothing is inactive.
func (t *requests) SetWriteDeadline(time.Time) error { return nil }

func (t *requests) RemoteAddr() net.Addr { return t.client }

func (t *requests) Park(x idle.Sleeper) error {
	t.session.Park(x)
	return nil
}

func (t *requests) Leave(x idle.Sleeper) { t.session.Leave(x) }
