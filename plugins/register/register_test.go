package register_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/c2s"
	"github.com/jabberii/server/plugins/register"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/xdb/filter"
	"github.com/jabberii/server/xdb/memory"
)

const host = "example.org"

func TestReadme(t *testing.T) {
	configtest.ReadmeOfService(t, register.Module, memory.Module)
}

// plan is a server that clients connect to, with two stores.
func plan(args string) sdktest.Plan {
	return sdktest.Plan{
		Modules: []module.Module{register.Module, sm.Module, c2s.Module, memory.Module, filter.Module},
		Sections: []module.Section{
			sdktest.Section("c2s", packet.Session, sdktest.Block("c2s", `{"listen":["127.0.0.1:0"],"starttls":"optional","registration":["example.org"]}`)),
			sdktest.Service("users", sdktest.Host(host), sdktest.Block("register", args), sdktest.Block("sm", `{}`)),
			sdktest.Sinks("conn", packet.Session),
			sdktest.Sinks("elsewhere.example", packet.Normal),
			sdktest.Section("keys", packet.XDB, sdktest.Host("*"), sdktest.Block("filter", `{"namespaces":["auth"]}`), sdktest.Block("memory", `{}`)),
			sdktest.Section("rest", packet.XDB, sdktest.Host("*"), sdktest.Block("memory", `{}`)),
		},
	}
}

// A site is a running server.
type site struct {
	*sdktest.Harness
	t       *testing.T
	address string
	store   *xdb.Store
}

var addressIn = regexp.MustCompile(`address='([^']+)'`)

func run(t *testing.T, h *sdktest.Harness) *site {
	return &site{h, t, addressIn.FindStringSubmatch(h.Logged("listening for clients").Attrs)[1], xdb.New(asker{h}, "test")}
}

type asker struct{ h *sdktest.Harness }

func (a asker) Ask(_ context.Context, q *packet.Packet) (*packet.Packet, error) { return a.h.Ask(q) }

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// login logs in, and registers before if a says so.
func (s *site) login(a session.Account, name, password string) (*session.Session, error) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	a.Address, a.Password, a.TLS = jid.MustParse(name+"@"+host), password, &tls.Config{InsecureSkipVerify: true}
	return session.Client(within(s.t), conn, a)
}

// user is somebody who has an account, logged in and there.
func (s *site) user(name string) *session.Session {
	s.t.Helper()
	if err := account.Add(within(s.t), s.store, name+"@"+host, "password"); err != nil {
		s.t.Fatal(err)
	}
	c, err := s.login(session.Account{}, name, "password")
	if err == nil {
		err = c.Presence(within(s.t), "")
	}
	if err == nil {
		_, err = c.Roster(within(s.t))
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// ask is an IQ to the host and its answer: "result BODY" or "error CONDITION".
func (s *site) ask(c *session.Session, kind, payload string) string {
	s.t.Helper()
	answer, err := c.Request(within(s.t), stanza.Stanza{Name: "iq", Type: kind, To: jid.MustParse(host), Body: []byte(payload)})
	var refused *stanza.Error
	switch {
	case errors.As(err, &refused):
		return "error " + string(refused.Condition)
	case err != nil:
		s.t.Fatal(err)
	}
	return strings.TrimSpace(answer.Type + " " + string(answer.Body))
}

// await receives until something has all parts in it.
func (s *site) await(c *session.Session, parts ...string) string {
	s.t.Helper()
	var seen []string
	for {
		st, err := c.Receive(within(s.t))
		if err != nil {
			s.t.Fatalf("waiting for %q: %v after\n%s", parts, err, strings.Join(seen, "\n"))
		}
		text := string(st.Append(nil, ""))
		if !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) }) {
			return text
		}
		seen = append(seen, text)
	}
}

const header = "<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"

// raw says something before any login, and returns all that comes until the end.
func (s *site) raw(say ...string) string {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(conn, header+strings.Join(say, "")+"</stream:stream>")
	b, err := io.ReadAll(conn)
	if err != nil {
		s.t.Fatalf("%v after %s", err, b)
	}
	_, after, _ := strings.Cut(string(b), "</stream:features>")
	return strings.TrimSuffix(after, "</stream:stream>")
}

func set(username, password string) string {
	return "<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>" + username + "</username><password>" + password + "</password></query></iq>"
}

