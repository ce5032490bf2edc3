package sm

import (
	"bytes"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
)

// A shown is the presence of a session as its subscribers see it. It is kept
// for as long as the client is there, so it is no packet, which is five times
// as large, and no part of one, which may lie in the frame that it came in.
type shown struct {
	lang, attrs string
	body        []byte
}

// shownBy is what a presence shows.
func shownBy(p *packet.Packet) *shown {
	return &shown{strings.Clone(p.Lang), strings.Clone(p.Attrs), bytes.Clone(p.Body)}
}

// available is the presence of a session that has one, to nobody yet.
func (x *session) available() packet.Packet {
	v := x.presence
	return packet.Packet{From: x.jid, Name: "presence", Lang: v.lang, Attrs: v.attrs, Body: v.body}
}
