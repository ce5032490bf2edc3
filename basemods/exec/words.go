package exec

import (
	"encoding/json"
	"fmt"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/element"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// said is a packet in JSON.
type said struct {
	Kind    string `json:"kind,omitempty"` // "" is normal
	Host    string `json:"host,omitempty"`
	Section string `json:"section,omitempty"`

	To   string `json:"to,omitempty"`
	From string `json:"from,omitempty"`
	Name string `json:"name,omitempty"`
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
	NS   string `json:"ns,omitempty"`
	Lang string `json:"lang,omitempty"`

	Attrs string `json:"attrs,omitempty"`
	Body  string `json:"body,omitempty"`

	Near *token `json:"near,omitempty"`
	Far  *token `json:"far,omitempty"`
	Seq  uint64 `json:"seq,omitempty"`

	Redelivered bool `json:"redelivered,omitempty"`
	Down        bool `json:"down,omitempty"`
	Bounced     bool `json:"bounced,omitempty"`

	Tag string `json:"tag,omitempty"` // of a delivery whose end the program wants to know
}

type token struct {
	Host        string `json:"host,omitempty"`
	Section     string `json:"section,omitempty"`
	Slot        uint32 `json:"slot,omitempty"`
	Incarnation uint32 `json:"incarnation,omitempty"`
	Node        uint32 `json:"node,omitempty"`
}

// A refusal is an error for the sender.
type refusal struct {
	Condition string `json:"condition,omitempty"`
	Text      string `json:"text,omitempty"`
	Type      string `json:"type,omitempty"`
}

// A request is a line for the program. One member says which it is.
type request struct {
	ID      uint64       `json:"id,omitempty"`      // handle the packet
	Ping    uint64       `json:"ping,omitempty"`    // say pong
	Settled []settlement `json:"settled,omitempty"` // what became of tagged deliveries
	Answer  string       `json:"answer,omitempty"`  // to the question with this name

	Packet *said `json:"packet,omitempty"`
	*refusal
}

// A settlement says how a tagged delivery ended.
type settlement struct {
	Tag    string `json:"tag"`
	Result string `json:"result"` // claimed, refused, dropped
	*refusal
}

// A reply is a line of the program.
type reply struct {
	ID      uint64          `json:"id"` // the verdict on that packet
	Verdict string          `json:"verdict"`
	Packet  json.RawMessage `json:"packet"` // with id what has changed, with ask the question
	Answer  *said           `json:"answer"` // with id, of an xdb packet
	refusal                 // with id, of the verdict reject

	Deliver []said `json:"deliver"` // with id in the same transaction, else by itself
	Ask     string `json:"ask"`     // a question, with a name for its answer
	Pong    uint64 `json:"pong"`
}

// say returns a packet in JSON.
func say(p *packet.Packet) *said {
	s := &said{
		Host: p.Host, Section: p.Section, To: p.To, From: p.From, Name: p.Name, Type: p.Type, ID: p.ID,
		NS: p.NS, Lang: p.Lang, Attrs: p.Attrs, Body: string(p.Body), Near: sayToken(p.Near), Far: sayToken(p.Far), Seq: p.Seq,
		Redelivered: p.Flags&packet.Redelivered != 0, Down: p.Flags&packet.Down != 0, Bounced: p.Flags&packet.Bounced != 0,
	}
	if p.Kind != packet.Normal {
		s.Kind = p.Kind.String()
	}
	return s
}

func sayToken(t packet.Token) *token {
	if t.IsZero() {
		return nil
	}
	return (*token)(&t)
}

func (t *token) token() packet.Token {
	if t == nil {
		return packet.Token{}
	}
	return packet.Token(*t)
}

// A hearer makes packets of what programs say.
type hearer struct {
	names  *jid.Cache
	limits xml.Limits
}

// hear returns the packet that was said. Its addresses are prepared; its name,
// attributes and body are well-formed together.
func (h *hearer) hear(s *said) (packet.Packet, error) {
	p := packet.Packet{
		Host: s.Host, Section: s.Section, To: s.To, From: s.From, Name: s.Name, Type: s.Type, ID: s.ID,
		NS: s.NS, Lang: s.Lang, Attrs: s.Attrs, Body: []byte(s.Body), Near: s.Near.token(), Far: s.Far.token(), Seq: s.Seq,
	}
	kind, ok := packet.ParseKind(s.Kind)
	if s.Kind != "" && !ok {
		return p, fmt.Errorf("there is no kind %q", s.Kind)
	}
	p.Kind = kind
	if s.Down {
		p.Flags |= packet.Down
	}
	t, err := xml.NewScanner(h.limits).Document(element.Append(nil, &p))
	if err != nil {
		return p, fmt.Errorf("it is no XML element: %w", err)
	}
	e, err := element.Packet(t, h.names)
	if err != nil && kind != packet.Log { // whose writer is no address
		return p, err
	}
	if e.Name != p.Name {
		return p, fmt.Errorf("its name %q is none", p.Name)
	}
	p.Attrs, p.Body = e.Attrs, e.Body
	if kind != packet.Log {
		p.To, p.From = e.To, e.From
	}
	return p, nil
}
