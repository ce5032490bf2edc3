package clients

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

//go:embed slixmpp_driver.py
var slixmppDriver string

//go:embed commands.py
var pythonCommands string

// TLS is how a connection is encrypted.
type TLS string

const (
	StartTLS TLS = ""       // the stream begins in clear and turns to TLS; required
	Direct   TLS = "direct" // TLS from the first byte, XEP-0368
	None     TLS = "none"   // no TLS, whatever the server offers
)

// A Login is one account as a client knows it.
type Login struct {
	Addr      string // host:port, nothing is looked up
	JID       string // bare, or full to ask for a resource
	Password  string
	TLS       TLS
	CA        string // PEM file to verify the server with; "" takes any certificate
	Mechanism string // SASL mechanism to insist on; "" is the client's choice
	Resume    bool   // stream management with resumption, XEP-0198
	Register  bool   // ask for the account first, XEP-0077
}

// A ComponentLogin is what an external component knows of its server, XEP-0114.
type ComponentLogin struct {
	Addr   string // host:port
	Host   string // the host it serves
	Secret string
}

// A Client is a program with slixmpp, xmpp.js or strophe.js that plays one client or component. Its
// methods fail the test where the client or its server refuse.
type Client struct {
	t        testing.TB
	process  *process
	commands io.WriteCloser
	lines    chan line // what the driver says; closed at its end
	number   int       // of the last command
	events   []Event   // all that came, in order
	taken    []bool    // which of them an Await has returned

	JID string // the full JID of the session, or the component's host
}

// An Event is something that happened to a client. Which fields are set
// depends on what it is; those of stanzas are as in RFC 6121.
type Event struct {
	// Event is "message", "presence" or "iq" (of type get or set) for a stanza;
	// "session", "resumed", "disconnected", "stream_error" for the stream; "sm",
	// "sm_failed", "acked" (with the ID of a stanza) of XEP-0198; "roster" for a
	// push or a result.
	Event string

	From, To, Type, ID     string
	Body, Subject          string
	Show, Status, Priority string
	Condition, Text        string // of an error
	Delayed                bool   // with a XEP-0203 delay
	JID                    string // of "session", "resumed"
	Items                  []Contact
	XML                    string // the stanza
}

// A Contact is an item of a roster, RFC 6121 2.1.2.
type Contact struct {
	JID, Name, Subscription, Ask string
	Groups                       []string
}

// Disco is what an address tells of itself, XEP-0030.
type Disco struct {
	Identities []struct{ Category, Type, Name string }
	Features   []string
	Items      []struct{ JID, Node, Name string }
}

// A Presence to send; the zero value is "available" to all who are subscribed.
type Presence struct {
	To, Type, Show, Status string
	Priority               int
	From                   string // components only
}

// line is a line of the driver: an answer if Number is set, else an event.
type line struct {
	Number int `json:"answer"`
	Result json.RawMessage
	Error  string
	event  Event
}

// Slixmpp logs a slixmpp client in and returns when its session is established.
// It has not sent presence.
func Slixmpp(t testing.TB, login Login) *Client {
	t.Helper()
	client, err := TrySlixmpp(t, login)
	if err != nil {
		t.Fatalf("log in as %s at %s: %v", login.JID, login.Addr, err)
	}
	return client
}

// TrySlixmpp is Slixmpp where the login may fail: the error says why.
func TrySlixmpp(t testing.TB, login Login) (*Client, error) {
	t.Helper()
	c := startSlixmpp(t, login.JID)
	tls := login.TLS
	if tls == StartTLS {
		tls = "starttls"
	}
	return c, c.login("connect", map[string]any{
		"addr": login.Addr, "jid": login.JID, "password": login.Password,
		"tls": tls, "ca": login.CA, "mechanism": login.Mechanism, "resume": login.Resume, "register": login.Register,
	})
}

// Component attaches a slixmpp component to a server and returns when it was accepted.
func Component(t testing.TB, login ComponentLogin) *Client {
	t.Helper()
	component, err := TryComponent(t, login)
	if err != nil {
		t.Fatalf("component %s at %s: %v", login.Host, login.Addr, err)
	}
	return component
}

// TryComponent is Component where the server may refuse: the error says why.
func TryComponent(t testing.TB, login ComponentLogin) (*Client, error) {
	t.Helper()
	c := startSlixmpp(t, login.Host)
	return c, c.login("component", map[string]any{
		"addr": login.Addr, "host": login.Host, "secret": login.Secret,
	})
}

func startSlixmpp(t testing.TB, name string) *Client {
	t.Helper()
	return drivePython(t, "slixmpp", name, slixmppDriver)
}

// drivePython starts the driver of a library from Debian.
func drivePython(t testing.TB, library, name, driver string) *Client {
	t.Helper()
	python := pythonWith(t, library, "python3-"+library)
	dir := t.TempDir()
	script := filepath.Join(dir, library+"_driver.py")
	writeFile(t, script, driver)
	writeFile(t, filepath.Join(dir, "commands.py"), pythonCommands)
	return drive(t, library+" "+name, exec.Command(python, script))
}

// drive starts the driver of a client.
func drive(t testing.TB, name string, cmd *exec.Cmd) *Client {
	t.Helper()
	commands, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// A pipe of our own: that of os/exec is closed by Wait, before it is read to its end.
	out, in := io.Pipe()
	cmd.Stdout = in
	c := &Client{t: t, commands: commands, lines: make(chan line, 1024)}
	c.process = launch(t, name, cmd)
	go func() {
		<-c.process.ended
		in.Close()
	}()
	go c.read(out)
	t.Cleanup(func() {
		commands.Close()
		go func() { // whatever it still says
			for range c.lines {
			}
		}()
	})
	return c
}

