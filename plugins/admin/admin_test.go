package admin_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

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
	early []string // messages that came before a command's answer
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
	up = packet.Packet{Kind: packet.Session, Host: host, From: full, Name: "presence", Seq: 2, Near: up.Near, Far: p.Near}
	s.Deliver(&up)
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
		info := s.IQ(boss, host, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
		if !strings.Contains(info, "<feature var='http://jabber.org/protocol/commands'/>") {
			t.Errorf("the host is %s", info)
		}
		info = s.IQ(boss, host, "get", "<query xmlns='http://jabber.org/protocol/disco#info' node='"+node+"add-user'/>")
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
		s.expect("no such command", s.command(boss, "restart", "execute", ""), "error service-unavailable")
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
		s.expect("again", s.do("add-user", "accountjid="+ann, "password=one"), "completed info: ann@example.org is added error: ann@example.org: there is such an account already")
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
		{"eve@elsewhere", "<command xmlns='http://jabber.org/protocol/commands' node='" + node + "announce'/>", "refuse: eve@elsewhere is no admin"},
		{boss, "<command xmlns='http://jabber.org/protocol/commands' node='x'/>", "pass: it is a command, but none of an admin"},
		{boss, "<ping xmlns='urn:xmpp:ping'/>", "pass: it is no command of an admin"},
	} {
		s := h.Explain(&packet.Packet{Name: "iq", Type: "set", ID: "1", From: x.from, To: host, Body: []byte(x.body)}).Sections[0].Steps[0]
		if got := fmt.Sprintf("%s: %s", s.Verdict, s.Why); got != x.want {
			t.Errorf("%s, want %s", got, x.want)
		}
	}
}
