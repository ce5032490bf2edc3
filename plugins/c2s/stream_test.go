package c2s_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/session"
)

const (
	header   = "<?xml version='1.0'?>" + headless
	headless = "<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	toTLS    = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	bindIQ   = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
	closed   = "</stream:stream>"
)

// plainAs is a login by PLAIN.
func plainAs(user, password string) string {
	return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" +
		base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)) + "</auth>"
}

var loggedIn = header + plainAs("ann", "secret") + header + bindIQ

// Each stream error where RFC 6120 has it. What a client says, all at once, is
// answered by these, in this order, and then by the end of stream and connection.
func TestRFC6120StreamErrors(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		say  string
		want []string
		not  string
	}{
		{"4.2 opening", header + closed, []string{"<?xml version='1.0'?><stream:stream", "from='example.org'", " id='", "version='1.0'", "<stream:features", "</stream:features>"}, "error"},
		{"4.3.2 features are those of the state", loggedIn + closed, []string{"<mechanism>", "<success", "<stream:features", "<bind", "result"}, "error"},
		{"4.4 closing", loggedIn + closed, nil, "error"},
		{"4.6.1 spaces between stanzas", header + " \n\t " + plainAs("ann", "secret") + header + "   " + bindIQ + " \n" + closed, []string{"<success", "result"}, "error"},
		{"4.7.1 from of another", header + plainAs("ann", "secret") + strings.Replace(header, "to=", "from='bob@example.org' to=", 1), []string{"<success", "<stream:stream", "<invalid-from"}, "<bind"},
		{"4.7.1 from of the own account", header + plainAs("ann", "secret") + strings.Replace(header, "to=", "from='ann@example.org/x' to=", 1) + closed, []string{"<success", "to='ann@example.org/x'", "<bind"}, "error"},
		{"4.7.2 no to", strings.Replace(header, "to='example.org'", "", 1), []string{"<stream:stream", "<improper-addressing"}, "features"},
		{"4.7.3 ids differ", header + plainAs("ann", "secret") + header + closed, nil, "error"},
		{"4.7.4 a language that the server does not speak", strings.Replace(header, "to=", "xml:lang='de' to=", 1) + closed, []string{"xml:lang='en'"}, "xml:lang='de'"},
		{"4.7.4 no language", header + closed, []string{"xml:lang='en'"}, "error"},
		{"4.7.5 no version", strings.Replace(headless, " version='1.0'", "", 1) + closed, []string{"version='1.0'", "<unsupported-version"}, "features"},
		{"4.7.5 a higher version", strings.Replace(headless, "version='1.0'", "version='1.10'", 1) + closed, []string{"version='1.0'", "<stream:features"}, "error"},
		{"4.8.1 namespace of the stream", strings.Replace(header, "etherx", "other", 1), []string{"<stream:stream", "<invalid-namespace"}, "features"},
		{"4.8.2 namespace of stanzas", strings.Replace(header, "jabber:client", "jabber:other", 1), []string{"xmlns='jabber:client'", "<invalid-namespace"}, "features"},
		{"4.8.4 another prefix", "<s:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'></s:stream>", []string{"<stream:features"}, "error"},
		{"4.9.1.2 an error before the header", "hello", []string{"<stream:stream", "<stream:error"}, "features"},
		{"4.9.3.1 bad-format text", header + "text", []string{"<bad-format"}, ""},
		{"4.9.3.1 bad-format another root", "<message/>", []string{"<stream:stream", "<bad-format"}, "features"},
		{"4.9.3.12 not-authorized a second header", header + headless + closed, []string{"<not-authorized"}, ""},
		{"4.9.3.1 bad-format a header after the login", loggedIn + headless + closed, []string{"result", "<bad-format"}, ""},
		{"4.9.1 an error of the client's", loggedIn + "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", []string{"result"}, "<stream:error"},
		{"4.9.3.6 host-unknown", strings.Replace(header, "example.org", "elsewhere.example", 1), []string{"<stream:stream", "<host-unknown"}, "features"},
		{"4.9.3.6 host-unknown behind the login", header + plainAs("ann", "secret") + strings.Replace(header, "example.org", "elsewhere.example", 1), []string{"<success", "<host-unknown"}, "<bind"},
		{"4.9.3.7 improper-addressing", strings.Replace(header, "'example.org'", "'@'", 1), []string{"<stream:stream", "<improper-addressing"}, "features"},
		{"4.9.3.7 improper-addressing of an account", strings.Replace(header, "'example.org'", "'ann@example.org'", 1), []string{"<stream:stream", "<improper-addressing"}, "features"},
		{"4.9.3.9 invalid-from", loggedIn + "<message from='bob@example.org' to='ann@example.org'/>", []string{"<invalid-from"}, ""},
		{"4.9.3.12 not-authorized", header + "<message to='bob@example.org'/>", []string{"<not-authorized"}, ""},
		{"4.9.3.13 not-well-formed", header + "<message></iq>", []string{"<not-well-formed"}, ""},
		{"4.9.3.13 not-well-formed after the login", loggedIn + "<message><body></message>", []string{"result", "<not-well-formed"}, ""},
		{"4.9.3.13 a prefix without a namespace", loggedIn + "<message><x:body/></message>", []string{"result", "<not-well-formed"}, ""},
		{"4.9.3.14 policy-violation size", loggedIn + "<message to='bob@example.org'><body>" + strings.Repeat("x", 20000), []string{"result", "<policy-violation"}, ""},
		{"4.9.3.14 policy-violation logins", header + strings.Repeat(plainAs("ann", "wrong"), 3), []string{"<failure", "<failure", "<failure", "<policy-violation"}, ""},
		{"4.9.3.18 restricted-xml comment", header + "<!-- x -->", []string{"<restricted-xml"}, ""},
		{"4.9.3.18 restricted-xml instruction", loggedIn + "<?go?>", []string{"result", "<restricted-xml"}, ""},
		{"4.9.3.18 restricted-xml DTD", "<!DOCTYPE x>" + header, []string{"<stream:stream", "<restricted-xml"}, "features"},
		{"4.9.3.18 restricted-xml entity", loggedIn + "<message><body>&x;</body></message>", []string{"result", "<restricted-xml"}, ""},
		{"4.9.3.22 unsupported-encoding", "<?xml version='1.0' encoding='ISO-8859-1'?>" + headless, []string{"<stream:stream", "<unsupported-encoding"}, "features"},
		{"4.9.3.22 bytes that are no UTF-8", loggedIn + "<message><body>\xff</body></message>", []string{"result", "<unsupported-encoding"}, ""},
		{"4.9.3.24 unsupported-stanza-type", header + plainAs("ann", "secret") + header + "<x xmlns='urn:x'/>" + closed, []string{"<success"}, "result"},
		{"4.9.3.24 what connection and session say to one another", loggedIn + "<close type='lost'/>", []string{"result", "<unsupported-stanza-type"}, ""},
		{"4.9.3.24 a part of a login behind it", header + plainAs("ann", "secret") + header + "<bind xmlns='urn:xmpp:bind:0'/>", []string{"<success", "<unsupported-stanza-type"}, "<bound"},
		{"4.9.4 application-specific conditions", loggedIn + "<message to='bob@example.org'><body>end</body></message>", []string{"result", "<policy-violation", "<because xmlns='urn:x'/></stream:error>"}, ""},
		{"4.9.3.25 unsupported-version", strings.Replace(headless, "version='1.0'", "version='one'", 1), []string{"<stream:stream", "<unsupported-version"}, "features"},
		{"5.4.2.2 STARTTLS behind the login", header + plainAs("ann", "secret") + header + toTLS + closed, []string{"<success"}, "<proceed"},
	}
	p := plan(`{"listen":["127.0.0.1:0"],"starttls":"optional","max_stanza":"10000"}`)
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				out := raw(t, address, c.say)
				rest := out
				for _, want := range append(c.want, closed) {
					_, after, found := strings.Cut(rest, want)
					if !found {
						t.Fatalf("no %s in its place in\n%s", want, out)
					}
					rest = after
				}
				if rest != "" || strings.Count(out, closed) != 1 || c.not != "" && strings.Contains(out, c.not) {
					t.Errorf("there should be no %q, and one end, in\n%s", c.not, out)
				}
				if strings.Count(out, "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'") != strings.Count(out, "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>") {
					t.Errorf("4.9.2: a text without its language in\n%s", out)
				}
			})
		}
	})
}

