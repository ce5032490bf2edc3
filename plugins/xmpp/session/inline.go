package session

import (
	"strings"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// An Inline is the session that a client asks for together with its authentication,
// once that has succeeded.
type Inline struct {
	Account jid.JID
	Agent   string // the id of the client's installation, "" if it told none
	// Resume is the session to go on with (XEP-0198), nil if there is none. If it is gone
	// a new one is bound, if that is asked for too.
	Resume *Resume
	// Bind asks for a new session (XEP-0386), nil if not.
	Bind *Bind2
}

// A Resume is the element of XEP-0198, its attributes as they came.
type Resume struct{ Previous, Handled string }

// A Bind2 is the element bind of XEP-0386.
type Bind2 struct {
	Tag      string // what the client wants its resource to begin with; may be empty
	Features []byte // elements that are to be enabled, self-contained
}

// Established is the session that a client has got.
type Established struct {
	Address jid.JID // the full JID, zero if there is no session
	Resumed bool
	Managed bool   // stream management is on (XEP-0198), and not to be offered again
	Out     []byte // the elements that say so, for the client: resumed, failed, bound
}

// loginRequest is the element authenticate.
type loginRequest struct {
	mechanism string
	response  []byte // nil if there is none
	inline    Inline
	fast      *fastUse // the mechanism proves a token
	token     string   // the mechanism that a new token is wanted for, "" if none is
	upgrades  []string // names of tasks
}

// maxAgent bounds the id of a client, which is a UUID.
const maxAgent = 256

// parseRequest reads what a client asks for. What is not known is left alone.
func parseRequest(t *xml.Token) (*loginRequest, error) {
	q := &loginRequest{mechanism: string(t.Attr("mechanism"))}
	for el := range xml.Elements(t.Body, ns.SASL2) {
		switch {
		case el.Is("initial-response", ns.SASL2):
			in, err := decode2(el.Text())
			if err != nil {
				return nil, err
			}
			q.response = in
		case el.Is("user-agent", ns.SASL2):
			if id := el.Attr("id"); len(id) <= maxAgent {
				q.inline.Agent = id
			}
		case el.Is("resume", ns.StreamManagement):
			q.inline.Resume = &Resume{Previous: el.Attr("previd"), Handled: el.Attr("h")}
		case el.Is("bind", ns.Bind2):
			q.inline.Bind = parseBind2(&el)
		case el.Is("fast", ns.FAST):
			use, err := parseFast(&el)
			if err != nil {
				return nil, err
			}
			q.fast = use
		case el.Is("request-token", ns.FAST):
			q.token = el.Attr("mechanism")
		case el.Is("upgrade", ns.Upgrade):
			q.upgrades = append(q.upgrades, strings.TrimSpace(el.Text()))
		}
	}
	return q, nil
}

func parseBind2(el *xml.Element) *Bind2 {
	b := new(Bind2)
	for child := range el.Elements() {
		if child.Is("tag", ns.Bind2) {
			b.Tag = child.Text()
		} else if child.NS() != ns.Bind2 {
			b.Features = child.Append(b.Features)
		}
	}
	return b
}

// decode2 reads base64 as SASL2 has it, where an empty message is an empty element.
func decode2(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if text == "=" {
		return nil, &sasl.Failure{Condition: sasl.IncorrectEncoding}
	}
	b, err := decode(text)
	return nonNil(b), err
}
