package session_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const (
	open     = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.org' version='1.0'>"
	startTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	auth     = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldABwZW5jaWw=</auth>"
	wrong    = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGp1bGlldABwZW4=</auth>"
	bindIQ   = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>chamber</resource></bind></iq>"
	saslNS   = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
)

// A connection is a receiver with the bytes that come in, as its owner keeps them.
type connection struct {
	receiver *session.Receiver
	scanner  *xml.Scanner
	channel  sasl.Channel
	last     session.Reply
}

func connect(a *session.Acceptor) *connection {
	return &connection{
		receiver: session.NewReceiver(a), scanner: xml.NewScanner(xml.Limits{}),
		channel: sasl.Channel{Secure: true, Bindings: []sasl.Binding{{Type: sasl.TLSExporter, Data: []byte("x")}}},
	}
}

// feed does what an owner does, and returns what the peer is told, with the steps.
func (c *connection) feed(t *testing.T, in string) string {
	t.Helper()
	var told strings.Builder
	buf := []byte(in)
	for {
		token, n, err := c.scanner.Next(buf)
		if token == nil && err == nil {
			return told.String()
		}
		if err != nil {
			c.last = c.receiver.Fail(err)
		} else {
			c.last = c.receiver.Feed(t.Context(), token)
		}
		buf = buf[n:]
		told.Write(c.last.Out)
		if c.last.Step != session.Continue {
			told.WriteString(" [" + c.last.Step.String() + "]")
		}
		switch c.last.Step {
		case session.Encrypt:
			c.receiver.Secured(c.channel)
			c.scanner.Reset()
		case session.Restart:
			c.scanner.Reset()
		case session.Close, session.Ready:
			return told.String()
		}
	}
}

