package main

import (
	"bytes"
	"fmt"
	"maps"
	"strings"
)

const nsRoster = "jabber:iq:roster"

// A roster is the state of a subscription by contact, both a bare JID.
type roster map[string]string

// fetchRoster asks for the roster (RFC 6121, 2.1.3).
func (c *Conn) fetchRoster() (roster, error) {
	el, err := c.IQ("<iq type='get' id='roster'><query xmlns='"+nsRoster+"'/></iq>", "roster", 0)
	if err != nil {
		return nil, fmt.Errorf("%s: roster: %w", c.User, err)
	}
	if attribute(el, "type") != "result" {
		return nil, fmt.Errorf("%s: roster: %s", c.User, el)
	}
	r := roster{}
	r.update(el)
	return r, nil
}

// update takes the items of a result or a push.
func (r roster) update(el []byte) {
	for item := range bytes.SplitSeq(el, []byte("<item ")) {
		item = append([]byte("<item "), item...)
		if jid := attribute(item, "jid"); jid != "" && !bytes.HasPrefix(item, []byte("<item <")) {
			r[jid] = attribute(item, "subscription")
		}
	}
}

// mutual counts the contacts that see each other.
func (r roster) mutual() (n int) {
	for state := range maps.Values(r) {
		if state == "both" {
			n++
		}
	}
	return n
}

// sees reports whether a contact's presence comes to this user.
func (r roster) sees(jid string) bool { return r[jid] == "both" || r[jid] == "to" }

func bare(jid string) string {
	b, _, _ := strings.Cut(jid, "/")
	return b
}
