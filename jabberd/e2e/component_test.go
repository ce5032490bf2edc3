package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/wire"
	"github.com/jabberii/server/plugins/xmpp/component"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// TestMain is the program of the plugin "middle" too.
func TestMain(m *testing.M) {
	if os.Getenv("JABBERD_PLUGIN") != "" || os.Args[len(os.Args)-1] == "describe" {
		os.Exit(wire.Main(os.Args[1:], []module.Module{relay}))
	}
	os.Exit(m.Run())
}

// relay sends what it gets on to another host, or lets it pass.
var relay = module.Define("relay", "Sends packets on to another host.", module.On(packet.Normal), func(env module.Env, a relayArgs) (packet.Handler, error) {
	return packet.HandlerFunc(func(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
		if a.To == "" {
			return packet.Pass, nil
		}
		q := *p
		q.To = "b@" + a.To
		return packet.Claim, env.Deliver(ctx, &q)
	}), nil
})

type relayArgs struct {
	To string `json:"to"`
}

const (
	addresses = 16    // that each component sends from, so many order keys
	stages    = 4     // between which something dies
	numbers   = 20000 // messages from each component to the other
	share     = numbers / stages
	pingEvery = 200 // messages

	reconnect = 50 * time.Millisecond // between two attempts of one
)

// A talk is two components that send each other numbered messages, and ping after
// some: what was sent before a ping that was answered is accepted.
type talk struct {
	t     *testing.T
	sides [2]*side
	ctx   context.Context
}

// deaths are how often something dies during a talk.
const deaths = stages - 1

// A side is one of the components, and what it has got from the other.
type side struct {
	name, to, port, secret string

	mu       sync.Mutex
	session  *session.Session
	changed  chan struct{} // closed when anything changes
	may      int           // send so many messages by now
	sent     int           // messages
	accepted int           // of these
	cuts     []cut
	got      []bool // of the other side, by number
	count    int
	back     []bool // of its own, those that it was told have bounced
	last     [addresses]int
	wrong    []string
}

// A cut is what a side had sent, and what of that was accepted, when its
// connection was lost.
type cut struct{ accepted, sent int }

func newSide(name, to, port, secret string) *side {
	s := &side{name: name, to: to, port: port, secret: secret, changed: make(chan struct{}), got: make([]bool, numbers), back: make([]bool, numbers)}
	for i := range s.last {
		s.last[i] = -1
	}
	return s
}

func (s *side) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until something is so.
func (k *talk) await(s *side, what string, so func() bool) {
	for {
		s.mu.Lock()
		done, changed := so(), s.changed
		s.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-k.ctx.Done():
			k.t.Errorf("%s: waited in vain for %s: %d sent, %d accepted, %d received", s.name, what, s.sent, s.accepted, s.count)
			return
		}
	}
}

// A reading connection is one whose end is found out by who reads from it: what
// came before is read, although nothing can be written any more.
type reading struct{ net.Conn }

func (c reading) Write(b []byte) (int, error) {
	_, _ = c.Conn.Write(b)
	return len(b), nil
}

// connect connects a side, and again whenever its connection is lost.
func (k *talk) connect(s *side) {
	for k.ctx.Err() == nil {
		conn, err := (&net.Dialer{}).DialContext(k.ctx, "tcp", "127.0.0.1:"+s.port)
		if err == nil {
			var x *session.Session
			if x, err = component.Open(k.ctx, reading{conn}, component.Config{Name: jid.MustParse(s.name), Secret: s.secret}); err == nil {
				s.change(func() { s.session = x })
				k.read(s, x)
				s.change(func() {
					s.session = nil
					s.cuts = append(s.cuts, cut{s.accepted, s.sent})
				})
				continue
			}
		}
		select {
		case <-time.After(reconnect):
		case <-k.ctx.Done():
		}
	}
}