// Every stream has an id of its own (RFC 6120, 4.7.3), restarts too.
func TestRFC6120StreamIDs(t *testing.T) {
	sdktest.Both(t, plan(`{"listen":["127.0.0.1:0"],"starttls":"optional"}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		seen := map[string]bool{}
		for range 2 {
			for _, part := range strings.Split(raw(t, address, header+plainAs("ann", "secret")+header+closed), "<stream:stream ")[1:] {
				_, after, _ := strings.Cut(part, " id='")
				id, _, _ := strings.Cut(after, "'")
				if len(id) < 20 || seen[id] {
					t.Errorf("the id is %q", id)
				}
				seen[id] = true
			}
		}
		if len(seen) != 4 {
			t.Errorf("%d streams", len(seen))
		}
	})
}

// A stanza is in the language of its stream if it names none, and in none if it
// says that (RFC 6120, 8.1.5).
func TestRFC6120LanguageOfTheStream(t *testing.T) {
	sdktest.Both(t, plan(`{"listen":["127.0.0.1:0"],"starttls":"optional"}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		german := strings.Replace(header, "to=", "xml:lang='de' to=", 1)
		out := raw(t, address, header+plainAs("ann", "secret")+german+bindIQ+
			"<message to='bob@example.org' id='1'><body>x</body></message><message to='bob@example.org' id='2' xml:lang='fr'><body>x</body></message>"+
			"<message to='bob@example.org' id='3' xml:lang=''><body>x</body></message>"+closed)
		for _, want := range []string{"id='1' xml:lang='de'", "id='2' xml:lang='fr'", "id='3' xml:lang=''"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %s in\n%s", want, out)
			}
		}
	})
}

