package accept_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/component"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// BenchmarkThrough is a message of 300 bytes from one component to another, with as many
// on the way as may be.
func BenchmarkThrough(b *testing.B) {
	for name, wired := range map[string]bool{"linked": false, "wired": true} {
		b.Run(name, func(b *testing.B) {
			h := sdktest.New(b, plan(`,"max_buffer":"1GiB"`), wired)
			address := listening(h)
			from, _ := byHand(b, address, irc)
			_, to := byHand(b, address, news)
			const start = "<message from='bob@irc.example.org/desk' to='ann@news.example.org' type='chat' id='0123456789'><body>"
			message := start + strings.Repeat("x", 300-len(start)-len("</body></message>")) + "</body></message>"
			many := []byte(strings.Repeat(message, 100))
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				for left := b.N; left > 0; left -= 100 {
					if _, err := from.Write(many[:min(left, 100)*len(message)]); err != nil {
						return
					}
				}
			}()
			for range b.N {
				if _, err := to.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// byHand opens a stream for a host, and leaves reading and writing to the caller.
func byHand(b *testing.B, address, host string) (io.Writer, *xml.Reader) {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	reader := xml.NewReader(conn, xml.Limits{})
	config := component.Config{NS: ns.ComponentAccept, Name: jid.MustParse(host), Secret: secret}
	if err := component.Negotiate(ctx, conn, reader, config); err != nil {
		b.Fatal(err)
	}
	return conn, reader
}
