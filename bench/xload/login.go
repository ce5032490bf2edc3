package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jabberii/server/bench/crowd"
)

// Config is what every mode needs to know about the server under test.
type Config struct {
	crowd.Crowd
	Addr      string
	First     int // number of the first user that this load is of
	Password  string
	TLS       string // off, starttls, direct
	Mechanism string // PLAIN, SCRAM-SHA-1, SCRAM-SHA-256
	Resource  string
	Timeout   time.Duration // of one negotiation
	Retries   int           // of a login that failed
	Acks      int           // XEP-0198, a request with every so many messages; 0: without
	tls       *tls.Config
	keys      *derived
}

// Login runs the whole negotiation for a user: stream, TLS, SASL, bind, and
// stream management if asked for.
func (config *Config) Login(i int, resource string) (c *Conn, err error) {
	for try := 0; ; try++ {
		if c, err = config.login(config.First+i, resource); err == nil || try >= config.Retries {
			return c, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (config *Config) login(number int, resource string) (*Conn, error) {
	user := config.User(number)
	c, features, err := config.dial(number)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", user, err)
	}
	if err = c.authenticate(user, features); err == nil {
		err = c.bind(resource)
	}
	if err != nil {
		c.socket.Close()
		return nil, fmt.Errorf("%s: %w", user, err)
	}
	c.socket.SetDeadline(time.Time{})
	return c, nil
}

// dial connects and negotiates up to the features that precede authentication.
func (config *Config) dial(number int) (*Conn, []byte, error) {
	socket, err := net.DialTimeout("tcp", config.Addr, config.Timeout)
	if err != nil {
		return nil, nil, err
	}
	socket.SetDeadline(time.Now().Add(config.Timeout))
	c := &Conn{socket: socket, config: config, host: config.Host(number), buf: make([]byte, 4096)}
	features, err := c.greet()
	if err != nil {
		socket.Close()
		return nil, nil, err
	}
	return c, features, nil
}

func (c *Conn) greet() (features []byte, err error) {
	if c.config.TLS == "direct" {
		if err := c.secure(); err != nil {
			return nil, err
		}
	}
	if features, err = c.open(); err != nil || c.config.TLS != "starttls" {
		return features, err
	}
	if err := c.write("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"); err != nil {
		return nil, err
	}
	el, err := c.Next()
	if err != nil {
		return nil, fmt.Errorf("starttls: %w", err)
	}
	if !isElement(el, "proceed") {
		return nil, fmt.Errorf("starttls: %s", el)
	}
	if err := c.secure(); err != nil {
		return nil, err
	}
	return c.open()
}

func (c *Conn) secure() error {
	settings := c.config.tls.Clone()
	settings.ServerName = c.host
	t := tls.Client(c.socket, settings)
	if err := t.Handshake(); err != nil {
		return fmt.Errorf("tls: %w", err)
	}
	c.socket = t
	return nil
}

// open opens a stream and returns the server's features.
func (c *Conn) open() ([]byte, error) {
	c.restart()
	err := c.write("<?xml version='1.0'?><stream:stream to='" + c.host +
		"' version='1.0' xml:lang='en' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>")
	if err != nil {
		return nil, err
	}
	for {
		el, err := c.Next()
		if err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
		if isElement(el, "stream:features") || isElement(el, "features") {
			return bytes.Clone(el), nil
		}
		if isElement(el, "stream:error") {
			return nil, errors.New(string(el))
		}
	}
}

// bind opens the stream after authentication and makes a session of it.
func (c *Conn) bind(resource string) error {
	features, err := c.open()
	if err != nil {
		return fmt.Errorf("after authentication: %w", err)
	}
	el, err := c.IQ("<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+resource+"</resource></bind></iq>", "b1", 0)
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if c.JID = content(el, "jid"); c.JID == "" {
		return fmt.Errorf("bind: %s", el)
	}
	// The session request of RFC 3921, where it is required.
	if i := bytes.Index(features, []byte("<session")); i >= 0 && !bytes.Contains(features[i:], []byte("<optional")) {
		if _, err := c.IQ("<iq type='set' id='s1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>", "s1", 0); err != nil {
			return fmt.Errorf("session: %w", err)
		}
	}
	if c.config.Acks > 0 {
		return c.enableAcks(c.config.Acks)
	}
	return nil
}

func (c *Conn) authenticate(user string, features []byte) error {
	c.User = user
	mechanism := c.config.Mechanism
	if !bytes.Contains(features, []byte(">"+mechanism+"<")) {
		return fmt.Errorf("mechanism %s is not offered: %s", mechanism, features)
	}
	if mechanism != "PLAIN" {
		return c.scram(user)
	}
	el, err := c.exchange("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" +
		base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+c.config.Password)) + "</auth>")
	if err == nil && !isElement(el, "success") {
		err = fmt.Errorf("authenticate: %s", el)
	}
	return err
}

// exchange sends one element of SASL and returns the server's next.
func (c *Conn) exchange(el string) ([]byte, error) {
	if err := c.write(el); err != nil {
		return nil, err
	}
	answer, err := c.Next()
	if err != nil {
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	return answer, nil
}
