package admin_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/admin"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/xdb/memory"
)

const (
	host = "example.org"
	boss = "boss@elsewhere/x"
	node = "http://jabber.org/protocol/admin#"
)

func TestReadme(t *testing.T) { configtest.ReadmeOfService(t, admin.Module, memory.Module) }

// plan is a host with sessions; what is for connections and for others ends in
// sinks.
func plan(args string) sdktest.Plan {
	return sdktest.Plan{
		Modules: []module.Module{admin.Module, sm.Module, memory.Module},
		Sections: []module.Section{
			sdktest.Service("users", sdktest.Host(host), sdktest.Block("admin", args), sdktest.Block("sm", `{}`)),
			sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("memory", `{}`)),
			sdktest.Sinks("c2s", packet.Session),
			sdktest.Sinks("*", packet.Normal),
		},
	}
}

const args = `{"admins":["boss@elsewhere"]}`

// A server is a running plan.
type server struct {
	*sdktest.Harness
	t     *testing.T
	store *xdb.Store
	slots uint32
	last  packet.Packet // presence of the client that has logged in last
	early []string      // messages that came before a command's answer
}

func each(t *testing.T, test func(t *testing.T, s *server)) {
	sdktest.Both(t, plan(args), func(t *testing.T, h *sdktest.Harness) {
		test(t, &server{Harness: h, t: t, store: xdb.New(h.Env(), "test")})
	})
}

func (s *server) add(jids ...string) {
	s.t.Helper()
	for _, jid := range jids {
		if err := account.Add(s.t.Context(), s.store, jid, "secret"); err != nil {
			s.t.Fatal(err)
		}
	}
}

// login gives an account an available session, and returns what its client is
// sent meanwhile.
func (s *server) login(full string) (messages []string) {
	s.t.Helper()
	s.slots++
	up := packet.Packet{
		Kind: packet.Session, Host: host, From: packet.Bare(full), Name: "iq", Type: "set", ID: "1", Seq: 1,
		Near: packet.Token{Host: "c2s", Section: "sink c2s", Slot: s.slots, Incarnation: 1},
		Body: []byte("<bind xmlns='" + ns.Bind + "'><resource>" + packet.Resource(full) + "</resource></bind>"),
	}
	s.Deliver(&up)
	p := s.Next()
	if p.To != full {
		s.t.Fatalf("bound %s, want %s", p.To, full)
	}
	s.last = packet.Packet{Kind: packet.Session, Host: host, From: full, Name: "presence", Seq: 1, Near: up.Near, Far: p.Near}
	return s.present()
}

// present has the client that has logged in last send presence, and returns what its
// account's clients are sent meanwhile.
func (s *server) present() (messages []string) {
	s.last.Seq++
	s.Deliver(&s.last)
	return s.messages()
}

// messages returns what clients were sent since.
func (s *server) messages() (list []string) {
	for _, p := range s.Received() {
		if p.Name == "message" {
			list = append(list, p.To+" "+string(p.Body))
		}
	}
	return list
}

// next waits for the next message to a client.
func (s *server) next() string {
	s.t.Helper()
	if len(s.early) > 0 {
		first := s.early[0]
		s.early = s.early[1:]
		return first
	}
	for {
		if p := s.Next(); p.Name == "message" {
			return p.To + " " + string(p.Body)
		}
	}
}

// do has the admin fill in the form of a command: "name=value" with | between
// several. It returns what came of it: its fields, and its notes.
func (s *server) do(command string, fields ...string) string {
	s.t.Helper()
	form := "<x xmlns='jabber:x:data' type='submit'>"
	for _, f := range fields {
		name, values, _ := strings.Cut(f, "=")
		form += "<field var='" + name + "'>"
		for _, v := range strings.Split(values, "|") {
			form += "<value>" + v + "</value>"
		}
		form += "</field>"
	}
	return s.command(boss, command, "complete", form+"</x>")
}