// A client that is in the clear where that is not allowed gets nothing but
// STARTTLS (RFC 6120, 5.3.1), and what it says between that and the handshake
// ends the connection.
func TestRFC6120MandatoryTLS(t *testing.T) {
	sdktest.Both(t, plan(bothPorts), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		if out := raw(t, address, header+closed); !strings.Contains(out, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>") || strings.Contains(out, "mechanism") {
			t.Errorf("offers %s", out)
		}
		out := raw(t, address, header+toTLS+header+plainAs("ann", "secret"))
		if !strings.HasSuffix(out, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>") {
			t.Errorf("goes on after what was said too early: %s", out)
		}
	})
}

// A server that ends a stream waits for the client to end it too, and reads
// what it says meanwhile, so that the client gets to read why (RFC 6120, 4.4).
func TestRFC6120HalfClosedStreams(t *testing.T) {
	sdktest.Both(t, plan(`{"listen":["127.0.0.1:0"],"starttls":"optional"}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		conn, in := talk(t, address, loggedIn+"<message to='bob@example.org'><body>end</body></message>")
		until(t, in, closed)
		for range 10 { // none of this is answered, and none of it resets the connection
			if _, err := io.WriteString(conn, "<message to='bob@example.org' id='late'><body>x</body></message>"); err != nil {
				t.Fatal(err)
			}
		}
		io.WriteString(conn, closed)
		conn.(*net.TCPConn).CloseWrite()
		if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
			t.Errorf("then came %q, %v", rest, err)
		}
		if p := h.Next(); p.Name != "close" || p.Type != "lost" {
			t.Errorf("the session is told %+v", p)
		}
	})
}

// One that does not end its side is not waited for.
func TestRFC6120ClientThatDoesNotClose(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, plan(bothPorts), func(t *testing.T, h *sdktest.Harness) {
		_, direct := listening(h), listening(h)
		withAccount(t, h)
		conn, err := tls.Dial("tcp", direct, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, loggedIn+"<message to='bob@example.org'><body>end</body></message>")
		if p := h.Next(); p.Name != "close" {
			t.Errorf("the session is told %+v", p)
		}
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		if out, err := io.ReadAll(conn); err != nil || !strings.Contains(string(out), "policy-violation") {
			t.Errorf("%v, %s", err, out)
		}
	})
}

// talk opens a connection and says something.
func talk(t *testing.T, address, say string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(conn, say)
	return conn, bufio.NewReader(conn)
}

// until reads up to a text, and returns what came.
func until(t *testing.T, in *bufio.Reader, text string) string {
	t.Helper()
	var all strings.Builder
	for !strings.HasSuffix(all.String(), text) {
		b, err := in.ReadByte()
		if err != nil {
			t.Fatalf("%v before %s, after %s", err, text, all.String())
		}
		all.WriteByte(b)
	}
	return all.String()
}

// A client that does not log in is told connection-timeout (RFC 6120, 4.9.3.4).
func TestRFC6120LoginTimeout(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, plan(`{"listen":["127.0.0.1:0"],"login_timeout":"200ms"}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		for _, say := range []string{"", "<?xml ", header} {
			if out := raw(t, address, say); !strings.Contains(out, "<stream:stream") || !strings.Contains(out, "<connection-timeout") || !strings.HasSuffix(out, closed) {
				t.Errorf("who says %q is told %s", say, out)
			}
		}
	})
}

