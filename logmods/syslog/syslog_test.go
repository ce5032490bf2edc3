package syslog_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/syslog"
	"github.com/jabberii/server/plugins/sdk/entry"
)

type env struct{ module.Env }

func (env) Log() *slog.Logger { return slog.New(slog.DiscardHandler) }

func handler(t *testing.T, args string) packet.Handler {
	t.Helper()
	h, err := syslog.Module.New(env{}, []byte(args))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.(io.Closer).Close() })
	return h
}

func handle(t *testing.T, h packet.Handler, p *packet.Packet, want packet.Verdict) {
	t.Helper()
	p.Kind = packet.Log
	if v, err := h.Handle(t.Context(), p); v != want || err != nil {
		t.Fatalf("got %v, %v, want %v", v, err, want)
	}
}

func event(level, text string) *packet.Packet {
	return &packet.Packet{Type: level, From: "c2s", Name: entry.Name, Attrs: " time='2026-03-05T12:30:00.25Z' a='1'", Body: entry.Body(text)}
}

func TestLocalSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	listen := func() net.PacketConn {
		l, err := net.ListenPacket("unixgram", path)
		if err != nil {
			t.Fatal(err)
		}
		l.SetReadDeadline(time.Now().Add(5 * time.Second))
		return l
	}
	read := func(l net.PacketConn) string {
		b := make([]byte, 1<<16)
		n, _, err := l.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	l := listen()
	h := handler(t, fmt.Sprintf(`{"address":%q,"facility":"local3","tag":"xmpp"}`, path))
	handle(t, h, event("warn", "a <b>\n"), packet.Claim)
	at := time.Date(2026, 3, 5, 12, 30, 0, 0, time.UTC).Local().Format(time.Stamp)
	if got, want := read(l), fmt.Sprintf(`<156>%s xmpp[%d]: c2s: a <b>\n a=1`, at, os.Getpid()); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	handle(t, h, &packet.Packet{Type: "error", Name: entry.Formatted, Body: []byte("done")}, packet.Claim)
	if got := read(l); !strings.HasPrefix(got, "<155>") || !strings.HasSuffix(got, "]: done") {
		t.Errorf("got %q", got)
	}
	handle(t, h, event("info", strings.Repeat("é", 10_000)), packet.Claim)
	if got := read(l); len(got) > 8192 || !strings.HasSuffix(got, "éé...") {
		t.Errorf("got %d bytes: ...%s", len(got), got[len(got)-10:])
	}

	l.Close() // the daemon is restarted
	os.Remove(path)
	l = listen()
	defer l.Close()
	handle(t, h, event("debug", "again"), packet.Claim)
	if got := read(l); !strings.HasPrefix(got, "<159>") || !strings.Contains(got, "again") {
		t.Errorf("got %q", got)
	}
}

func TestUDP(t *testing.T) {
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetReadDeadline(time.Now().Add(5 * time.Second))
	h := handler(t, fmt.Sprintf(`{"network":"udp","address":%q}`, l.LocalAddr()))
	handle(t, h, event("notice", "hello"), packet.Claim)
	b := make([]byte, 1<<16)
	n, _, err := l.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^<29>1 2026-03-05T12:30:00\.250000Z \S+ jabberd \d+ - - c2s: hello a=1$`)
	if !want.Match(b[:n]) {
		t.Errorf("got %q", b[:n])
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := handler(t, fmt.Sprintf(`{"network":"tcp","address":%q}`, l.Addr()))
	for range 2 { // the second connection after the daemon has closed the first
		c := accept(t, h, l)
		r := bufio.NewReader(c)
		for _, text := range []string{"hello", "one", "two"} {
			if text != "hello" {
				handle(t, h, event("error", text), packet.Claim)
			}
			got := read(t, r)
			for text == "one" && strings.Contains(got, "hello") {
				got = read(t, r) // as often as accept said it
			}
			if !strings.HasPrefix(got, "<27>1 ") || !strings.HasSuffix(got, "- - c2s: "+text+" a=1") {
				t.Errorf("got %q", got)
			}
		}
		c.Close()
	}
}

// read reads a message with its length before it.
func read(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var n int
	if _, err := fmt.Fscanf(r, "%d ", &n); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// accept writes entries until h makes a new connection. One that crosses with
// the end of the old one is lost: TCP does not know better.
func accept(t *testing.T, h packet.Handler, l net.Listener) net.Conn {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	for {
		v, err := h.Handle(t.Context(), event("error", "hello"))
		if err != nil {
			t.Fatal(err)
		}
		select {
		case c := <-accepted:
			if v != packet.Claim {
				t.Errorf("got %v, want claim", v)
			}
			c.SetDeadline(time.Now().Add(5 * time.Second))
			return c
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestNobodyThere(t *testing.T) {
	h := handler(t, `{"address":"/nowhere/log"}`)
	handle(t, h, event("warn", "x"), packet.Pass)
	handle(t, h, event("warn", "x"), packet.Pass)
	if v, why := h.(module.Explainer).Explain(t.Context(), event("warn", "x")); v != packet.Pass || why != "cannot write to syslog /nowhere/log now" {
		t.Errorf("explained as %v, %s", v, why)
	}
}

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{"network":"sctp"}`:                  "network",
		`{"network":"tcp"}`:                   "address",
		`{"network":"udp","address":"a:"}`:    "address",
		`{"tag":"two words"}`:                 "tag",
		`{"facility":"local9"}`:               "facility",
		`{"form":"rfc3164"}`:                  "form",
		`{"network":"udp","address":"[::1]"}`: "address",
	} {
		_, err := syslog.Module.New(env{}, []byte(args))
		var bad *module.ArgError
		if !errors.As(err, &bad) || bad.Path[0] != want {
			t.Errorf("%s: got %v, want an error at %s", args, err, want)
		}
	}
}