// read counts what a side gets until its connection is lost.
func (k *talk) read(s *side, x *session.Session) {
	for {
		m, err := x.Receive(k.ctx)
		if err != nil {
			return
		}
		if m.Name != stanza.Message {
			continue
		}
		n, err := strconv.Atoi(m.ID)
		s.change(func() {
			switch {
			case err != nil || n < 0 || n >= numbers:
				s.complain("got %s %s: %s", m.Type, m.ID, m.Body)
				return
			case m.Type == stanza.TypeError: // too much waited for the other, which was away
				s.back[n] = true
				return
			case s.got[n]:
				s.complain("message %d came twice", n)
			case n < s.last[n%addresses]:
				s.complain("message %d came after %d", n, s.last[n%addresses])
			}
			if !s.got[n] {
				s.got[n] = true
				s.count++
			}
			s.last[n%addresses] = max(s.last[n%addresses], n)
		})
	}
}

func (s *side) complain(format string, args ...any) {
	if len(s.wrong) < 20 {
		s.wrong = append(s.wrong, s.name+": "+fmt.Sprintf(format, args...))
	}
}

// send sends all messages of a side, and pings.
func (k *talk) send(s *side) {
	var pings sync.WaitGroup
	defer pings.Wait()
	under := make(chan struct{}, 4)
	to := jid.MustParse(s.to)
	for n := range numbers {
		var x *session.Session
		k.await(s, "a connection", func() bool {
			if x = s.session; x == nil || n >= s.may {
				return false
			}
			s.sent = n + 1
			return true
		})
		if x == nil || k.ctx.Err() != nil {
			return
		}
		m := stanza.Stanza{Name: stanza.Message, ID: strconv.Itoa(n), From: jid.MustParse(fmt.Sprintf("a%d@%s", n%addresses, s.name)), To: to,
			Body: []byte("<body>" + strconv.Itoa(n) + "</body>")}
		_ = x.Send(k.ctx, m) // if x has ended it may be under way or not: it is not sent again
		if (n+1)%pingEvery > 0 {
			continue
		}
		under <- struct{}{}
		pings.Go(func() {
			defer func() { <-under }()
			name := jid.MustParse(s.name)
			ping := stanza.Stanza{Name: stanza.IQ, Type: stanza.TypeGet, From: name, To: name, Body: []byte("<ping xmlns='urn:xmpp:ping'/>")}
			if _, err := x.Request(k.ctx, ping); err == nil {
				s.change(func() { s.accepted = max(s.accepted, n+1) })
			}
		})
	}
}

// talk has two components talk to each other, and strikes when half of each stage
// but the last is done. It returns when all has been accepted that could be, and
// the last messages have come.
func (r *running) talk(to string, strike func(*talk)) *talk {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	k := &talk{t: r.t, ctx: ctx, sides: [2]*side{
		newSide("echo.localhost", to, r.vars["echo_port"], "one"),
		newSide("irc.localhost", "a@echo.localhost", r.vars["irc_port"], "two"),
	}}
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	for _, s := range k.sides {
		all.Go(func() { k.connect(s) })
		all.Go(func() { k.send(s) })
	}
	for _, s := range k.sides { // what is sent before the other is there may bounce
		k.await(s, "a connection", func() bool { return s.session != nil })
	}
	for stage := range stages {
		for _, s := range k.sides {
			s.change(func() { s.may += share })
		}
		if stage == stages-1 {
			break
		}
		for _, s := range k.sides {
			k.await(s, "half of a stage", func() bool { return slices.Max(s.last[:]) >= stage*share+share/2 })
		}
		strike(k)
	}
	for i, s := range k.sides {
		other := k.sides[1-i]
		k.await(s, "the answer to the last ping", func() bool { return s.accepted == numbers })
		k.await(other, "the last messages", func() bool { return !slices.Contains(other.got[numbers-addresses:], false) })
	}
	return k
}

// missing returns how many messages to a side did not come, without those that
// bounced, and how many of these were accepted when the connection was cut. What
// was on its way when connections were cut is the last of each key before the
// cut; any other is a hole, which is wrong.
func (k *talk) missing(to int) (missing, accepted, bounced int) {
	from, s := k.sides[1-to], k.sides[to]
	for n, got := range s.got {
		if got || from.back[n] {
			if from.back[n] {
				bounced++
			}
			continue
		}
		missing++
		if !slices.ContainsFunc(from.cuts, func(c cut) bool { return c.accepted <= n && n < c.sent }) {
			accepted++
		}
		next := n + addresses
		if next < numbers && s.got[next] && !slices.ContainsFunc(from.cuts, func(c cut) bool { return n < c.sent && c.sent <= next }) {
			s.complain("message %d is missing, and %d came", n, next)
		}
	}
	return missing, accepted, bounced
}

