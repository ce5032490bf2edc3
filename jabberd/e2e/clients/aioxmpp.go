package clients

import (
	_ "embed"
	"testing"
)

//go:embed aioxmpp_driver.py
var aioxmppDriver string

// Aioxmpp logs an aioxmpp client in and returns when its session is established.
// It has not sent presence. A connection that is lost it makes again by itself
// and resumes (events "disconnected" and "resumed"). What it knows of commands are
// messages, presence, the roster and pings; of the login, address, account and TLS,
// which there has to be.
func Aioxmpp(t testing.TB, login Login) *Client {
	t.Helper()
	c := drivePython(t, "aioxmpp", login.JID, aioxmppDriver)
	tls := login.TLS
	if tls == StartTLS {
		tls = "starttls"
	}
	err := c.login("connect", map[string]any{"addr": login.Addr, "jid": login.JID, "password": login.Password, "tls": tls})
	if err != nil {
		t.Fatalf("log in as %s at %s with aioxmpp: %v", login.JID, login.Addr, err)
	}
	return c
}
