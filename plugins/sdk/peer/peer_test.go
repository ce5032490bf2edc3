package peer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/peer"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const (
	host   = "gate.example.org"
	header = "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>"
)

// start returns a peer in a server where example.org is a sink. Nothing calls Put
// but the test.
func start(t *testing.T, hold peer.Hold) (*peer.Peer, *sdktest.Harness) {
	t.Helper()
	h := sdktest.New(t, sdktest.Plan{Sections: []module.Section{sdktest.Sinks("example.org", packet.Normal)}}, false)
	p := peer.New(peer.Config{
		Env: h.Env(), Host: host, Names: jid.NewCache(16), Admit: func(*packet.Packet) error { return nil },
		Buffer: 1 << 20, Hold: hold,
	})
	t.Cleanup(func() { p.Close() })
	return p, h
}

var patient = peer.Hold{Packets: 1000, Time: module.Duration(time.Hour)}

func message(id int) *packet.Packet {
	return &packet.Packet{To: host, From: "ann@example.org", Name: "message", ID: fmt.Sprint(id), Body: []byte("<body>" + strings.Repeat("x", id) + "</body>")}
}

// serve runs a stream on one end of a connection, and returns what Serve returns.
func serve(t *testing.T, p *peer.Peer, nc net.Conn) <-chan error {
	t.Helper()
	conn := peer.NewConn(nc)
	r := xml.NewReader(conn, xml.Limits{})
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if !p.Take() {
		t.Fatal("the peer is taken")
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(context.Background(), conn, r) }()
	return ended
}

// A frail connection takes so many bytes of its first write, and fails.
type frail struct {
	net.Conn
	mu   sync.Mutex
	left int
	got  []byte
}

func (f *frail) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(b), f.left)
	f.got, f.left = append(f.got, b[:n]...), f.left-n
	return n, errors.New("the network is gone")
}

// pipe is a connection on which the peer has said its header, and nothing more until it is
// closed.
func pipe(t *testing.T) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { theirs.Close() })
	go io.WriteString(theirs, header)
	return ours
}

// What a connection could not take in whole is written to the next one, wherever it broke.
func TestNothingIsLostOrRepeatedWhenWritesFail(t *testing.T) {
	const packets = 40
	p, _ := start(t, patient)
	for i := range packets {
		if err := p.Put(t.Context(), message(i)); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for left := 0; len(ids) < packets; left += 37 {
		f := &frail{Conn: pipe(t), left: left}
		err := <-serve(t, p, f)
		if err == nil || !strings.Contains(err.Error(), "the network is gone") {
			t.Fatalf("the stream ended with %v", err)
		}
		// The peer takes the whole stanzas only.
		scanner, buf := xml.NewScanner(xml.Limits{}), append([]byte(header), f.got...)
		for {
			tok, n, err := scanner.Next(buf)
			if err != nil {
				t.Fatal(err)
			}
			if tok == nil {
				break
			}
			if tok.Kind == xml.Child {
				ids = append(ids, string(tok.ID))
			}
			buf = buf[n:]
		}
		if len(ids) == packets {
			break
		}
		if left > 37*100 {
			t.Fatalf("got %v", ids)
		}
	}
	for i, id := range ids {
		if id != fmt.Sprint(i) {
			t.Fatalf("stanza %d is %s in %v", i, id, ids)
		}
	}
}

func TestBuffer(t *testing.T) {
	p, _ := start(t, patient)
	big := message(300 << 10)
	for i := range 4 {
		err := p.Put(t.Context(), big)
		var r *packet.Reject
		if full := errors.As(err, &r) && r.Condition == "resource-constraint"; full != (i == 3) {
			t.Errorf("packet %d: %v", i, err)
		}
	}
}

func TestHoldNothing(t *testing.T) {
	p, _ := start(t, peer.Hold{})
	var r *packet.Reject
	if err := p.Put(t.Context(), message(1)); !errors.As(err, &r) || r.Condition != "service-unavailable" {
		t.Errorf("got %v", err)
	}
}

// What comes while a stream is negotiated waits for it, and is sent back if nothing
// comes of it.
func TestATakenPeer(t *testing.T) {
	p, h := start(t, peer.Hold{})
	if !p.Take() || p.Take() {
		t.Fatal("taken twice, or not at all")
	}
	if err := p.Put(t.Context(), message(1)); err != nil {
		t.Fatal(err)
	}
	p.Release()
	if q := h.Next(); q.Type != "error" || q.ID != "1" || q.From != host || !strings.Contains(string(q.Body), "remote-server-timeout") {
		t.Errorf("sent back is %+v, %s", q, q.Body)
	}
}

func TestCloseCountsWhatIsLost(t *testing.T) {
	p, _ := start(t, patient)
	p.Put(t.Context(), message(1))
	p.Put(t.Context(), message(2))
	if n := p.Close(); n != 2 {
		t.Errorf("lost %d", n)
	}
	if err := p.Put(t.Context(), message(3)); err == nil {
		t.Error("a closed peer takes packets")
	}
	if p.Take() {
		t.Error("a closed peer takes a stream")
	}
}

// The end of the context lets the peer read what waits, and tells it why.
func TestShutdown(t *testing.T) {
	p, _ := start(t, patient)
	for i := range 3 {
		p.Put(t.Context(), message(i))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	theirs.SetDeadline(time.Now().Add(30 * time.Second))
	ours, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(theirs, header)
	conn := peer.NewConn(ours)
	r := xml.NewReader(conn, xml.Limits{})
	if _, err := r.Next(); err != nil || !p.Take() {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx, conn, r) }()
	b, err := io.ReadAll(theirs)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if strings.Count(text, "<message") != 3 || !strings.Contains(text, "system-shutdown") || !strings.HasSuffix(text, "</stream:stream>") {
		t.Errorf("the peer reads %s", text)
	}
	theirs.Close()
	<-ended
}