func TestReceiver(t *testing.T) {
	all := func() []session.Offer {
		return append([]session.Offer{session.OfferStartTLS(true)}, plain()...)
	}
	clear := func() []session.Offer {
		a := accounts()
		a.PlainText = true
		return []session.Offer{
			session.OfferStartTLS(false), session.OfferSASL(host, a),
			session.Advertise([]byte("<sm xmlns='urn:xmpp:sm:3'/>")), session.OfferBind(bind),
		}
	}
	cases := []struct {
		name   string
		offers func() []session.Offer
		in     string
		want   []string // in this order
		not    string
		err    error // that the last reply has, nil for any
	}{
		{
			name: "the whole way", offers: all, in: open + startTLS + open + auth + open + bindIQ,
			want: []string{
				"<stream:stream", "from='example.org'", "<starttls", "<required/>", "</stream:features>", "<proceed", "[encrypt]",
				"<stream:stream", "sasl-channel-binding", "tls-exporter", "<mechanism>SCRAM-SHA-256-PLUS</mechanism>", "<mechanism>PLAIN</mechanism>",
				"<success", "[restart]", "<stream:stream", "<bind ", "<iq type='result' id='b'", "juliet@example.org/chamber", "[ready]",
			},
		},
		{
			name: "no mechanism before the TLS that is required", offers: all, in: open,
			want: []string{"<starttls"}, not: "mechanism",
		},
		{
			name: "authentication before the TLS that is required", offers: all, in: open + auth,
			want: []string{"<stream:error", "<not-authorized", "</stream:stream>", "[close]"}, not: "success",
		},
		{
			name: "optional TLS is passed over", offers: clear, in: open + auth + open + bindIQ,
			want: []string{"<starttls", "<mechanisms", "<success", "<sm ", "<bind ", "[ready]"}, not: "[close]",
		},
		{
			name: "TLS behind the authentication", offers: clear, in: open + auth + open + startTLS,
			want: []string{"<success", "<bind", "<failure xmlns='" + ns.StartTLS, "</stream:stream>", "[close]"},
		},
		{
			name: "TLS twice", offers: all, in: open + startTLS + open + startTLS,
			want: []string{"[encrypt]", "<failure xmlns='" + ns.StartTLS, "[close]"},
		},
		{
			name: "stanza before the authentication", offers: clear, in: open + "<message to='romeo@example.net'/>",
			want: []string{"<stream:error", "<not-authorized", "[close]"},
		},
		{
			name: "stanza before bind", offers: clear, in: open + auth + open + "<message to='romeo@example.net'/>",
			want: []string{"<success", "<bind", "<stream:error", "<not-authorized", "[close]"},
		},
		{
			name: "unknown element behind the authentication", offers: clear, in: open + auth + open + "<x xmlns='y'/>",
			want: []string{"<stream:error", "<unsupported-stanza-type", "[close]"},
		},
		{
			name: "authentication twice", offers: clear, in: open + auth + open + auth,
			want: []string{"<success", "<bind", "<stream:error", "[close]"},
		},
		{
			name: "two failures, then success", offers: clear, in: open + wrong + wrong + auth,
			want: []string{"<failure " + saslNS + "><not-authorized/></failure>", "<failure", "<success", "[restart]"}, not: "stream:error",
		},
		{
			name: "three failures", offers: clear, in: open + wrong + wrong + wrong + auth,
			want: []string{"<failure", "<failure", "<failure", "<stream:error", "<policy-violation", "</stream:stream>", "[close]"}, not: "success",
			err: sasl.NotAuthorized,
		},
		{
			name: "unknown mechanism", offers: clear, in: open + "<auth " + saslNS + " mechanism='X'/>",
			want: []string{"<failure " + saslNS + "><invalid-mechanism/>"}, not: "[close]",
		},
		{
			name: "not base64", offers: clear, in: open + "<auth " + saslNS + " mechanism='PLAIN'>?</auth>",
			want: []string{"<incorrect-encoding/>"}, not: "[close]",
		},
		{
			name: "response without auth", offers: clear, in: open + "<response " + saslNS + ">AA==</response>",
			want: []string{"<malformed-request/>"}, not: "[close]",
		},
		{
			name: "no initial response", offers: clear,
			in:   open + "<auth " + saslNS + " mechanism='PLAIN'/><response " + saslNS + ">AGp1bGlldABwZW5jaWw=</response>",
			want: []string{"<challenge " + saslNS + "/>", "<success", "[restart]"},
		},
		{
			name: "abort, then again", offers: clear,
			in:   open + "<auth " + saslNS + " mechanism='SCRAM-SHA-1'>biwsbj1qdWxpZXQscj1hYmM=</auth><abort " + saslNS + "/>" + auth,
			want: []string{"<challenge", "<aborted/>", "<success"},
		},
		{
			name: "a second auth in the middle of the first", offers: clear,
			in:   open + "<auth " + saslNS + " mechanism='SCRAM-SHA-1'>biwsbj1qdWxpZXQscj1hYmM=</auth>" + auth,
			want: []string{"<challenge", "<malformed-request/>"}, not: "success",
		},
		{
			name: "resource taken, then another", offers: clear,
			in:   open + auth + open + strings.Replace(bindIQ, "chamber", "taken", 1) + bindIQ,
			want: []string{"type='error'", "<conflict", "juliet@example.org/chamber", "[ready]"},
		},
		{
			name: "resource that is none", offers: clear, in: open + auth + open + strings.Replace(bindIQ, "chamber", "&#xFFFD;\u0378", 1),
			want: []string{"type='error'", "<bad-request"}, not: "[ready]",
		},
		{
			name: "another host behind the authentication", offers: clear, in: open + auth + strings.Replace(open, "example.org", "example.com", 1),
			want: []string{"<success", "from='example.org'", "<stream:error", "<host-unknown", "[close]"},
		},
		{
			name: "unknown host", offers: clear, in: strings.Replace(open, "example.org", "example.com", 1),
			want: []string{"<stream:stream", "<stream:error", "<host-unknown", "</stream:stream>", "[close]"}, not: "features",
		},
		{
			name: "another namespace", offers: clear, in: strings.Replace(open, "jabber:client", "jabber:server", 1),
			want: []string{"<stream:stream", "xmlns='jabber:client'", "<stream:error", "<invalid-namespace", "[close]"},
		},
		{
			name: "no version", offers: clear, in: strings.Replace(open, "version='1.0'", "", 1),
			want: []string{"<stream:stream", "version='1.0'", "<stream:error", "<unsupported-version", "[close]"},
		},
		{
			name: "an address that is none", offers: clear, in: strings.Replace(open, "to='", "from='@@' to='", 1),
			want: []string{"<stream:stream", "<stream:error", "<improper-addressing", "[close]"},
		},
		{
			name: "from an account of another host", offers: clear, in: strings.Replace(open, "to='", "from='juliet@example.com' to='", 1),
			want: []string{"<stream:stream", "from='example.org'", "<stream:error", "<invalid-from", "[close]"}, not: "features",
		},
		{
			name: "HTTP", offers: clear, in: "GET / HTTP/1.1\r\n\r\n",
			want: []string{"<stream:stream", "<stream:error", "</stream:stream>", "[close]"},
		},
		{
			name: "the end", offers: clear, in: open + "</stream:stream>",
			want: []string{"</stream:features>", "</stream:stream>", "[close]"}, not: "error", err: io.EOF,
		},
		{
			name: "a stream error", offers: clear,
			in:   open + "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
			want: []string{"</stream:features>", "</stream:stream>", "[close]"}, not: "error",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			conn := connect(acceptor(c.offers()...))
			told := conn.feed(t, c.in)
			rest := told
			for _, w := range c.want {
				at := strings.Index(rest, w)
				if at < 0 {
					t.Fatalf("no %s in\n%s\nof\n%s", w, rest, told)
				}
				rest = rest[at+len(w):]
			}
			if c.not != "" && strings.Contains(told, c.not) {
				t.Fatalf("%s in\n%s", c.not, told)
			}
			if c.err != nil && !errors.Is(conn.last.Err, c.err) || conn.last.Step == session.Close && conn.last.Err == nil {
				t.Fatalf("error %v, want %v", conn.last.Err, c.err)
			}
			if ready := strings.Contains(told, "[ready]"); ready != (!conn.receiver.Address().IsBare() && !conn.receiver.Address().IsZero()) {
				t.Fatalf("ready %v as %v", ready, conn.receiver.Address())
			}
		})
	}
}