func (s *server) command(from, command, action, form string) string {
	s.t.Helper()
	s.Received()
	s.Deliver(&packet.Packet{Name: "iq", Type: "set", ID: "c", From: from, To: host,
		Body: []byte("<command xmlns='http://jabber.org/protocol/commands' sessionid='s' action='" + action + "' node='" + node + command + "'>" + form + "</command>")})
	s.early = nil
	for {
		p := s.Next()
		if p.Name == "iq" && p.To == from {
			return brief(p)
		}
		if p.Name == "message" { // what the command has others told may be faster
			s.early = append(s.early, p.To+" "+string(p.Body))
		}
	}
}

var (
	fieldText = regexp.MustCompile(`<field var='([^']*)'[^>]*>(?:<required/>)?((?:<value>[^<]*</value>|<value/>)*)</field>`)
	noteText  = regexp.MustCompile(`<note type='([a-z]*)'>([^<]*)</note>`)
	errorText = regexp.MustCompile(`<([-a-z]+) xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'`)
	valueText = regexp.MustCompile(`<value>([^<]*)</value>|<value/>`)
)

// brief writes an answer out: its status, fields and notes.
func brief(p *packet.Packet) string {
	body := string(p.Body)
	if p.Type == "error" {
		return "error " + errorText.FindStringSubmatch(body)[1]
	}
	out := regexp.MustCompile(`status='([a-z]+)'`).FindStringSubmatch(body)[1]
	for _, f := range fieldText.FindAllStringSubmatch(body, -1) {
		if f[1] == "FORM_TYPE" {
			continue
		}
		var values []string
		for _, v := range valueText.FindAllStringSubmatch(f[2], -1) {
			values = append(values, v[1])
		}
		out += " " + f[1] + "=" + strings.Join(values, "|")
	}
	for _, n := range noteText.FindAllStringSubmatch(body, -1) {
		out += " " + n[1] + ": " + n[2]
	}
	return out
}

func (s *server) expect(what, got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: %s\nwant %s", what, got, want)
	}
}

func TestDiscovery(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const commands = "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>"
		got := s.IQ(boss, host, "get", commands)
		for _, want := range []string{"add-user", "announce", "get-online-users-list"} {
			if !strings.Contains(got, "<item jid='example.org' node='"+node+want+"' name=") {
				t.Errorf("%s is missing in %s", want, got)
			}
		}
		s.expect("for others", s.IQ("eve@elsewhere/x", host, "get", commands), "result "+commands)
		const addUser = "<query xmlns='http://jabber.org/protocol/disco#info' node='" + node + "add-user'/>"
		s.expect("a command for others", s.IQ("eve@elsewhere/x", host, "get", addUser), "error forbidden")
		info := s.IQ(boss, host, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
		if !strings.Contains(info, "<feature var='http://jabber.org/protocol/commands'/>") {
			t.Errorf("the host is %s", info)
		}
		info = s.IQ(boss, host, "get", addUser)
		if !strings.Contains(info, "category='automation' type='command-node'") {
			t.Errorf("a command is %s", info)
		}
	})
}

// XEP-0050 section 3: a form, its answer, and what is no stage of a command.
func TestStages(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.expect("asked", s.command(boss, "add-user", "execute", ""), "executing accountjid= password= password-verify=")
		s.expect("given up", s.command(boss, "add-user", "cancel", ""), "canceled")
		s.expect("no such stage", s.command(boss, "add-user", "prev", ""), "error bad-request")
		s.expect("no such action", s.command(boss, "add-user", "jump", ""), "error bad-request")
		s.expect("no such command", s.command(boss, "explode", "execute", ""), "error service-unavailable")
		s.expect("nobody", s.command("eve@elsewhere/x", "add-user", "execute", ""), "error forbidden")
		s.expect("incomplete", s.do("add-user", "accountjid=ann@example.org"), "error bad-request")
		s.expect("no address", s.do("add-user", "accountjid=@", "password=x"), "error bad-request")
	})
}

