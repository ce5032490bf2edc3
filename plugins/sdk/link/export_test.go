package link

import (
	"crypto/tls"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/jid"
)

// Judge is the gate alone.
func Judge(p *packet.Packet) *packet.Reject {
	return newGate(&Link{Config: Config{Names: jid.NewCache(16), Packet: 1 << 16, Admit: func(string) bool { return true }}}).enter(p)
}

// Prove is the proof of the side that connects.
func (l *Link) Prove(conn *tls.Conn) ([]byte, error) { return l.prove(conn, connects) }