const get = "<iq type='get' id='r' to='example.org'><query xmlns='jabber:iq:register'/></iq>"

// XEP-0077 section 3.1: before the login, on the stream that then logs in.
func TestRegister(t *testing.T) {
	sdktest.Both(t, plan(`{"who":"anybody","limit":{"per_address":0}}`), func(t *testing.T, h *sdktest.Harness) {
		s := run(t, h)
		if got, want := s.raw(get), "<iq from='example.org' type='result' id='r'><query xmlns='jabber:iq:register'><instructions>Choose a username and a password.</instructions><username/><password/><x xmlns='jabber:x:data' type='form'>"; !strings.HasPrefix(got, want) {
			t.Errorf("the fields are %s\nwant %s", got, want)
		}
		c, err := s.login(session.Account{Register: true}, "ann", "one password")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got, want := s.ask(c, "get", "<query xmlns='jabber:iq:register'/>"), "result <query xmlns='jabber:iq:register'><registered/><username>ann</username><password/></query>"; got != want {
			t.Errorf("registered: %s", got)
		}
		if e := s.Logged("an account was registered"); !strings.Contains(e.Attrs, "account='ann@example.org'") || !strings.Contains(e.Attrs, "client='127.0.0.1'") {
			t.Errorf("logged as %s", e.Attrs)
		}
		for _, x := range []struct{ name, say, want string }{
			{"taken", set("Ann", "another one"), "<conflict"},
			{"reserved", set("admin", "a password"), "<not-acceptable"},
			{"no username", set("a b", "a password"), "<not-acceptable"},
			{"nothing", set("", ""), "<not-acceptable"},
			{"a short password", set("carl", "seven77"), "<not-acceptable"},
			{"a password that is none", set("carl", "aaaaaaa&#x7;"), "<not-well-formed"},
			{"to be removed", "<iq type='set' id='r'><query xmlns='jabber:iq:register'><remove/></query></iq>", "<unexpected-request"},
			{"no invitation", "<iq type='set' id='r'><preauth xmlns='urn:xmpp:pars:0' token='ABCDEFGHIJKLMNOPQRSTUVWXYZ'/></iq>", "<item-not-found"},
			{"no query", "<iq type='get' id='r'><x xmlns='jabber:iq:register'/></iq>", "<bad-request"},
			{"to somebody else", strings.Replace(get, "to='example.org'", "to='bob@example.org'", 1), "<not-authorized"},
			{"something else", "<iq type='get' id='r'><query xmlns='jabber:iq:version'/></iq>", "<not-authorized"},
			{"no id", strings.Replace(get, "id='r'", "", 1), "<not-authorized"},
			{"too often", strings.Repeat(get, 21), "<policy-violation"},
			{"a message", "<message to='ann@example.org'/>", "<not-authorized"},
		} {
			if got := s.raw(x.say); !strings.Contains(got, x.want) {
				t.Errorf("%s: %s, want %s", x.name, got, x.want)
			}
		}
	})
}

// XEP-0077 section 4: with a form, to register and to change the password.
func TestRegisterByForm(t *testing.T) {
	const filled = "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>jabber:iq:register</value></field>" +
		"<field var='username'><value>ann</value></field><field var='password'><value>one password</value></field></x></query>"
	s := run(t, sdktest.New(t, plan(`{"who":"anybody"}`), false))
	if got := s.raw("<iq type='set' id='r'>" + filled + "</iq>"); !strings.Contains(got, "type='result' id='r'/>") {
		t.Fatalf("to register: %s", got)
	}
	c, err := s.login(session.Account{}, "ann", "one password")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := s.ask(c, "set", strings.Replace(filled, "one password", "another password", 1)); got != "result" {
		t.Errorf("to change the password: %s", got)
	}
	if again, err := s.login(session.Account{}, "ann", "another password"); err != nil {
		t.Errorf("with the other password: %v", err)
	} else {
		again.Close()
	}
}