// XEP-0133 sections 4.1 to 4.6.
func TestAccounts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const ann = "ann@example.org"
		s.expect("added", s.do("add-user", "accountjid=ANN@example.org", "password=one", "password-verify=one"), "completed info: ann@example.org is added")
		s.expect("again", s.do("add-user", "accountjid="+ann, "password=one"), "completed error: ann@example.org: there is such an account already")
		s.expect("typed wrong", s.do("add-user", "accountjid=bob@example.org", "password=one", "password-verify=two"), "completed error: the two passwords are not the same")
		s.expect("elsewhere", s.do("add-user", "accountjid=bob@elsewhere", "password=one"), "completed error: bob@elsewhere is no account of example.org")
		s.expect("bob added", s.do("add-user", "accountjid=bob@example.org", "password=one"), "completed info: bob@example.org is added")
		s.expect("password", s.do("change-user-password", "accountjid="+ann, "password=two"), "completed info: ann@example.org has a new password")
		keys, err := account.Keys(context.Background(), s.store, ann, "")
		if err != nil || !keys.Verify("two") {
			t.Errorf("the password is not the new one: %v", err)
		}
		s.login(ann + "/phone")
		s.login(ann + "/desk")
		s.expect("stats", s.do("user-stats", "accountjid="+ann), "completed accountjid=ann@example.org rostersize=0 onlineresources=desk|phone")
		s.expect("one ended", s.do("end-user-session", "accountjids="+ann+"/desk"), "completed info: ann@example.org/desk: 1 session ended")
		s.expect("disabled", s.do("disable-user", "accountjids="+ann+"|nobody@example.org"),
			"completed info: ann@example.org is disabled error: nobody@example.org: there is no such account")
		s.expect("her sessions", s.do("user-stats", "accountjid="+ann), "completed accountjid=ann@example.org rostersize=0 onlineresources=")
		if on, err := account.Enabled(context.Background(), s.store, ann); on || err != nil {
			t.Errorf("she is enabled: %v", err)
		}
		s.expect("who is disabled", s.do("get-disabled-users-list", "max_items=25"), "completed disableduserjids=ann@example.org")
		s.expect("enabled", s.do("reenable-user", "accountjids="+ann), "completed info: ann@example.org is enabled")
		s.expect("how many", s.command(boss, "get-registered-users-num", "execute", ""), "completed registeredusersnum=2")
		s.expect("deleted", s.do("delete-user", "accountjids="+ann), "completed info: ann@example.org is deleted")
		s.expect("who is left", s.do("get-registered-users-list"), "completed registereduserjids=bob@example.org")
		s.expect("nobody's stats", s.do("user-stats", "accountjid="+ann), "completed error: there is no account ann@example.org")
	})
}

// XEP-0133 sections 4.8 and 4.9.
func TestContacts(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.add("ann@example.org", "bob@example.org")
		const item = "<item subscription='both' name='B &lt;3'><group>Friends</group><group>Work</group></item>"
		if _, err := s.store.Put(t.Context(), "ann@example.org", "roster", "bob@elsewhere", []byte(item)); err != nil {
			t.Fatal(err)
		}
		s.expect("contacts", s.do("get-user-roster", "accountjids=ann@example.org"),
			"completed accountjids=ann@example.org roster=B &lt;3 &lt;bob@elsewhere&gt;: both (Friends, Work)")
		s.Deliver(&packet.Packet{Name: "iq", Type: "set", ID: "q", From: boss, To: host, Body: []byte("<command xmlns='http://jabber.org/protocol/commands' node='" + node +
			"get-user-roster'><x xmlns='jabber:x:data' type='submit'><field var='accountjids'><value>ann@example.org</value></field></x></command>")})
		if got, want := string(s.Next().Body), "</field><query xmlns='jabber:iq:roster'><item jid='bob@elsewhere' name='B &lt;3' subscription='both'><group>Friends</group><group>Work</group></item></query></x>"; !strings.Contains(got, want) {
			t.Errorf("%s has no %s", got, want)
		}
		s.expect("nobody", s.do("get-user-roster", "accountjids=eve@example.org"), "completed error: item-not-found")
		s.expect("elsewhere", s.do("get-user-roster", "accountjids=eve@elsewhere"), "completed error: eve@elsewhere is no account of example.org")
		s.expect("two", s.do("get-user-roster", "accountjids=ann@example.org|bob@example.org"), "completed error: one account at a time")

		before := time.Now().Add(-time.Second)
		s.login("ann@example.org/a")
		got := s.do("get-user-lastlogin", "accountjids=bob@example.org|ann@example.org/a")
		text, found := strings.CutPrefix(got, "completed accountjids=bob@example.org|ann@example.org lastlogin=not known|")
		if at, err := time.Parse(time.RFC3339, text); !found || err != nil || at.Before(before) || at.After(time.Now()) {
			t.Errorf("logged in last: %s, %v", got, err)
		}
		s.expect("nobody's login", s.do("get-user-lastlogin", "accountjids=eve@example.org"), "completed error: there is no account eve@example.org")
	})
}

