package link_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/frame"
	"github.com/jabberii/server/plugins/sdk/link"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

// shake lets both sides shake hands and returns what each of them says.
func (p *pair) shake(far, near *tls.Config) (farErr, nearErr error) {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Fatal(err)
	}
	defer l.Close()
	ctx, done := context.WithTimeout(context.Background(), patience)
	defer done()
	said := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err == nil {
			var s *link.Stream
			if s, err = p.far.Accept(ctx, nc, far); err == nil {
				leave, ended := p.run(s)
				leave()
				<-ended
			}
		}
		said <- err
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	s, nearErr := p.near.Connect(ctx, nc, near)
	if nearErr == nil {
		leave, ended := p.run(s)
		leave()
		<-ended
	}
	return <-said, nearErr
}

func TestWhoIsRefused(t *testing.T) {
	a, foreign := sdktest.NewAuthority(t), sdktest.NewAuthority(t)
	cert, key := a.Issue("127.0.0.1")
	otherCert, otherKey := foreign.Issue("127.0.0.1")
	elseCert, elseKey := a.Issue("elsewhere.example")
	pin := func(cert, key string) string {
		c, err := link.TLS{Certificate: cert, Key: key}.Server()
		if err != nil {
			t.Fatal(err)
		}
		return link.Pin(c.Certificates[0].Leaf)
	}
	far := link.TLS{Certificate: cert, Key: key}
	near := link.TLS{Authorities: a.File, Name: "127.0.0.1"}
	for _, c := range []struct {
		name           string
		far, near      link.TLS
		secret         string // of the near side
		farSays, nears string
	}{
		{name: "nobody", far: far, near: near},
		{name: "nobody, by pin", far: far, near: link.TLS{Pins: []string{pin(elseCert, elseKey), pin(cert, key)}}},
		{name: "nobody, both with certificates", near: link.TLS{Authorities: a.File, Name: "127.0.0.1", Certificate: elseCert, Key: elseKey},
			far: link.TLS{Certificate: cert, Key: key, Authorities: a.File, Pins: []string{pin(elseCert, elseKey)}}},
		{name: "nobody, the client by pin alone", near: link.TLS{Authorities: a.File, Name: "127.0.0.1", Certificate: otherCert, Key: otherKey},
			far: link.TLS{Certificate: cert, Key: key, Pins: []string{pin(otherCert, otherKey)}}},
		{name: "another secret", far: far, near: near, secret: "another secret, as long",
			farSays: "the secret is not the same", nears: "the other server refuses: the secret is not the same"},
		{name: "a certificate of another authority", far: link.TLS{Certificate: otherCert, Key: otherKey}, near: near,
			farSays: "TLS: remote error", nears: "TLS: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		{name: "a certificate for another name", far: link.TLS{Certificate: elseCert, Key: elseKey}, near: near,
			farSays: "TLS: remote error", nears: "x509: "},
		{name: "a key that is not pinned", far: far, near: link.TLS{Pins: []string{pin(elseCert, elseKey)}},
			farSays: "TLS: remote error", nears: "the other side's public key is " + pin(cert, key) + ", which is not pinned"},
		{name: "right authority, wrong pin", far: far, near: link.TLS{Authorities: a.File, Name: "127.0.0.1", Pins: []string{pin(elseCert, elseKey)}},
			farSays: "TLS: remote error", nears: "which is not pinned"},
		{name: "the system does not know the authority", far: far, near: link.TLS{Name: "127.0.0.1"},
			farSays: "TLS: remote error", nears: "unknown authority"},
		{name: "no client certificate", far: link.TLS{Certificate: cert, Key: key, Authorities: a.File}, near: near,
			farSays: "TLS: tls: client didn't provide a certificate", nears: "certificate required"},
		{name: "a client certificate of another authority", near: link.TLS{Authorities: a.File, Name: "127.0.0.1", Certificate: otherCert, Key: otherKey},
			far: link.TLS{Certificate: cert, Key: key, Authorities: a.File}, farSays: "unknown authority", nears: "no hello: remote error"},
		{name: "a client key that is not pinned", near: link.TLS{Authorities: a.File, Name: "127.0.0.1", Certificate: elseCert, Key: elseKey},
			far: link.TLS{Certificate: cert, Key: key, Pins: []string{pin(otherCert, otherKey)}}, farSays: "which is not pinned", nears: "no hello: remote error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			if c.secret != "" {
				p.near.Secret = c.secret
			}
			farErr, nearErr := p.shake(p.settings(c.far, true), p.settings(c.near, false))
			expect(t, "the far side", farErr, c.farSays)
			expect(t, "the near side", nearErr, c.nears)
		})
	}
}

