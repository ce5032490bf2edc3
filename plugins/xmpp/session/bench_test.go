package session_test

import (
	"context"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// BenchmarkReceiver is the whole negotiation of a client, but for TLS and for the look-up
// of the password.
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
