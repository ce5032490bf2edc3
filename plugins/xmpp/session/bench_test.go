package session_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// BenchmarkReceiver is the whole negotiation of a client, but for TLS
// (BenchmarkHandshake) and for the look-up of the password.
func BenchmarkReceiver(b *testing.B) {
	a := &sasl.Authenticator{Verify: func(context.Context, string, string) error { return nil }}
	acc := acceptor(session.OfferStartTLS(true), session.OfferSASL(host, a), session.OfferBind(bind))
	streams := [][]byte{[]byte(open + startTLS), []byte(open + auth), []byte(open + bindIQ)}
	b.ReportAllocs()
	for b.Loop() {
		r, scanner := session.NewReceiver(acc), xml.NewScanner(xml.Limits{})
		var reply session.Reply
		for _, buf := range streams {
			for {
				t, n, err := scanner.Next(buf)
				if err != nil {
					b.Fatal(err)
				}
				if t == nil {
					break
				}
				buf = buf[n:]
				reply = r.Feed(b.Context(), t)
				if reply.Step == session.Encrypt {
					r.Secured(sasl.Channel{Secure: true})
				}
			}
			scanner.Reset()
		}
		if reply.Step != session.Ready {
			b.Fatalf("step %v: %v", reply.Step, reply.Err)
		}
	}
}

// BenchmarkSession is a message from one session to another over loopback.
func BenchmarkSession(b *testing.B) {
	got := make(chan struct{}, 1000)
	client, _ := pair(b, session.Account{Window: -1}, session.Config{Element: func(t *xml.Token) error {
		if t.NS == ns.Client {
			got <- struct{}{}
		}
		return nil
	}})
	m := message(romeo, "a message of the usual length, which is not very long at all, is it?")
	b.ReportAllocs()
	go func() {
		for range b.N {
			if err := client.Send(context.Background(), m); err != nil {
				return
			}
		}
	}()
	b.ResetTimer()
	for range b.N {
		<-got
	}
}

// BenchmarkHandshake is a TLS handshake of both sides together, without sockets.
func BenchmarkHandshake(b *testing.B) {
	for _, test := range []struct {
		name    string
		curve   tls.CurveID
		resumed bool
	}{
		{"X25519", tls.X25519, false},
		{"X25519MLKEM768", tls.X25519MLKEM768, false},
		{"X25519_resumed", tls.X25519, true},
	} {
		b.Run(test.name, func(b *testing.B) {
			config, trusting := certificate(b)
			trusting.ServerName, trusting.CurvePreferences = host.Domain(), []tls.CurveID{test.curve}
			server := session.NewTLSServer(config)
			if test.resumed {
				trusting.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				encrypted(b, server, trusting)
			}
			b.ReportAllocs()
			for b.Loop() {
				client, _ := encrypted(b, server, trusting)
				if client.ConnectionState().DidResume != test.resumed {
					b.Fatalf("resumed: %v", !test.resumed)
				}
				client.NetConn().Close()
			}
		})
	}
}

// BenchmarkRecord is what is ready for a connection, written to one TLS record and read
// from it at the other side.
func BenchmarkRecord(b *testing.B) {
	for _, messages := range []int{1, 16} {
		b.Run(fmt.Sprintf("messages=%d", messages), func(b *testing.B) {
			config, trusting := certificate(b)
			trusting.ServerName = host.Domain()
			client, server := encrypted(b, session.NewTLSServer(config), trusting)
			text := bytes.Repeat([]byte("x"), 300*messages)
			ready, failed := make(chan struct{}), make(chan error, 1)
			go func() {
				for range ready {
					if _, err := server.Write(text); err != nil {
						failed <- err
						return
					}
				}
			}()
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for got := make([]byte, len(text)); b.Loop(); {
				ready <- struct{}{}
				if _, err := io.ReadFull(client, got); err != nil {
					b.Fatal(err)
				}
			}
			close(ready)
			select {
			case err := <-failed:
				b.Fatal(err)
			default:
			}
		})
	}
}

// encrypted returns both sides of a connection that is in TLS. The client has got what
// it needs to resume its session.
func encrypted(b *testing.B, server *session.TLSServer, trusting *tls.Config) (client, secure *tls.Conn) {
	b.Helper()
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() {
		var err error
		if secure, _, err = server.Handshake(context.Background(), theirs); err == nil {
			_, err = secure.Write([]byte(" "))
		}
		done <- err
	}()
	client = tls.Client(ours, trusting)
	if _, err := client.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	return client, secure
}