// Who binds elsewhere leaves bind out: negotiation ends with the features that say so.
func TestReceiverWithoutBind(t *testing.T) {
	a := accounts()
	a.PlainText = true
	conn := connect(acceptor(session.OfferSASL(host, a), session.Advertise(stream.AppendBind(nil))))
	told := conn.feed(t, open+auth+open)
	if !strings.HasSuffix(told, "</stream:features> [ready]") || !strings.Contains(told, ns.Bind) {
		t.Fatal(told)
	}
	if got := conn.receiver.Account(); got != juliet || conn.receiver.Address() != juliet {
		t.Fatalf("account %v", got)
	}
	if told = conn.feed(t, "<presence/>"); told != " [close]" {
		t.Fatalf("fed after the end: %s", told)
	}
}

func TestReceiverFramed(t *testing.T) {
	a := accounts()
	a.PlainText = true
	acc := acceptor(session.OfferSASL(host, a), session.OfferBind(bind))
	acc.Framing = session.Messages
	const open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.org' version='1.0'/>"
	messages := []struct{ in, want string }{
		{open, "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'"},
		{auth, "<success"},
		{open, "<open "},
		{strings.Replace(bindIQ, "<iq", "<iq xmlns='jabber:client'", 1), "<iq xmlns='jabber:client'"},
	}
	r, scanner := session.NewReceiver(acc), xml.NewScanner(xml.Limits{})
	for _, m := range messages {
		token, err := scanner.Document([]byte(m.in))
		if err != nil {
			t.Fatal(err)
		}
		if reply := r.Feed(t.Context(), token); !strings.HasPrefix(string(reply.Out), m.want) {
			t.Fatalf("%s: told %s, %v", m.in, reply.Out, reply.Err)
		}
	}
	if r.Address().Resource() != "chamber" {
		t.Fatalf("address %v", r.Address())
	}
	r = session.NewReceiver(acc)
	for _, in := range []string{open, "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"} {
		token, err := scanner.Document([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		reply := r.Feed(t.Context(), token)
		if in != open && (reply.Step != session.Close || string(reply.Out) != stream.CloseFrame) {
			t.Fatalf("told %s, step %v", reply.Out, reply.Step)
		}
	}
	r = session.NewReceiver(acc)
	for range 2 {
		token, _ := scanner.Document([]byte(open))
		if reply := r.Feed(t.Context(), token); strings.Contains(string(reply.Out), "bad-format") != (reply.Step == session.Close) {
			t.Fatalf("told %s", reply.Out)
		}
	}
}

// What carries the elements of BOSH says where the stream begins and ends.
func TestReceiverWithoutFrame(t *testing.T) {
	a := accounts()
	a.PlainText = true
	acc := acceptor(session.OfferSASL(host, a), session.OfferBind(bind))
	acc.Framing = session.Bodies
	conn := connect(acc)
	told := conn.feed(t, open+auth+open+bindIQ)
	if strings.Contains(told, "<stream:stream") || !strings.HasPrefix(told, "<stream:features ") || !strings.Contains(told, "<iq xmlns='jabber:client'") {
		t.Errorf("told %s", told)
	}
	if told := connect(acc).feed(t, strings.Replace(open, "1.0", "x", 1)); !strings.HasPrefix(told, "<stream:error") {
		t.Errorf("told %s", told)
	}
}

// The authzid of a client is its bare JID, or its name; that of a server its domain.
func TestAuthzidOfAnAccount(t *testing.T) {
	a := accounts()
	a.PlainText = true
	offer := session.OfferSASL(host, a)
	for authzid, want := range map[string]bool{
		"": true, "juliet@example.org": true, "JULIET@Example.org": true, "juliet": true,
		"romeo@example.org": false, "juliet@example.com": false, "juliet@example.org/balcony": false, "@": false,
	} {
		conn := connect(acceptor(offer))
		message := authzid + "\x00Juliet\x00pencil"
		told := conn.feed(t, open+"<auth "+saslNS+" mechanism='PLAIN'>"+base64(message)+"</auth>")
		if got := strings.Contains(told, "<success"); got != want || !got && !strings.Contains(told, "<invalid-authzid/>") {
			t.Errorf("%q: %s", authzid, told)
		}
	}
}

// A fault of the look-up is told as temporary, without its text, and logged with it.
func TestLookupFault(t *testing.T) {
	down := errors.New("the store is down")
	a := &sasl.Authenticator{PlainText: true, Verify: func(context.Context, string, string) error { return down }}
	acc := acceptor(session.OfferSASL(host, a))
	acc.Attempts = 1
	conn := connect(acc)
	told := conn.feed(t, open+auth)
	if !strings.Contains(told, "<temporary-auth-failure/>") || strings.Contains(told, "store") || !errors.Is(conn.last.Err, down) {
		t.Fatalf("told %s, error %v", told, conn.last.Err)
	}
}

// On a server's stream, EXTERNAL names a domain.
func TestExternalServer(t *testing.T) {
	a := &sasl.Authenticator{External: external}
	acc := acceptor(session.OfferStartTLS(true), session.OfferSASL(host, a))
	acc.NS = ns.Server
	conn := connect(acc)
	conn.channel.Certificate = peerCertificate
	open := strings.Replace(open, "jabber:client", "jabber:server", 1)
	told := conn.feed(t, open+startTLS+open+"<auth "+saslNS+" mechanism='EXTERNAL'>"+base64("example.net")+"</auth>"+open)
	if !strings.HasSuffix(told, "[ready]") || conn.receiver.Account() != jid.MustParse("example.net") {
		t.Fatalf("%s\nas %v", told, conn.receiver.Account())
	}
}

func FuzzReceiver(f *testing.F) {
	f.Add(open + startTLS + open + auth + open + bindIQ)
	f.Add(open + wrong + "<abort " + saslNS + "/><response " + saslNS + ">=</response>")
	f.Add(open + "<iq type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
	a := accounts()
	a.Verify = func(_ context.Context, _, password string) error {
		if password != "pencil" {
			return sasl.NotAuthorized
		}
		return nil
	}
	acc := acceptor(session.OfferStartTLS(true), session.OfferSASL(host, a), session.OfferBind(bind))
	f.Fuzz(func(t *testing.T, in string) {
		conn := connect(acc)
		told := conn.feed(t, in)
		if !conn.receiver.Account().IsZero() && !(strings.Contains(told, "[encrypt]") && strings.Contains(told, "<success")) {
			t.Fatalf("authenticated as %v by %q: %s", conn.receiver.Account(), in, told)
		}
		scanner := xml.NewScanner(xml.Limits{})
		for buf := []byte(told); conn.last.Step == session.Close; {
			token, n, err := scanner.Next(buf)
			if strings.Contains(told, "[") { // our own marks are between the streams
				break
			}
			if err != nil {
				t.Fatalf("told %s: %v", told, err)
			}
			if buf = buf[n:]; token == nil || token.Kind == xml.Close {
				break
			}
		}
	})
}