// Who has registered has said nothing yet: the session begins with the login.
func TestRegisterAndLogInByOthers(t *testing.T) {
	s := run(t, sdktest.New(t, plan(`{"who":"anybody"}`), false))
	out := s.raw(set("carl", "a password"), set("dora", "a password"), "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGRvcmEAYSBwYXNzd29yZA==</auth>",
		header, "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>",
		"<iq type='get' id='g'><query xmlns='jabber:iq:register'/></iq>")
	for _, want := range []string{"type='result' id='r'/>", "<success", "<jid>dora@example.org/x</jid>", "<username>dora</username>"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

func TestLimits(t *testing.T) {
	s := run(t, sdktest.New(t, plan(`{"who":"anybody","limit":{"per_address":2}}`), false))
	for i, want := range []string{"type='result'", "<conflict", "<resource-constraint"} {
		if got := s.raw(set("ann", "a password")); !strings.Contains(got, want) {
			t.Errorf("attempt %d: %s, want %s", i, got, want)
		}
	}
	s = run(t, sdktest.New(t, plan(`{"who":"anybody","limit":{"per_address":0,"total":1}}`), false))
	for i, want := range []string{"type='result'", "<resource-constraint"} {
		if got := s.raw(set("ann", "a password")); !strings.Contains(got, want) {
			t.Errorf("attempt %d of all: %s, want %s", i, got, want)
		}
	}
}

// XEP-0077 section 3.3.
func TestChangePassword(t *testing.T) {
	s := run(t, sdktest.New(t, plan(`{}`), false))
	ann := s.user("ann")
	defer ann.Close()
	change := func(name, password string) string {
		return s.ask(ann, "set", "<query xmlns='jabber:iq:register'><username>"+name+"</username><password>"+password+"</password></query>")
	}
	for _, x := range []struct{ name, password, want string }{
		{"bob", "another one", "error bad-request"},
		{"ann", "short", "error not-acceptable"},
		{"ann", "", "error not-acceptable"},
		{"Ann", "another one", "result"},
	} {
		if got := change(x.name, x.password); got != x.want {
			t.Errorf("%s with %q: %s, want %s", x.name, x.password, got, x.want)
		}
	}
	if _, err := s.login(session.Account{}, "ann", "password"); err == nil {
		t.Error("the password of before is good")
	}
	again, err := s.login(session.Account{}, "ann", "another one")
	if err != nil {
		t.Fatal(err)
	}
	if got := change("ann", "a third one"); got != "result" {
		t.Errorf("a third one: %s", got)
	}
	for err = nil; err == nil; {
		_, err = again.Receive(within(t))
	}
	if !strings.Contains(err.Error(), "reset: Password changed") {
		t.Errorf("the other session ends with %v", err)
	}
	if got := change("ann", "another one"); got != "result" {
		t.Errorf("who has changed it: %s", got)
	}
}

// XEP-0077 section 3.2: all that the account has goes, in both stores; its sessions end,
// and its contacts hear of it.
func TestRemove(t *testing.T) {
	sdktest.Both(t, plan(`{"who":"anybody"}`), func(t *testing.T, h *sdktest.Harness) {
		s := run(t, h)
		ann, bob := s.user("ann"), s.user("bob")
		defer bob.Close()
		other, err := s.login(session.Account{Window: -1}, "ann", "password")
		if err != nil {
			t.Fatal(err)
		}
		to := func(who, kind string) stanza.Stanza {
			return stanza.Stanza{Name: "presence", Type: kind, To: jid.MustParse(who + "@" + host)}
		}
		ann.Send(within(t), to("bob", "subscribed"))
		s.await(ann, "bob@example.org", "approved='true'")
		bob.Send(within(t), to("ann", "subscribe"))
		s.await(bob, "subscription='to'", "ann@example.org")
		if _, err := s.store.Put(within(t), "ann@example.org", "private", "x", []byte("<x/>")); err != nil {
			t.Fatal(err)
		}
		if got := s.ask(ann, "set", "<query xmlns='jabber:iq:register'><remove/><username>ann</username></query>"); got != "error bad-request" {
			t.Errorf("remove and more: %s", got)
		}
		if got := s.ask(ann, "set", "<query xmlns='jabber:iq:register'><remove/></query>"); got != "result" {
			t.Errorf("remove: %s", got)
		}
		for _, c := range []*session.Session{ann, other} {
			for err = nil; err == nil; {
				_, err = c.Receive(within(t))
			}
			if !strings.Contains(err.Error(), "not-authorized") {
				t.Errorf("a session ends with %v", err)
			}
		}
		s.await(bob, "type='unsubscribed'", "ann@example.org")
		s.Logged("an account was removed by its owner")
		if left, err := s.store.Namespaces(within(t), "ann@example.org"); err != nil || len(left) > 0 {
			t.Errorf("left is %q, %v", left, err)
		}
		if _, err := s.login(session.Account{}, "ann", "password"); err == nil {
			t.Error("who was removed logs in")
		}
		c, err := s.login(session.Account{Register: true}, "ann", "somebody else")
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
}

func TestNotAllowed(t *testing.T) {
	s := run(t, sdktest.New(t, plan(`{"who":"nobody","change":false,"remove":false,"invite":{"by":"nobody"}}`), false))
	ann := s.user("ann")
	defer ann.Close()
	for _, x := range []struct{ kind, payload, want string }{
		{"set", "<query xmlns='jabber:iq:register'><username>ann</username><password>another one</password></query>", "error not-allowed"},
		{"set", "<query xmlns='jabber:iq:register'><remove/></query>", "error not-allowed"},
		{"set", "<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#invite'/>", "error forbidden"},
	} {
		if got := s.ask(ann, x.kind, x.payload); got != x.want {
			t.Errorf("%s: %s", x.payload, got)
		}
	}
	for _, say := range []string{get, set("bob", "a password")} {
		if got := s.raw(say); !strings.Contains(got, "<not-allowed") {
			t.Errorf("who has no account: %s", got)
		}
	}
	s.Deliver(&packet.Packet{Name: "iq", Type: "set", ID: "1", From: "eve@elsewhere.example/x", To: host, Body: []byte("<query xmlns='jabber:iq:register'><remove/></query>")})
	if p := s.Next(); p.Type != "error" || !strings.Contains(string(p.Body), "not-allowed") {
		t.Errorf("somebody from elsewhere: %s %s", p.Type, p.Body)
	}
}

// newcomer is what a connection sends of a client that has no account.
func newcomer(flags packet.Flags, payload string) *packet.Packet {
	return &packet.Packet{Kind: packet.Session, Flags: flags, Host: host, To: host, Name: "register", NS: "jabber:iq:register", Type: "set", ID: "7",
		Near: packet.Token{Host: "conn", Section: "sink conn", Slot: 1, Incarnation: 5}, Seq: 1, Attrs: " address='192.0.2.1'", Body: []byte(payload)}
}

// What is delivered a second time is answered as the first time.
func TestRedelivered(t *testing.T) {
	h := sdktest.New(t, plan(`{"who":"anybody"}`), false)
	const payload = "<query xmlns='jabber:iq:register'><username>ann</username><password>a password</password></query>"
	for _, x := range []struct {
		flags packet.Flags
		body  string
		want  string
	}{
		{0, payload, "result"},
		{packet.Redelivered, payload, "result"},
		{0, payload, "error"},
		{packet.Redelivered, strings.Replace(payload, "a pass", "b pass", 1), "error"},
	} {
		h.Deliver(newcomer(x.flags, x.body))
		p := h.Next()
		if p.Type != x.want || p.ID != "7" || p.Far.Incarnation != 5 || p.Flags&packet.Down == 0 {
			t.Errorf("flags %v: %+v %s", x.flags, p, p.Body)
		}
		if !p.Near.IsZero() || p.To != "" {
			t.Errorf("the answer makes the connection one of %s, session %v", p.To, p.Near)
		}
	}
	p := newcomer(0, payload)
	p.From = "eve@example.org"
	h.Deliver(p)
	if q := h.Next(); q.Name != "end" {
		t.Errorf("who has an account is answered by %+v", q)
	}
}

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{"limit":{"per_address":-1}}`:          "limit.per_address: must",
		`{"limit":{"window":"0s"}}`:             "limit.window: must",
		`{"min_length":0}`:                      "min_length: must",
		`{"reserved":["Root"]}`:                 "reserved.0: ",
		`{"invite":{"lifetime":"1s"}}`:          "invite.lifetime: must",
		`{"invite":{"max":0}}`:                  "invite.max: must",
		`{"invite":{"admins":["example.org"]}}`: "invite.admins.0: ",
		`{"who":"friends"}`:                     "who: ",
	} {
		if _, err := sdktest.Try(t, plan(args), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}