func expect(t *testing.T, who string, err error, text string) {
	t.Helper()
	if text == "" && err != nil || text != "" && (err == nil || !strings.Contains(err.Error(), text)) {
		t.Errorf("%s says %v, want %q", who, err, text)
	}
}

func TestWrongSettings(t *testing.T) {
	a := sdktest.NewAuthority(t)
	cert, key := a.Issue("x.example")
	_, other := a.Issue("y.example")
	for name, c := range map[string]struct {
		tls  link.TLS
		want string
	}{
		"no file":              {link.TLS{Certificate: "/none.crt", Key: "/none.key"}, "certificate: open /none.crt"},
		"another's key":        {link.TLS{Certificate: cert, Key: other}, "private key does not match"},
		"no authorities":       {link.TLS{Authorities: "/none"}, "authorities: open /none"},
		"authorities of none":  {link.TLS{Authorities: key}, "has no certificate"},
		"a pin that is short":  {link.TLS{Pins: []string{"sha256:00ff"}}, "64 hexadecimal digits"},
		"a pin that is no hex": {link.TLS{Pins: []string{strings.Repeat("z", 64)}}, "64 hexadecimal digits"},
	} {
		_, server := c.tls.Server()
		_, client := c.tls.Client()
		expect(t, name+": server", server, c.want)
		expect(t, name+": client", client, c.want)
	}
	if _, err := link.ParsePin("sha256:" + strings.Repeat("AB:", 31) + "cd"); err != nil {
		t.Error(err)
	}
}

// A stranger is a connection to the far side behind TLS, by hand.
type stranger struct {
	*tls.Conn
	r *bufio.Reader
}

func (p *pair) stranger(config *tls.Config) *stranger {
	p.t.Helper()
	conn := tls.Client(p.dial(), config)
	p.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := conn.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	return &stranger{conn, bufio.NewReader(conn)}
}

func (s *stranger) say(kind byte, content string) {
	_, _ = s.Write(append([]byte{kind, byte(len(content) >> 16), byte(len(content) >> 8), byte(len(content))}, content...))
}

func (s *stranger) hear(t *testing.T) (kind byte, content string) {
	t.Helper()
	header := make([]byte, 4)
	if _, err := io.ReadFull(s.r, header); err != nil {
		t.Fatalf("nothing is said: %v", err)
	}
	b := make([]byte, int(header[1])<<16|int(header[2])<<8|int(header[3]))
	if _, err := io.ReadFull(s.r, b); err != nil {
		t.Fatal(err)
	}
	return header[0], string(b)
}

func TestStrangers(t *testing.T) {
	p := newPair(t)
	for name, c := range map[string]struct {
		kind             byte
		says             string
		condition, wants string
	}{
		"other versions":        {'H', `{"versions":[2,3],"id":"7","window":1}`, "version", "offered are [2 3], accepted are [1]"},
		"no version":            {'H', `{}`, "version", "offered are [], accepted are [1]"},
		"no proof":              {'H', `{"versions":[1,2],"id":"7","window":1}`, "secret", "the secret is not the same"},
		"not JSON":              {'H', `hello`, "hello", "a hello that is none"},
		"something else":        {'F', `x`, "hello", "message 'F' instead of a hello"},
		"the secret, not proof": {'H', `{"versions":[1],"id":"7","window":1,"proof":"` + secret + `"}`, "hello", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := p.stranger(p.near.tls)
			s.say(c.kind, c.says)
			kind, content := s.hear(t)
			var r link.Refused
			if err := json.Unmarshal([]byte(content), &r); err != nil || kind != 'R' || r.Condition != c.condition || !strings.Contains(r.Text, c.wants) {
				t.Errorf("is told %c %s, %v, want %s: %s", kind, content, err, c.condition, c.wants)
			}
			if c.condition == "version" && (len(r.Versions) != 1 || r.Versions[0] != 1) {
				t.Errorf("is told versions %v", r.Versions)
			}
			if _, err := s.r.ReadByte(); err == nil {
				t.Error("the connection goes on")
			}
		})
	}
	t.Run("a hello without end", func(t *testing.T) {
		s := p.stranger(p.near.tls)
		_, _ = s.Write([]byte{'H', 0xff, 0xff, 0xff})
		if _, err := s.r.ReadByte(); err == nil {
			t.Error("16 MB of hello are waited for")
		}
	})
	t.Run("TLS 1.2", func(t *testing.T) {
		old := p.near.tls.Clone()
		old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
		if err := tls.Client(p.dial(), old).Handshake(); err == nil {
			t.Error("TLS 1.2 is spoken")
		}
	})
	t.Run("another protocol", func(t *testing.T) {
		other := p.near.tls.Clone()
		other.NextProtos, other.VerifyConnection = []string{"h2"}, nil
		if err := tls.Client(p.dial(), other).Handshake(); err == nil {
			t.Error("h2 is spoken")
		}
		other.NextProtos = nil
		conn := tls.Client(p.dial(), other)
		_ = conn.SetDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("a client without a protocol is spoken to")
		}
	})
}