// pythonWith returns a Python that can import a module. The one on PATH is
// often not the one that Debian's packages are for.
func pythonWith(t testing.TB, module, part string) string {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import "+module).Run() == nil {
			return python
		}
	}
	t.Skipf("SKIP: %s is not installed (make deps)", part)
	return ""
}

// read passes on the driver's lines until it ends.
func (c *Client) read(out io.Reader) {
	defer close(c.lines)
	lines := bufio.NewReader(out)
	for {
		text, err := lines.ReadBytes('\n')
		if len(text) > 0 {
			var l line
			if json.Unmarshal(text, &l) == nil && json.Unmarshal(text, &l.event) == nil {
				c.lines <- l
			} else {
				c.process.output.Write(text)
			}
		}
		if err != nil {
			return
		}
	}
}

// call gives a command and waits for its answer; events that come first are kept.
func (c *Client) call(do string, args map[string]any, result any) error {
	c.t.Helper()
	c.number++
	command := map[string]any{"id": c.number, "do": do}
	for name, value := range args {
		command[name] = value
	}
	text, err := json.Marshal(command)
	if err != nil {
		return err
	}
	if _, err := c.commands.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("the driver has ended: %w", err)
	}
	deadline := time.After(Patience)
	for {
		l, err := c.next(deadline)
		if err != nil {
			return err
		}
		switch {
		case l.Number != c.number:
		case l.Error != "":
			return fmt.Errorf("%s", l.Error)
		case result != nil:
			return json.Unmarshal(l.Result, result)
		default:
			return nil
		}
	}
}

// next waits for the driver's next line and keeps it if it is an event.
func (c *Client) next(deadline <-chan time.Time) (line, error) {
	select {
	case l, ok := <-c.lines:
		if !ok {
			return line{}, fmt.Errorf("the driver has ended")
		}
		if l.Number == 0 {
			c.events = append(c.events, l.event)
			c.taken = append(c.taken, false)
		}
		return l, nil
	case <-deadline:
		return line{}, fmt.Errorf("nothing in %v", Patience)
	}
}

func (c *Client) must(do string, args map[string]any, result any) {
	c.t.Helper()
	if err := c.call(do, args, result); err != nil {
		c.t.Fatalf("%s: %s %v: %v%s", c.JID, do, args, err, c.history())
	}
}

func (c *Client) login(do string, args map[string]any) error {
	c.t.Helper()
	var session struct{ JID string }
	err := c.call(do, args, &session)
	c.JID = session.JID
	return err
}

// Await returns the first event that matches and that no Await has returned
// before. It waits for one, and fails the test with what has come instead; what
// says what was waited for.
func (c *Client) Await(what string, match func(Event) bool) Event {
	c.t.Helper()
	deadline := time.After(Patience)
	for i := 0; ; i++ {
		for i >= len(c.events) {
			if _, err := c.next(deadline); err != nil {
				c.t.Fatalf("%s waited for %s: %v%s", c.JID, what, err, c.history())
			}
		}
		if !c.taken[i] && match(c.events[i]) {
			c.taken[i] = true
			return c.events[i]
		}
	}
}

// AwaitMessage waits for a message with a body. from may be bare.
func (c *Client) AwaitMessage(from, body string) Event {
	c.t.Helper()
	return c.Await(fmt.Sprintf("the message %q from %s", body, from), func(e Event) bool {
		return e.Event == "message" && e.Type != "error" && isFrom(e, from) && e.Body == body
	})
}

// AwaitPresence waits for presence of a type; "" is available. from may be bare.
func (c *Client) AwaitPresence(from, kind string) Event {
	c.t.Helper()
	return c.Await(fmt.Sprintf("presence of type %q from %s", kind, from), func(e Event) bool {
		return e.Event == "presence" && isFrom(e, from) && e.Type == kind
	})
}

// AwaitError waits for a stanza that came back with an error condition of RFC 6120 8.3.3.
func (c *Client) AwaitError(from, condition string) Event {
	c.t.Helper()
	return c.Await(fmt.Sprintf("the error %s from %s", condition, from), func(e Event) bool {
		return e.Type == "error" && isFrom(e, from) && e.Condition == condition
	})
}

// AwaitEvent waits for an event by its name alone.
func (c *Client) AwaitEvent(name string) Event {
	c.t.Helper()
	return c.Await("the event "+name, func(e Event) bool { return e.Event == name })
}

// Events returns all that has come so far, in order. A Ping to oneself before
// makes it all that the server had sent by then.
func (c *Client) Events() []Event { return slices.Clone(c.events) }

func isFrom(e Event, from string) bool {
	bare, _, _ := strings.Cut(e.From, "/")
	return e.From == from || bare == from
}

func (c *Client) history() string {
	var text strings.Builder
	for i, e := range c.events {
		state := ""
		if c.taken[i] {
			state = " (taken)"
		}
		fmt.Fprintf(&text, "\n  %s%s: %s", e.Event, state, strings.TrimSpace(e.XML+e.JID+" "+e.Text))
	}
	if text.Len() == 0 {
		return "\nnothing has come"
	}
	return "\nwhat has come:" + text.String()
}
