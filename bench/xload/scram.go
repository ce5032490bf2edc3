package main

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"sync"
)

// scram authenticates by RFC 5802, without channel binding.
func (c *Conn) scram(user string) error {
	b64 := base64.StdEncoding
	newHash := sha1.New
	if c.config.Mechanism == "SCRAM-SHA-256" {
		newHash = sha256.New
	}
	first := "n=" + user + ",r=" + rand.Text()
	el, err := c.exchange("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='" + c.config.Mechanism + "'>" +
		b64.EncodeToString([]byte("n,,"+first)) + "</auth>")
	if err != nil {
		return err
	}
	if !isElement(el, "challenge") {
		return fmt.Errorf("authenticate: %s", el)
	}
	challenge, err := b64.DecodeString(content(el, "challenge"))
	if err != nil {
		return fmt.Errorf("challenge: %w", err)
	}
	keys, nonce, err := c.config.keys.forChallenge(newHash, c.config.Password, string(challenge))
	if err != nil {
		return err
	}
	last := "c=biws,r=" + nonce
	message := first + "," + string(challenge) + "," + last
	proof := sum(newHash, keys.stored, message)
	for i := range proof {
		proof[i] ^= keys.client[i]
	}
	el, err = c.exchange("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" +
		b64.EncodeToString([]byte(last+",p="+b64.EncodeToString(proof))) + "</response>")
	if err != nil {
		return err
	}
	final := content(el, "success")
	if isElement(el, "challenge") { // some servers send the last message as one more challenge
		final = content(el, "challenge")
		if el, err = c.exchange("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"); err != nil {
			return err
		}
	}
	if !isElement(el, "success") {
		return fmt.Errorf("authenticate: %s", el)
	}
	if got, _ := b64.DecodeString(final); string(got) != "v="+b64.EncodeToString(sum(newHash, keys.server, message)) {
		return fmt.Errorf("the server's signature %q is wrong", got)
	}
	return nil
}

type scramKeys struct{ client, stored, server []byte }

// derived keeps keys by password, salt and rounds, so that a login costs the
// load generator little.
type derived struct {
	mu   sync.Mutex
	keys map[string]scramKeys
}

func newDerived() *derived { return &derived{keys: map[string]scramKeys{}} }

// forChallenge returns the keys for a challenge, and the nonce in it.
func (d *derived) forChallenge(newHash func() hash.Hash, password, challenge string) (keys scramKeys, nonce string, err error) {
	var salt string
	var rounds int
	for part := range strings.SplitSeq(challenge, ",") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "r":
			nonce = value
		case "s":
			salt = value
		case "i":
			rounds, _ = strconv.Atoi(value)
		}
	}
	salted, err := base64.StdEncoding.DecodeString(salt)
	if err != nil || rounds <= 0 {
		return keys, "", fmt.Errorf("challenge %q", challenge)
	}
	id := fmt.Sprint(newHash().Size(), password, salt, rounds)
	d.mu.Lock()
	keys, known := d.keys[id]
	d.mu.Unlock()
	if known {
		return keys, nonce, nil
	}
	root, err := pbkdf2.Key(newHash, password, salted, rounds, newHash().Size())
	if err != nil {
		return keys, "", err
	}
	client := sum(newHash, root, "Client Key")
	stored := newHash()
	stored.Write(client)
	keys = scramKeys{client, stored.Sum(nil), sum(newHash, root, "Server Key")}
	d.mu.Lock()
	d.keys[id] = keys
	d.mu.Unlock()
	return keys, nonce, nil
}

func sum(newHash func() hash.Hash, key []byte, message string) []byte {
	m := hmac.New(newHash, key)
	io.WriteString(m, message)
	return m.Sum(nil)
}