// One that has logged in and says nothing is asked whether it is there (4.6.4):
// who answers stays, who does not is ended.
func TestRFC6120QuietClients(t *testing.T) {
	t.Parallel()
	p := plan(`{"listen":["127.0.0.1:0"],"starttls":"optional","quiet":{"after":"500ms","answer":"500ms"}}`)
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		t.Parallel()
		address := listening(h)
		withAccount(t, h)
		const ping = "<iq to='ann@example.org/there' from='example.org' type='get' id='c2s-quiet'><ping xmlns='urn:xmpp:ping'/></iq>"
		const request = "<r xmlns='urn:xmpp:sm:3'/>"
		_, unbound := talk(t, address, header+plainAs("ann", "secret")+header)
		pinged, in := talk(t, address, loggedIn)
		managed, managedIn := talk(t, address, loggedIn+"<enable xmlns='urn:xmpp:sm:3'/>")

		until(t, in, ping)
		io.WriteString(pinged, "<iq type='result' id='c2s-quiet' to='example.org'/>")
		if out := until(t, managedIn, request); strings.Contains(out, "ping") {
			t.Errorf("a stream that is managed is asked with %s", out)
		}
		io.WriteString(managed, "<a xmlns='urn:xmpp:sm:3' h='0'/>")
		until(t, in, ping)
		io.WriteString(pinged, " ") // is life too
		until(t, managedIn, request)
		if out := until(t, managedIn, closed); !strings.Contains(out, "<connection-timeout") {
			t.Errorf("who does not answer is told %s", out)
		}
		if out := until(t, in, ping); strings.Contains(out, "timeout") {
			t.Errorf("who sent a space is told %s", out)
		}
		if out := until(t, unbound, closed); !strings.Contains(out, "<connection-timeout") || strings.Contains(out, "ping") {
			t.Errorf("who binds no resource is told %s", out)
		}
		for range 2 {
			if p := h.Next(); p.Name != "close" || p.Type != "lost" {
				t.Errorf("the session is told %+v", p)
			}
		}
	})
}

// The limits of a stream are announced (XEP-0478).
func TestXEP0478Limits(t *testing.T) {
	for args, want := range map[string]string{
		`{"listen":["127.0.0.1:0"],"starttls":"optional"}`:                                            "<max-bytes>262144</max-bytes><idle-seconds>900</idle-seconds>",
		`{"listen":["127.0.0.1:0"],"starttls":"optional","max_stanza":"20000","quiet":{"after":"0"}}`: "<max-bytes>20000</max-bytes></limits>",
	} {
		sdktest.Both(t, plan(args), func(t *testing.T, h *sdktest.Harness) {
			address := listening(h)
			withAccount(t, h)
			if out := raw(t, address, header+plainAs("ann", "secret")+header+closed); strings.Count(out, "<limits xmlns='urn:xmpp:stream-limits:0'>"+want) != 2 {
				t.Errorf("no %s before and behind the login in\n%s", want, out)
			}
		})
	}
}

// More connections than allowed are told resource-constraint (4.9.3.17).
func TestRFC6120TooManyConnections(t *testing.T) {
	sdktest.Both(t, plan(`{"listen":["127.0.0.1:0"],"max_connections":1}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		_, in := talk(t, address, header)
		until(t, in, "</stream:features>")
		if out := raw(t, address, ""); !strings.Contains(out, "<stream:stream") || !strings.Contains(out, "<resource-constraint") {
			t.Errorf("one too many is told %s", out)
		}
	})
}

// When the server stops, who is logged in and who is about to are told so (4.9.3.20).
func TestRFC6120SystemShutdown(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, plan(`{"listen":["127.0.0.1:0"],"starttls":"optional"}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		_, in := talk(t, address, loggedIn)
		until(t, in, "</iq>")
		_, early := talk(t, address, header)
		until(t, early, "</stream:features>")
		told := map[string]chan string{"logged in": make(chan string, 1), "about to log in": make(chan string, 1)}
		for who, in := range map[string]*bufio.Reader{"logged in": in, "about to log in": early} {
			go func() {
				out, _ := io.ReadAll(in)
				told[who] <- string(out)
			}()
		}
		h.Restart()
		for who, what := range told {
			if out := <-what; !strings.Contains(out, "<system-shutdown") || !strings.HasSuffix(out, closed) {
				t.Errorf("%s: told %s", who, out)
			}
		}
	})
}

// Clients come over IPv4 and IPv6 (RFC 6120, 3.2), and by one of several listeners.
func TestRFC6120ListenersOfBothFamilies(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("there is no IPv6 here")
	} else {
		l.Close()
	}
	sdktest.Both(t, plan(`{"listen":["127.0.0.1:0","[::1]:0"],"tls":{"listen":["127.0.0.1:0","[::1]:0"]}}`), func(t *testing.T, h *sdktest.Harness) {
		withAccount(t, h)
		for range 2 {
			s, err := login(t, listening(h), session.Account{})
			if err != nil {
				t.Fatal(err)
			}
			if s.Local() != jid.MustParse("ann@example.org/there") {
				t.Errorf("logged in as %s", s.Local())
			}
			s.Close()
		}
		for range 2 {
			conn, err := tls.Dial("tcp", listening(h), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}})
			if err != nil {
				t.Fatal(err)
			}
			s, err := loginOn(t, conn, session.Account{})
			if err != nil {
				t.Fatal(err)
			}
			s.Close()
		}
	})
}