// XEP-0133 sections 4.13 to 4.22.
func TestWhoIsThere(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.add("ann@example.org", "bob@example.org", "carl@example.org")
		s.login("ann@example.org/a")
		s.login("ann@example.org/b")
		s.login("bob@example.org/a")
		s.expect("online", s.do("get-online-users-list", "max_items=none"), "completed onlineuserjids=ann@example.org|bob@example.org")
		s.expect("online, number", s.command(boss, "get-online-users-num", "execute", ""), "completed onlineusersnum=2")
		s.expect("active", s.do("get-active-users"), "completed activeuserjids=ann@example.org|bob@example.org")
		s.expect("idle", s.command(boss, "get-idle-users-num", "execute", ""), "completed idleusersnum=0")
		s.expect("disabled", s.command(boss, "get-disabled-users-num", "execute", ""), "completed disabledusersnum=0")
		s.expect("no such limit", s.do("get-active-users", "max_items=7"), "error bad-request")
	})
}

// XEP-0133 section 4.23: all who are online are told, once an account.
func TestAnnounce(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.add("ann@example.org", "bob@example.org")
		s.login("ann@example.org/a")
		s.expect("told", s.do("announce", "subject=S", "announcement=one|&lt;two"), "completed info: 1 user is told")
		s.expect("ann", s.next(), "ann@example.org <subject>S</subject><body>one\n&lt;two</body>")
	})
}

// XEP-0133 sections 4.24 to 4.26: each account gets it once, over a restart too.
func TestMessageOfTheDay(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.add("ann@example.org", "bob@example.org")
		if got := s.login("ann@example.org/a"); len(got) > 0 {
			t.Errorf("without one, she gets %q", got)
		}
		s.expect("none to change", s.do("edit-motd", "motd=x"), "completed error: there is no message of the day; set one")
		s.expect("set", s.do("set-motd", "motd=hello|there"), "completed info: 1 user is told")
		s.expect("ann, who is there", s.next(), "ann@example.org <body>hello\nthere</body>")
		const mine = " <body>hello\nthere</body><private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>"
		if got := s.login("bob@example.org/a"); len(got) != 1 || got[0] != "bob@example.org/a"+mine {
			t.Errorf("bob, who comes, gets %q", got)
		}
		for _, full := range []string{"ann@example.org/b", "bob@example.org/b"} {
			if got := s.login(full); len(got) > 0 {
				t.Errorf("%s gets %q again", full, got)
			}
		}
		s.expect("shown for a change", s.command(boss, "edit-motd", "execute", ""), "executing motd=hello|there")
		s.expect("changed", s.do("edit-motd", "motd=bye"), "completed info: the message of the day is changed")
		if got := s.login("bob@example.org/c"); len(got) > 0 {
			t.Errorf("bob gets what was changed: %q", got)
		}
		s.expect("deleted", s.command(boss, "delete-motd", "execute", ""), "completed info: there is no message of the day any more")
		s.add("carl@example.org")
		if got := s.login("carl@example.org/a"); len(got) > 0 {
			t.Errorf("carl gets what was deleted: %q", got)
		}
	})
}