// TestNonsense: a peer that says nonsense behind the hello loses its connection,
// and nothing else.
func TestNonsense(t *testing.T) {
	p := newPair(t, func(c *link.Config) { c.Window = 2 })
	peer := func(t *testing.T) *stranger {
		s := p.stranger(p.near.tls)
		proof, err := p.near.Prove(s.Conn)
		if err != nil {
			t.Fatal(err)
		}
		greeting, _ := json.Marshal(map[string]any{"versions": []int{1, 9}, "id": "7", "window": 1, "proof": proof})
		s.say('H', string(greeting))
		if kind, content := s.hear(t); kind != 'H' || !strings.Contains(content, `"versions":[1]`) {
			t.Fatalf("is told %c %s", kind, content)
		}
		return s
	}
	for name, records := range map[string]string{
		"no records":     "\xff\xff",
		"a damaged walk": string(frame.AppendWalk(nil, &frame.Walk{ID: 300, Num: 300})[:4]),
	} {
		t.Run(name, func(t *testing.T) {
			s := peer(t)
			s.say('F', records)
			if _, err := s.r.ReadByte(); err == nil {
				t.Error("the connection goes on")
			}
		})
	}
	t.Run("kinds of a later version, and a sign of life", func(t *testing.T) {
		s := peer(t)
		s.say('Z', "what is this?")
		s.say('F', "\x0a\x03\x4a\x01x") // a record of a kind that there is not
		s.say('Q', "")
		if kind, _ := s.hear(t); kind != 'P' {
			t.Errorf("hears %c", kind)
		}
	})
	t.Run("more than the window", func(t *testing.T) {
		s := peer(t)
		var walks []byte
		for i := range uint64(9) { // four times the window are taken in case that we have given some up
			walks = frame.AppendWalk(walks, &frame.Walk{ID: i + 1, Origin: 7, Num: i + 1, Timeout: patience, Packet: *message("x", fmt.Sprintf("%d@near.example", i), "b@held.example")})
		}
		s.say('F', string(walks))
		kind, content := s.hear(t)
		if kind != 'F' || !strings.Contains(content, "resource-constraint") {
			t.Errorf("hears %c %q", kind, content)
		}
		for range 8 {
			await(t, "a packet", p.held.arrived)
			p.held.free <- ""
		}
	})
}

// TestAProofIsGoodForOneSide: a server that knows no secret cannot send back what
// it was shown.
func TestAProofIsGoodForOneSide(t *testing.T) {
	p := newPair(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		mirror := tls.Server(nc, p.far.tls)
		_, _ = io.Copy(mirror, mirror)
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.try(p.near, nc)
	var refused *link.Refused
	if !errors.As(err, &refused) || refused.Condition != "secret" {
		t.Errorf("the mirror is told %v", err)
	}
}

// TestWhatAServerAnswers: whatever is no hello, the side that connects says so.
func TestWhatAServerAnswers(t *testing.T) {
	p := newPair(t)
	for name, c := range map[string]struct{ answer, want string }{
		"a refusal":         {`R{"condition":"version","text":"offered are [1],\u0007 accepted are [2]","versions":[2]}`, "the other server refuses: offered are [1],  accepted are [2]"},
		"no refusal":        {"R!", "a refusal that is none"},
		"a later version":   {`H{"versions":[2],"id":"1","window":1}`, "offered are [2], accepted are [1]"},
		"nothing":           {"", "closed the connection instead of a hello"},
		"half a message":    {"Hx", ""},
		"another beginning": {"F{}", "message 'F' instead of a hello"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				conn := tls.Server(nc, p.far.tls)
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 1024)) // its hello
				if c.answer == "Hx" {
					_, _ = conn.Write([]byte("H\x00\x01"))
				} else if c.answer != "" {
					(&stranger{Conn: conn}).say(c.answer[0], c.answer[1:])
				}
			}()
			nc, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := p.try(p.near, nc); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v, want %q", err, c.want)
			}
		})
	}
}

func TestAHandshakeThatTakesTooLong(t *testing.T) {
	p := newPair(t)
	here, there := net.Pipe()
	defer there.Close()
	ctx, done := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer done()
	if _, err := p.near.Connect(ctx, here, p.near.tls); err == nil {
		t.Error("it is linked with nobody")
	}
}
