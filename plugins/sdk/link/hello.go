package link

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/jabberii/server/plugins/sdk/peer"
)

// versions are the versions of the protocol that are spoken here.
func versions() []int { return []int{1} }

// A greeting is the content of a hello.
type greeting struct {
	Versions []int  `json:"versions"` // those spoken; in the answer the one that is chosen
	ID       uint64 `json:"id,string"`
	Window   int    `json:"window"`  // packets that are taken unanswered
	Idle     int64  `json:"idle_ms"` // it will be heard at least as often; 0 promises nothing
	Proof    []byte `json:"proof"`
}

// A Refused is why one side does not link with the other.
type Refused struct {
	Condition string `json:"condition"` // version, secret, conflict, hello
	Text      string `json:"text"`
	Versions  []int  `json:"versions,omitempty"` // that are accepted
	theirs    bool
}

// Error says who refuses, and why.
func (r *Refused) Error() string {
	if r.theirs {
		return "the other server refuses: " + r.Text
	}
	return r.Text
}

// The names of the two sides, for their proofs.
const (
	connects = "connects"
	listens  = "listens"
)

// prove returns what shows that a side of a connection knows the secret, which is
// good for that side and connection only.
func (l *Link) prove(conn *tls.Conn, side string) ([]byte, error) {
	state := conn.ConnectionState()
	key, err := state.ExportKeyingMaterial("EXPORTER-jabberd-link", nil, 32)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(sha256.New, []byte(l.Secret))
	mac.Write([]byte("jabberd link 1 " + side))
	mac.Write(key)
	return mac.Sum(nil), nil
}

func (l *Link) greet(proof []byte, versions []int) greeting {
	return greeting{
		Versions: versions, ID: l.id, Window: l.Window, Idle: l.Ping.Idle.Std().Milliseconds(), Proof: proof,
	}
}

// Connect does the handshakes as the side that opened a connection, of TLS and of
// the link, while ctx lasts. After an error the connection is closed. What the
// other side refuses is a *[Refused].
func (l *Link) Connect(ctx context.Context, nc net.Conn, config *tls.Config) (*Stream, error) {
	conn := tls.Client(peer.NewConn(nc), config)
	return l.shake(ctx, conn, func(r *bufio.Reader) (*Stream, error) {
		proof, err := l.prove(conn, connects)
		if err != nil {
			return nil, err
		}
		if err := say(conn, hello, l.greet(proof, versions())); err != nil {
			return nil, err
		}
		theirs, err := l.hear(conn, r, listens)
		if err != nil {
			return nil, err
		}
		return l.take(ctx, conn, r, theirs)
	})
}

// Accept is Connect for the side that a connection was opened to.
func (l *Link) Accept(ctx context.Context, nc net.Conn, config *tls.Config) (*Stream, error) {
	conn := tls.Server(peer.NewConn(nc), config)
	return l.shake(ctx, conn, func(r *bufio.Reader) (*Stream, error) {
		theirs, err := l.hear(conn, r, connects)
		var s *Stream
		if err == nil {
			s, err = l.take(ctx, conn, r, theirs)
		}
		var refused *Refused
		if errors.As(err, &refused) && !refused.theirs {
			_ = say(conn, refusal, refused) // what matters is why
		}
		if err != nil {
			return nil, err
		}
		proof, err := l.prove(conn, listens)
		if err == nil {
			err = say(conn, hello, l.greet(proof, []int{theirs.Versions[0]}))
		}
		if err != nil {
			s.abandon(err)
			return nil, err
		}
		return s, nil
	})
}

// shake does the handshake of TLS and then that of the link, while ctx lasts.
func (l *Link) shake(ctx context.Context, conn *tls.Conn, link func(*bufio.Reader) (*Stream, error)) (*Stream, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	err := conn.HandshakeContext(ctx)
	if err != nil {
		err = fmt.Errorf("TLS: %w", err)
	}
	var s *Stream
	if err == nil {
		s, err = link(bufio.NewReaderSize(conn, batchSize))
	}
	if err == nil && !stop() {
		err = context.Cause(ctx)
		s.abandon(err)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// say writes a message in JSON.
func say(conn net.Conn, kind byte, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b, at := begin(nil, kind)
	_, err = conn.Write(finish(append(b, content...), at))
	return err
}

// hear reads the hello of the other side and checks it. The first of its versions
// is then the one to speak.
func (l *Link) hear(conn *tls.Conn, r *bufio.Reader, side string) (*greeting, error) {
	kind, content, err := read(r, maxHello)
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("the other server closed the connection instead of a hello")
	case err != nil: // also a certificate that the other side did not like
		return nil, fmt.Errorf("no hello: %w", err)
	case kind == refusal:
		refused := Refused{theirs: true}
		if err := json.Unmarshal(content, &refused); err != nil {
			return nil, fmt.Errorf("a refusal that is none: %w", err)
		}
		refused.Text = printable(refused.Text)
		return nil, &refused
	case kind != hello:
		return nil, &Refused{Condition: "hello", Text: fmt.Sprintf("message %q instead of a hello", kind)}
	}
	var g greeting
	if err := json.Unmarshal(content, &g); err != nil {
		return nil, &Refused{Condition: "hello", Text: "a hello that is none: " + err.Error()}
	}
	version := common(g.Versions)
	if version == 0 {
		return nil, &Refused{
			Condition: "version", Versions: versions(),
			Text: fmt.Sprintf("no common version of the link protocol: offered are %v, accepted are %v", g.Versions, versions()),
		}
	}
	proof, err := l.prove(conn, side)
	switch {
	case err != nil:
		return nil, err
	case !hmac.Equal(g.Proof, proof):
		return nil, &Refused{Condition: "secret", Text: "the secret is not the same on both servers"}
	case g.Window < 1 || g.ID == 0 || g.Idle < 0:
		return nil, &Refused{Condition: "hello", Text: "a hello without window or id"}
	}
	g.Versions[0] = version
	return &g, nil
}

// common returns the highest version that is offered and spoken here, 0 if none is.
func common(offered []int) (version int) {
	for _, v := range offered {
		if v > version && slices.Contains(versions(), v) {
			version = v
		}
	}
	return version
}

// printable makes what a stranger has said fit for a log.
func printable(s string) string {
	const most = 300
	out := make([]rune, 0, most)
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		if out = append(out, r); len(out) == most {
			break
		}
	}
	return string(out)
}
