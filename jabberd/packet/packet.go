// Package packet holds what the delivery tree carries and who may handle it.
//
// A [Packet] is one XML element on its way: the start tag, read once at the
// edge into fields, and the content as bytes. A [Handler] is one link of a
// section's chain: it looks at a packet, may change it, and either passes it
// on to the next link or claims it. Everything else in jabberd is made of
// these two.
//
// The package depends on the standard library only, so that a module written
// against it carries nothing of the server with it.
package packet

import (
	"fmt"
	"strings"
	"unique"
)

// A Kind is the first branch of the delivery tree.
type Kind uint8

// The four kinds of packets.
const (
	Normal  Kind = iota // a stanza between two addresses, routed by To
	Session             // between a connection and its session, before to and from count
	XDB                 // a question to storage about its owner To
	Log                 // an entry for the logs
	NumKinds
)

var kindNames = [NumKinds]string{"normal", "session", "xdb", "log"}

// String returns the name of the kind as the configuration writes it.
func (k Kind) String() string {
	if k < NumKinds {
		return kindNames[k]
	}
	return "unknown"
}

// MarshalText writes the name of the kind.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name of a kind.
func (k *Kind) UnmarshalText(name []byte) error {
	v, ok := ParseKind(string(name))
	if !ok {
		return fmt.Errorf("there is no kind %q", name)
	}
	*k = v
	return nil
}

// ParseKind returns the kind with a name, and whether there is one.
func ParseKind(name string) (Kind, bool) {
	for k, n := range kindNames {
		if n == name {
			return Kind(k), true
		}
	}
	return 0, false
}

// ServerHost is the host of the server itself. In kind XDB it answers: its owner
// ServerHost has the running configuration. In kind Normal its commands ask with
// this address, and get the answers. No section can be attached to it, and no
// host on any network has the name (RFC 9476).
const ServerHost = "jabberd.alt"

// Flags are marks on a packet.
type Flags uint8

// The marks.
const (
	Redelivered Flags = 1 << iota // it, or what caused it, may have been handled before
	Down                          // session: from the session towards the connection
	Bounced                       // an answer that the tree made; it is never answered in turn
	FromLog                       // it is a log entry or caused by one: what handlers log about it goes to stderr only
	WantsAck                      // session, towards the connection: the client is asked behind it what it has (XEP-0198)
	Recheck                       // session, towards the connection: the account may have changed since the client has proved that it is its own
)

// A Token names one end of a session: a connection or a session. Each end
// makes its own and the other echoes it. The zero Token names nobody.
type Token struct {
	Host        string // the host level on the way to it: the domain of a session, the section id of a connection
	Section     string // the section that holds it
	Slot        uint32 // its place in that section
	Incarnation uint32 // tells apart those that held the slot one after another
	Node        uint32 // the node of the farm, 0 without one
}

// IsZero reports whether t names nobody.
func (t Token) IsZero() bool { return t == Token{} }

// Own returns t for who keeps it for long: its strings, of which there are few
// different ones, don't keep in memory what they came in.
func (t Token) Own() Token {
	t.Host, t.Section = unique.Make(t.Host).Value(), unique.Make(t.Section).Value()
	return t
}

// A Packet is one XML element on its way through the tree.
//
// It is passed by pointer but copied by value: whoever delivers keeps its own
// struct, and a handler's pointer is valid until Handle returns. Strings and
// Body are immutable and may be kept. Addresses are prepared (RFC 7622) at the
// edge, so that they compare as strings.
type Packet struct {
	Kind    Kind
	Flags   Flags
	Hops    uint8  // times it, or what caused it, was put into the tree; 32 is a loop
	Host    string // the host level to take; "" is the domain of To, and of From for Log
	Section string // only this section of the branch; "" is a copy for each

	To, From string // addresses
	Name     string // local name of the element: message, presence, iq; the operation for XDB; entry for Log
	Type     string // its type attribute: chat, get, result ...; the level for Log
	ID       string // its id attribute
	NS       string // its namespace; "" is the stanza namespace. For XDB the namespace asked of
	Lang     string // its xml:lang; one that is empty is in Attrs
	Attrs    string // its other attributes as XML, each with a space before it

	Near, Far Token  // session: the sender's end and the receiver's
	Seq       uint64 // session: number in this direction, from 1; 0 is not numbered

	// Body is the content of the element without its start and end tag. It
	// is never written to: who changes it puts a new slice in its place. It
	// stands on its own: prefixes are declared in it, and a child without
	// xmlns is in the stanza namespace.
	Body []byte
}

// Branch returns the host level that p takes.
func (p *Packet) Branch() string {
	switch {
	case p.Host != "":
		return p.Host
	case p.Kind == Log:
		return Domain(p.From)
	}
	return Domain(p.To)
}

// Domain returns the domainpart of a prepared address without checking it.
func Domain(jid string) string {
	if i := strings.IndexByte(jid, '/'); i >= 0 {
		jid = jid[:i]
	}
	return jid[strings.IndexByte(jid, '@')+1:]
}

// Bare returns a prepared address without its resourcepart.
func Bare(jid string) string {
	if i := strings.IndexByte(jid, '/'); i >= 0 {
		return jid[:i]
	}
	return jid
}

// Local returns the localpart of a prepared address, "" if it has none.
func Local(jid string) string {
	jid = Bare(jid)
	if i := strings.IndexByte(jid, '@'); i >= 0 {
		return jid[:i]
	}
	return ""
}

// Resource returns the resourcepart of a prepared address, "" if it has none.
func Resource(jid string) string {
	if i := strings.IndexByte(jid, '/'); i >= 0 {
		return jid[i+1:]
	}
	return ""
}
