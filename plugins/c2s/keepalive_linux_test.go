package c2s_test

import (
	"net"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"golang.org/x/sys/unix"
)

// deafen has the kernel drop all that comes for a connection, confirmations and
// questions too: to the other side it is a machine without power.
func deafen(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A client that is gone without a word has lost its connection, not left.
func TestADeadClientIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name, listen string
		sends        bool // something is under way to the client
	}{
		{"idle, IPv4", "127.0.0.1:0", false},
		{"idle, IPv6", "[::1]:0", false},
		{"with something under way", "127.0.0.1:0", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if l, err := net.Listen("tcp", c.listen); err != nil {
				t.Skip("there is no such address here: ", err)
			} else {
				l.Close()
			}
			h := sdktest.New(t, plan(`{"listen":["`+c.listen+`"],"keepalive":{"idle":"1s","interval":"1s","count":2}}`), false)
			address := listening(h)
			withAccount(t, h)
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			s, err := loginOn(t, conn, session.Account{})
			if err != nil {
				t.Fatal(err)
			}
			chat(t, s)
			deafen(t, conn)
			if c.sends {
				s.Send(t.Context(), stanza.Stanza{Name: stanza.Message, To: jid.MustParse("bob@example.org"), Body: []byte("<body>to one who is deaf</body>")})
			}
			if p := h.Next(); p.Name != "close" || p.Type != "lost" {
				t.Errorf("the session is told %+v", p)
			}
		})
	}
}

func TestKeepaliveArguments(t *testing.T) {
	for args, want := range map[string]string{
		`"idle":"500ms"`:              "keepalive.idle",
		`"idle":"10h"`:                "keepalive.idle",
		`"idle":"0s","interval":"1s"`: "",
		`"interval":"0s"`:             "keepalive.interval",
		`"count":0`:                   "keepalive.count",
		`"count":101`:                 "keepalive.count",
	} {
		_, err := sdktest.Try(t, plan(`{"listen":[],"keepalive":{`+args+`}}`), false)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
