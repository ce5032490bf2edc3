package session_test

import (
	"bytes"
	"crypto/tls"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
)

// A client that resumes a TLS session is bound to the certificate that it was shown when
// that began, whichever the server shows by now (RFC 5929 section 4, XEP-0440).
func TestServerEndPointOfResumedSessions(t *testing.T) {
	before, roots := certificate(t)
	after, _ := certificate(t)
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			var shown atomic.Pointer[tls.Certificate]
			shown.Store(&before.Certificates[0])
			secure := session.NewTLSServer(&tls.Config{
				MaxVersion:     version,
				GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.Load(), nil },
			})
			config := roots.Clone()
			config.ServerName, config.ClientSessionCache = host.Domain(), tls.NewLRUClientSessionCache(1)
			for round, resumes := range []bool{false, true, true} {
				state, channel := oneHandshake(t, secure, config)
				if state.DidResume != resumes {
					t.Fatalf("round %d: resumed %v", round, state.DidResume)
				}
				want := sasl.ServerEndPoint(state.PeerCertificates[0])
				if !slices.ContainsFunc(channel.Bindings, func(b sasl.Binding) bool {
					return b.Type == sasl.TLSServerEndPoint && bytes.Equal(b.Data, want)
				}) {
					t.Errorf("round %d: %v, want %x", round, channel.Bindings, want)
				}
				shown.Store(&after.Certificates[0])
			}
		})
	}
}

// oneHandshake is a connection that lasts until the client has its ticket.
func oneHandshake(t *testing.T, secure *session.TLSServer, config *tls.Config) (tls.ConnectionState, sasl.Channel) {
	t.Helper()
	ctx := timeout(t)
	ours, theirs := loopback(t)
	channels := make(chan sasl.Channel, 1)
	go func() {
		conn, channel, err := secure.Handshake(ctx, theirs)
		if err == nil {
			_, err = conn.Write([]byte("x")) // behind the ticket
		}
		if err != nil {
			t.Error(err)
			theirs.Close()
		}
		channels <- channel
	}()
	client := tls.Client(ours, config)
	if _, err := client.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return client.ConnectionState(), <-channels
}
