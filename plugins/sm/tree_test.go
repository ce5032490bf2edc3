package sm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/xdb/memory"
)

// plan is a server with a session manager and storage; what goes to
// connections and to other domains ends in sinks.
func plan() sdktest.Plan {
	return sdktest.Plan{
		Modules: []module.Module{sm.Module, memory.Module},
		Sections: []module.Section{
			sdktest.Service("users", sdktest.Host("localhost"), sdktest.Block("sm", `{}`)),
			sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("memory", `{}`)),
			sdktest.Sinks("c2s", packet.Session),
			sdktest.Sinks("*", packet.Normal),
		},
	}
}

// A line is a connection in a real server.
type line struct {
	h  *sdktest.Harness
	up packet.Packet
}

func dial(t *testing.T, h *sdktest.Harness, slot uint32, full string) *line {
	t.Helper()
	l := &line{h: h, up: packet.Packet{
		Kind: packet.Session, Host: "localhost", From: packet.Bare(full),
		Near: packet.Token{Host: "c2s", Section: "sink c2s", Slot: slot, Incarnation: 1},
	}}
	l.say(t, `<iq type='set' id='1'><bind xmlns='%s'><resource>%s</resource></bind></iq>`, ns.Bind, packet.Resource(full))
	p := h.Next()
	if p.To != full {
		t.Fatalf("bound %s, want %s", p.To, full)
	}
	l.up.From, l.up.Far = full, p.Near
	return l
}

func (l *line) packet(t testing.TB, format string, args ...any) *packet.Packet {
	p := parse(t, fmt.Sprintf(format, args...))
	l.up.Seq++
	p.Kind, p.Host, p.From, p.Near, p.Far, p.Seq = l.up.Kind, l.up.Host, l.up.From, l.up.Near, l.up.Far, l.up.Seq
	return &p
}

func (l *line) say(t testing.TB, format string, args ...any) {
	t.Helper()
	if o := l.h.Deliver(l.packet(t, format, args...)); o.Result != packet.Claimed {
		t.Fatalf("%s ended %+v", fmt.Sprintf(format, args...), o)
	}
}

func received(h *sdktest.Harness) []string {
	var list []string
	for _, p := range h.Received() {
		if p.Name != "sync" {
			list = append(list, text(&p))
		}
	}
	return list
}

// await waits for what comes next, but for what sm asks of its own accord. A
// message may have had to wait for those before it.
func await(t *testing.T, h *sdktest.Harness, want string) {
	t.Helper()
	p := h.Next()
	for p.Name == "sync" || p.Name == "r" {
		p = h.Next()
	}
	if got := text(p); got != want && got != want+"<delay from='localhost'/>" {
		t.Errorf("%s comes, want %s", got, want)
	}
}

func TestInATree(t *testing.T) {
	sdktest.Both(t, plan(), func(t *testing.T, h *sdktest.Harness) {
		if _, err := h.Ask(&packet.Packet{
			Kind: packet.XDB, To: "bob@localhost", From: "test", Name: "put", Type: "set", NS: "auth",
			Body: []byte("<put key='scram-sha-256'>" + string(password()) + "</put>"),
		}); err != nil {
			t.Fatal(err)
		}
		ann := dial(t, h, 1, "ann@localhost/phone")
		ann.say(t, `<presence/>`)
		expect(t, "presence", received(h), "presence ann@localhost/phone>ann@localhost")
		ann.say(t, `<message to='bob@localhost' type='chat'><body>wait</body></message>`)
		ann.say(t, `<iq type='get' id='2'><query xmlns='%s'/></iq>`, ns.Roster)
		expect(t, "roster", received(h), "iq:result ann@localhost>ann@localhost/phone <query></query>")
		ann.say(t, `<message to='carl@elsewhere'><body>away</body></message>`)
		expect(t, "elsewhere", received(h), "message ann@localhost/phone>carl@elsewhere <body>away</body>")

		bob := dial(t, h, 2, "bob@localhost/desk")
		bob.say(t, `<enable xmlns='%s' resume='true'/>`, ns.StreamManagement)
		enabled := text(h.Next())
		if !strings.HasPrefix(enabled, "enabled") {
			t.Fatalf("enabled: %q", enabled)
		}
		bob.say(t, `<presence/>`)
		await(t, h, "presence bob@localhost/desk>bob@localhost")
		await(t, h, "message:chat ann@localhost/phone>bob@localhost <body>wait</body><delay from='localhost'/>")
		bob.say(t, `<a xmlns='%s' h='2'/>`, ns.StreamManagement)
		ann.say(t, `<message to='bob@localhost' type='chat'><body>now</body></message>`)
		await(t, h, "message:chat ann@localhost/phone>bob@localhost <body>now</body>")
		bob.say(t, `<r xmlns='%s'/>`, ns.StreamManagement)
		await(t, h, "a h='1'")

		h.Restart()
		await(t, h, enabled) // as before; c2s drops what it has seen
		await(t, h, "message:chat ann@localhost/phone>bob@localhost <body>now</body>")
		bob.say(t, `<r xmlns='%s'/>`, ns.StreamManagement)
		await(t, h, "a h='1'")
		ann.say(t, `<message to='bob@localhost' type='chat'><body>again</body></message>`)
		await(t, h, "message:chat ann@localhost/phone>bob@localhost <body>again</body>")
	})
}

// Stanzas of many to one session with stream management reach its connection
// in the order of its queue, without gaps, while it acknowledges.
func TestOrderUnderLoad(t *testing.T) {
	const senders, each = 8, 100
	sdktest.Both(t, plan(), func(t *testing.T, h *sdktest.Harness) {
		bob := dial(t, h, 0, "bob@localhost/desk")
		bob.say(t, `<enable xmlns='%s' resume='true'/>`, ns.StreamManagement)
		hello := h.Next()
		var lines []*line
		for i := range senders {
			lines = append(lines, dial(t, h, uint32(i+1), fmt.Sprintf("s%d@localhost/x", i)))
		}
		for _, l := range lines[:senders/2] { // half of them managed
			l.say(t, `<enable xmlns='%s'/>`, ns.StreamManagement)
			h.Next()
		}
		var outcomes []<-chan packet.Outcome
		for n := range each {
			for _, l := range lines {
				outcomes = append(outcomes, h.Send(l.packet(t, `<message to='bob@localhost/desk' type='chat'><body>%d</body></message>`, n)))
			}
			if n%10 == 9 {
				outcomes = append(outcomes, h.Send(bob.packet(t, `<a xmlns='%s' h='0'/>`, ns.StreamManagement)))
			}
		}
		for _, o := range outcomes {
			if o := <-o; o.Result != packet.Claimed {
				t.Fatalf("%+v", o)
			}
		}
		next := map[string]int{}
		seq := hello.Seq
		for range senders * each {
			p := h.Next()
			for p.Name != "message" {
				p = h.Next()
			}
			if seq++; p.Seq != seq {
				t.Fatalf("number %d where %d is due", p.Seq, seq)
			}
			if body := bodies([]packet.Packet{*p})[0]; body != fmt.Sprint(next[p.From]) {
				t.Fatalf("%s comes from %s where %d is due", body, p.From, next[p.From])
			}
			next[p.From]++
		}
	})
}