// wrongs returns what was wrong, each behind a line's end.
func (s *side) wrongs() (all string) {
	for _, w := range s.wrong {
		all += "\n" + w
	}
	return all
}

// TestComponentsWhileTheMiddleDies kills each process between two components in
// turn, several times. That behind fork dies twice in a row each time, after
// which what it had goes to it one at a time.
func TestComponentsWhileTheMiddleDies(t *testing.T) {
	middle, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ECHO_SECRET", "one")
	t.Setenv("IRC_SECRET", "two")
	for victim, row := range map[string]int{"middle": 1, "middle.irc": 2, "xdb": 1, "logmods": 1, "core": 1} {
		t.Run(victim, func(t *testing.T) {
			r := start(t, "jabberd/e2e/testdata/middle.hcl", map[string]string{"middle": middle})
			strike := r.striker(victim, row)
			k := r.talk("x@via.localhost", func(*talk) { strike() })
			lost, wrong, cuts := 0, "", 0
			for i, s := range k.sides {
				missing, _, bounced := k.missing(i)
				lost, wrong, cuts = lost+missing+bounced, wrong+s.wrongs(), cuts+len(s.cuts)-1 // the last is the end
			}
			t.Logf("figure: components, %d kills -9 of %s in between, %d messages each way: %d lost, repeated or out of order:%s %d connections cut",
				deaths*row, victim, numbers, lost, cmp.Or(wrong, " none,"), cuts)
			if lost > 0 || cuts > 0 || wrong != "" {
				t.Error("messages were lost, repeated or out of order, or connections cut")
			}
			if s := r.status(); s.Dead > 0 {
				t.Errorf("%d packets are suspected", s.Dead)
			}
		})
	}
}

// socketful is how many messages a socket can take that does not send: 16 KiB and
// one segment (see plugins/sdk/peer).
const socketful = (16<<10 + 64<<10) / 100

// TestComponentsWhileTheirProcessDies kills the process that has the sockets of
// two components: what is missing was on its way on them. That is what was not
// accepted yet, and now and then what had been written and was not sent yet.
func TestComponentsWhileTheirProcessDies(t *testing.T) {
	t.Setenv("ECHO_SECRET", "one")
	t.Setenv("IRC_SECRET", "two")
	r := start(t, "conf/components.hcl", nil)
	strike, struck := r.striker("basemods", 1), 0
	k := r.talk("b@irc.localhost", func(k *talk) {
		strike()
		struck++
		for _, s := range k.sides { // else all of the next stage may bounce
			k.await(s, "another connection", func() bool { return s.session != nil && len(s.cuts) == struck })
		}
	})
	for i, s := range k.sides {
		from := k.sides[1-i]
		missing, accepted, bounced := k.missing(i)
		flight := 0
		for _, c := range from.cuts[:len(from.cuts)-1] {
			flight += c.sent - c.accepted
		}
		t.Logf("figure: components, %d kills -9 of their process, %d messages to %s: %d were not accepted when a connection was cut, %d are missing, of which %d were accepted; %d bounced while it was away",
			deaths, numbers, s.name, flight, missing, accepted, bounced)
		if accepted > deaths*socketful || missing-accepted > flight {
			t.Errorf("%d messages are missing, %d of them accepted", missing, accepted)
		}
		if cuts := len(s.cuts) - 1; cuts != deaths {
			t.Errorf("%s lost its connection %d times", s.name, cuts)
		}
		if wrong := s.wrongs(); wrong != "" {
			t.Errorf("messages were repeated or out of order:%s", wrong)
		}
	}
}

// striker returns what kills a process, and waits until another runs in its
// place, so many times in a row.
func (r *running) striker(name string, row int) func() {
	running := func() (pid int) {
		for _, p := range r.status().Processes {
			if p.Name == name && p.State == "running" {
				pid = p.PID
			}
		}
		return pid
	}
	if name == "core" {
		return func() { r.kill(name) }
	}
	pid := running()
	return func() {
		for range row {
			before := pid
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				r.t.Errorf("kill %s: %v", name, err)
			}
			r.await("process "+name, func() bool { pid = running(); return pid != 0 && pid != before })
		}
	}
}