// XEP-0133 sections 4.27 and 4.28: new accounts are told when they come first, once.
func TestWelcome(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.add("ann@example.org")
		s.expect("asked", s.command(boss, "set-welcome", "execute", ""), "executing welcome=")
		s.expect("set", s.do("set-welcome", "welcome=hello|you"), "completed info: the welcome is set")
		s.expect("asked again", s.command(boss, "set-welcome", "execute", ""), "executing welcome=hello|you")
		s.add("bob@example.org")
		if got := s.login("ann@example.org/a"); len(got) > 0 {
			t.Errorf("ann, who was there before, gets %q", got)
		}
		const mine = "bob@example.org/a <body>hello\nyou</body><private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/>"
		if got := s.login("bob@example.org/a"); len(got) != 1 || got[0] != mine {
			t.Errorf("bob, who is new, gets %q", got)
		}
		s.expect("changed", s.do("set-welcome", "welcome=welcome"), "completed info: the welcome is set")
		if got := s.login("bob@example.org/b"); len(got) > 0 {
			t.Errorf("bob is welcome again: %q", got)
		}
		s.do("set-motd", "motd=news")
		for range 3 { // ann, and bob's two clients
			s.next()
		}
		s.add("carl@example.org")
		if got := s.login("carl@example.org/a"); len(got) != 2 || !strings.Contains(got[0], "<body>welcome</body>") || !strings.Contains(got[1], "<body>news</body>") {
			t.Errorf("carl gets %q", got)
		}
		s.expect("deleted", s.command(boss, "delete-welcome", "execute", ""), "completed info: there is no welcome any more")
		s.expect("no news", s.command(boss, "delete-motd", "execute", ""), "completed info: there is no message of the day any more")
		s.add("dan@example.org")
		if got := s.login("dan@example.org/a"); len(got) > 0 {
			t.Errorf("dan gets what was deleted: %q", got)
		}
	})
}

// What another process that serves the host has set holds here too.
func TestSetElsewhere(t *testing.T) {
	s := &server{Harness: sdktest.New(t, plan(args), false), t: t}
	s.store = xdb.New(s.Env(), "test")
	s.add("ann@example.org")
	s.login("ann@example.org/a") // there is no message of the day, and it is known
	put := func(owner, ns, key, value string) {
		t.Helper()
		if _, err := s.store.Put(t.Context(), owner, ns, key, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	put(host, "motd", "text", "<motd xmlns='urn:jabberd:motd' id='1'>news</motd>")
	put(host, "admins", "carl@elsewhere", "")
	await := func(what string, so func() bool) {
		t.Helper()
		end := time.Now().Add(30 * time.Second)
		for tick := time.NewTicker(20 * time.Millisecond); !so(); <-tick.C {
			if time.Now().After(end) {
				t.Fatalf("waited in vain for %s", what)
			}
		}
	}
	await("the message of the day", func() bool {
		got := s.present()
		return len(got) == 1 && strings.Contains(got[0], "<body>news</body>")
	})
	await("the admin", func() bool {
		return s.command("carl@elsewhere/x", "get-online-users-num", "execute", "") == "completed onlineusersnum=1"
	})
	put(host, "motd", "text", "<motd xmlns='urn:jabberd:motd' id='2'>more news</motd>")
	put("ann@example.org", "motd", "told", "2") // by the other
	await("the message that ann has had", func() bool {
		return s.command(boss, "edit-motd", "execute", "") == "executing motd=more news"
	})
	if got := s.login("ann@example.org/x"); len(got) > 0 {
		t.Errorf("ann is told again: %q", got)
	}
}

// An admin who changes the password of the own account stays, with this session alone.
func TestOwnPassword(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const ann = "ann@example.org"
		s.add(ann)
		s.do("edit-admin", "adminjids="+ann)
		s.login(ann + "/desk")
		s.login(ann + "/phone")
		const form = "<x xmlns='jabber:x:data' type='submit'><field var='accountjid'><value>" + ann + "</value></field><field var='password'><value>other</value></field></x>"
		s.expect("changed", s.command(ann+"/desk", "change-user-password", "complete", form), "completed info: ann@example.org has a new password")
		s.expect("left", s.do("user-stats", "accountjid="+ann), "completed accountjid=ann@example.org rostersize=0 onlineresources=desk")
	})
}

