package origin_test

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/sdk/origin"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name          string
		a             net.Addr
		want, counted string
	}{
		{"IPv4", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 1}, "192.0.2.7", "192.0.2.7"},
		{"IPv4 in IPv6", &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.7"), Port: 1}, "192.0.2.7", "192.0.2.7"},
		{"a household", &net.TCPAddr{IP: net.ParseIP("2001:db8:0:1:2:3:4:5"), Port: 1}, "2001:db8:0:1::/64", "2001:db8:0:1::/64"},
		{"with a zone", &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 1}, "fe80::/64", "fe80::/64"},
		{"this machine", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2), Port: 1}, "127.0.0.2", ""},
		{"this machine, IPv6", &net.TCPAddr{IP: net.IPv6loopback, Port: 1}, "::/64", ""},
		{"a socket", &net.UnixAddr{Name: "@", Net: "unix"}, "@", "@"},
	} {
		if got, counted := origin.Of(c.a), origin.Counted(c.a); got != c.want || counted != c.counted {
			t.Errorf("%s: %q and %q, want %q and %q", c.name, got, counted, c.want, c.counted)
		}
	}
}

func TestLimit(t *testing.T) {
	var log bytes.Buffer
	l := origin.Limit{What: "guests", Each: 2, All: 4, Log: slog.New(slog.NewTextHandler(&log, nil))}
	for i, step := range []struct {
		enter string
		want  bool
	}{
		{"a", true}, {"a", true}, {"a", false}, {"b", true}, {"a", false}, {"", true}, {"c", false}, {"", false},
	} {
		if got := l.Enter(step.enter); got != step.want {
			t.Errorf("step %d, %q: %v", i, step.enter, got)
		}
	}
	if said := log.String(); strings.Count(said, "too many guests") != 1 || !strings.Contains(said, "last_from=a from_it=2 in_all=2 refused=1") {
		t.Errorf("the log has %s", said)
	}
	l.Leave("a")
	if !l.Enter("a") || l.Enter("a") {
		t.Error("one has left, there is room for one")
	}
	for _, place := range []string{"a", "a", "b", ""} {
		l.Leave(place)
	}
	if l.Open() != 0 || !l.Enter("c") {
		t.Errorf("all have left, %d are there", l.Open())
	}
	open := origin.Limit{}
	for range 1000 {
		if !open.Enter("a") {
			t.Fatal("there is no limit")
		}
	}
}
