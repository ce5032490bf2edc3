package component_test

import (
	"errors"
	"net"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/component"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Both sides without sessions: behind the handshake the stream is the caller's.
func TestNegotiate(t *testing.T) {
	for name, c := range map[string]struct {
		secret string
		want   stream.Condition
	}{
		"right secret": {secret, ""},
		"wrong secret": {"guess", stream.NotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			defer theirs.Close()
			receiver := component.NewReceiver(acceptor(""))
			other := xml.NewReader(theirs, xml.Limits{})
			done := make(chan error, 1)
			go func() { done <- receiver.Negotiate(timeout(t), theirs, other) }()
			reader := xml.NewReader(ours, xml.Limits{})
			err := component.Negotiate(timeout(t), ours, reader, component.Config{Name: plays, Secret: c.secret})
			for _, err := range []error{err, <-done} {
				var e *stream.Error
				if errors.As(err, &e) != (c.want != "") || e != nil && e.Condition != c.want {
					t.Fatalf("got %v, want %q", err, c.want)
				}
			}
			if c.want != "" {
				return
			}
			if receiver.Name() != plays {
				t.Errorf("the component is %s", receiver.Name())
			}
			go ours.Write([]byte("<message/>"))
			if got, err := other.Next(); err != nil || got.Name != "message" || got.NS != ns.ComponentAccept {
				t.Errorf("behind the handshake comes %+v, %v", got, err)
			}
			go theirs.Write([]byte("<presence/>"))
			if got, err := reader.Next(); err != nil || got.Name != "presence" {
				t.Errorf("behind the handshake comes %+v, %v", got, err)
			}
		})
	}
}