// XEP-0133 section 4.29: those whom the file names have others be admins, who cannot
// do that themselves.
func TestEditAdmins(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		const carl = "carl@elsewhere/x"
		s.expect("nobody yet", s.command(carl, "get-online-users-num", "execute", ""), "error forbidden")
		s.expect("asked", s.command(boss, "edit-admin", "execute", ""), "executing adminjids=boss@elsewhere")
		s.expect("named", s.do("edit-admin", "adminjids=boss@elsewhere|Carl@elsewhere|carl@elsewhere"), "completed info: example.org has 2 admins")
		s.expect("an admin", s.command(carl, "get-online-users-num", "execute", ""), "completed onlineusersnum=0")
		s.expect("no chief", s.command(carl, "edit-admin", "execute", ""), "error forbidden")
		s.expect("not the server", s.command(carl, "shutdown", "execute", ""), "error forbidden")
		const commands = "<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>"
		if got := s.IQ(carl, host, "get", commands); !strings.Contains(got, node+"add-user") || strings.Contains(got, node+"edit-admin") {
			t.Errorf("an admin sees %s", got)
		}
		s.expect("shown", s.command(boss, "edit-admin", "execute", ""), "executing adminjids=boss@elsewhere|carl@elsewhere")
		s.expect("a session", s.do("edit-admin", "adminjids=carl@elsewhere/x"), "completed error: carl@elsewhere/x is no account")
		s.expect("nobody named", s.do("edit-admin"), "completed info: example.org has 1 admins")
		s.expect("no admin any more", s.command(carl, "get-online-users-num", "execute", ""), "error forbidden")
		s.expect("still one", s.command(boss, "get-online-users-num", "execute", ""), "completed onlineusersnum=0")
	})
}

// XEP-0133 sections 4.30 and 4.31, as far as the server takes no orders here or is not
// to get any.
func TestHalt(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		s.expect("refused", s.do("shutdown", "delay=0"), "completed error: service-unavailable")
		s.expect("no such delay", s.do("restart", "delay=7"), "error bad-request")
	})
	s := &server{Harness: sdktest.New(t, plan(`{"admins":["boss@elsewhere"],"halt":false}`), false), t: t}
	s.expect("not here", s.do("shutdown", "delay=0"), "error service-unavailable")
}

func TestWrongArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{}`:                           "admins: is required",
		`{"admins":[]}`:                "there is nobody",
		`{"admins":["ann"]}`:           `"ann" is no address of an account`,
		`{"admins":["ann@b.c/phone"]}`: "is no address of an account",
	} {
		if _, err := sdktest.Try(t, plan(args), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

func TestExplains(t *testing.T) {
	h := sdktest.New(t, plan(args), false)
	for _, x := range []struct{ from, body, want string }{
		{boss, "<command xmlns='http://jabber.org/protocol/commands' node='" + node + "announce'/>", "claim: does for an admin: Tell all who are online"},
		{"eve@elsewhere", "<command xmlns='http://jabber.org/protocol/commands' node='" + node + "announce'/>", "refuse: eve@elsewhere may not: forbidden: this is for admins"},
		{boss, "<command xmlns='http://jabber.org/protocol/commands' node='x'/>", "pass: it is a command, but none of an admin"},
		{boss, "<ping xmlns='urn:xmpp:ping'/>", "pass: it is no command of an admin"},
	} {
		s := h.Explain(&packet.Packet{Name: "iq", Type: "set", ID: "1", From: x.from, To: host, Body: []byte(x.body)}).Sections[0].Steps[0]
		if got := fmt.Sprintf("%s: %s", s.Verdict, s.Why); got != x.want {
			t.Errorf("%s, want %s", got, x.want)
		}
	}
}
