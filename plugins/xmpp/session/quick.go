package session

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// An Agent is what a client tells the server of itself when it logs in by SASL2
// (XEP-0388). With an ID, a UUID that stays the same for the installation, it is given
// tokens (XEP-0484) and a resource that stays the same.
type Agent struct{ ID, Software, Device string }

// quick is the login of a client by SASL2, with Bind 2 and tokens where the server has
// them, again and again.
type quick struct {
	agent       Agent
	credentials sasl.Credentials
	tag         string // begins the resource
	window      int    // of stream management, less than 0 is none

	mu    sync.Mutex
	token Token
}

func (q *quick) current() Token {
	if q == nil {
		return Token{}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.token
}

func (q *quick) keep(t Token) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.token = t
}

// Token is what the client can log in with the next time, see Account.Token. It is the
// zero Token if the server has given none.
func (s *Session) Token() Token { return s.config.quick.current() }

// ahead is the whole login with a token, to be sent with the header of the stream: what
// the server offers is known from the time when it gave the token.
func (q *quick) ahead(n *Negotiator) ([]byte, error) {
	if q == nil || n.TLS() == nil || n.authenticated || n.begun != nil {
		return nil, nil
	}
	token := q.current()
	if token.Secret == "" || !token.Expiry.IsZero() && time.Now().After(token.Expiry) {
		return nil, nil
	}
	c := n.complete(sasl.Credentials{Token: token.Secret, Mechanisms: []string{token.Mechanism}})
	client, err := sasl.NewClient(c, c.Mechanisms)
	if err != nil {
		return nil, nil // the channel has not what the token is bound to: log in as usual
	}
	response, _, err := client.Step(nil)
	if err != nil {
		return nil, err
	}
	n.begun = client
	return q.authenticate(n, client.Mechanism(), response, stream.Features{}), nil
}

// feature is that of XEP-0388 on the initiating side; a server without it is none
// the worse. It stands in front of SASL.
func (q *quick) feature(_ context.Context, n *Negotiator) (Progress, error) {
	el, offered := n.Offered().Find("authentication", ns.SASL2)
	client := n.begun
	if n.authenticated || !offered || n.TLS() == nil {
		if client != nil {
			return Skip, errors.New("sasl2: not offered any more")
		}
		return Skip, nil
	}
	if client != nil { // the answer to what was sent ahead
		n.begun = nil
		progress, err := q.finish(n, client)
		var refused *sasl.Failure
		if !errors.As(err, &refused) || q.credentials.Password == "" {
			return progress, err
		}
		q.keep(Token{})
	}
	var mechanisms []string
	for child := range el.Elements() {
		if child.Is("mechanism", ns.SASL2) {
			mechanisms = append(mechanisms, strings.TrimSpace(child.Text()))
		}
	}
	client, err := sasl.NewClient(n.complete(q.credentials), mechanisms)
	if err != nil {
		return Skip, err
	}
	response, _, err := client.Step(nil)
	if err != nil {
		return Skip, err
	}
	if err := n.Write(q.authenticate(n, client.Mechanism(), response, n.Offered())); err != nil {
		return Skip, err
	}
	return q.finish(n, client)
}

// authenticate writes the request: with a token, all that a server which has given it
// must know; else what it offers.
func (q *quick) authenticate(n *Negotiator, mechanism string, response []byte, offer stream.Features) []byte {
	out := xml.AppendStart(nil, "authenticate", ns.SASL2, "mechanism", mechanism)
	if response != nil {
		out = xml.AppendElement(out, "initial-response", "", base64.StdEncoding.EncodeToString(response))
	}
	out = q.agent.append(out)
	offered, ok := offer.Find("authentication", ns.SASL2)
	inline, _ := offered.Find("inline", ns.SASL2)
	has := func(name, space string) bool {
		_, found := inline.Find(name, space)
		return found || !ok
	}
	if n.resuming != nil && has("sm", ns.StreamManagement) {
		m := &n.resuming.state
		out = xml.AppendEmpty(out, "resume", ns.StreamManagement,
			"previd", m.id, "h", strconv.FormatUint(uint64(m.handled), 10))
	}
	if n.resuming == nil && has("bind", ns.Bind2) {
		out = q.appendBind(out)
	}
	if !ok {
		out = xml.AppendEmpty(out, "fast", ns.FAST)
	} else {
		out = q.appendWishes(out, n, &offered, &inline)
	}
	return xml.AppendEnd(out, "authenticate")
}

func (q *quick) appendBind(dst []byte) []byte {
	dst = xml.AppendStart(dst, "bind", ns.Bind2)
	if q.tag != "" {
		dst = xml.AppendElement(dst, "tag", "", q.tag)
	}
	if q.window >= 0 {
		dst = xml.AppendEmpty(dst, "enable", ns.StreamManagement, "resume", "true")
	}
	return xml.AppendEnd(dst, "bind")
}

// appendWishes asks for a token, and for the tasks that we can do.
func (q *quick) appendWishes(dst []byte, n *Negotiator, offered, inline *xml.Element) []byte {
	if fast, ok := inline.Find("fast", ns.FAST); ok && q.agent.ID != "" {
		all := n.complete(sasl.Credentials{}).Bindings
		for el := range fast.Elements() {
			if name := strings.TrimSpace(el.Text()); sasl.CanBind(name, all) {
				n.wanted = name
				dst = xml.AppendEmpty(dst, "request-token", ns.FAST, "mechanism", name)
				break
			}
		}
	}
	for el := range offered.Elements() {
		if el.Is("upgrade", ns.Upgrade) && strings.HasPrefix(el.Text(), upgradeTask) && q.credentials.Password != "" {
			dst = xml.AppendElement(dst, "upgrade", ns.Upgrade, el.Text())
		}
	}
	return dst
}

func (a *Agent) append(dst []byte) []byte {
	if a.ID == "" {
		dst = xml.AppendStart(dst, "user-agent", "")
	} else {
		dst = xml.AppendStart(dst, "user-agent", "", "id", a.ID)
	}
	if a.Software != "" {
		dst = xml.AppendElement(dst, "software", "", a.Software)
	}
	if a.Device != "" {
		dst = xml.AppendElement(dst, "device", "", a.Device)
	}
	return xml.AppendEnd(dst, "user-agent")
}

// finish exchanges messages until the login has succeeded or failed.
func (q *quick) finish(n *Negotiator, client *sasl.Client) (Progress, error) {
	proved := false
	for {
		t, err := n.Next()
		if err != nil {
			return Skip, err
		}
		if t.NS != ns.SASL2 {
			return Skip, fmt.Errorf("sasl2: unexpected element %s", t.Name)
		}
		switch t.Name {
		case "challenge":
			err = answer2(n, client, text(t))
		case "continue":
			if err = prove(client, t, &proved); err == nil {
				tasks, _ := xml.Find(t.Body, ns.SASL2, "tasks", ns.SASL2)
				task, _ := tasks.Find("task", ns.SASL2)
				err = n.upgrade(task.Text(), q.credentials.Password)
			}
		case "success":
			if err = prove(client, t, &proved); err == nil {
				return q.succeed(n, t)
			}
		case "failure":
			err = failure2(t)
		default:
			err = fmt.Errorf("sasl2: unexpected element %s", t.Name)
		}
		if err != nil {
			return Skip, err
		}
	}
}

func answer2(n *Negotiator, client *sasl.Client, data string) error {
	in, err := decode2(data)
	if err != nil {
		return err
	}
	response, _, err := client.Step(in)
	if err != nil {
		n.Write(xml.AppendEmpty(nil, "abort", ns.SASL2))
		return err
	}
	return n.Write(xml.AppendElement(nil, "response", ns.SASL2, base64.StdEncoding.EncodeToString(response)))
}

// prove checks that the server has proved what the mechanism wants, once.
func prove(client *sasl.Client, t *xml.Token, proved *bool) error {
	if *proved {
		return nil
	}
	*proved = true
	el, ok := xml.Find(t.Body, ns.SASL2, "additional-data", ns.SASL2)
	data := el.Text()
	if !ok {
		data = ""
	} else if data == "" {
		data = "="
	}
	return believe(client, client.Done(), data)
}

func failure2(t *xml.Token) error {
	f := &sasl.Failure{Condition: sasl.NotAuthorized}
	for el := range xml.Elements(t.Body, ns.SASL2) {
		switch {
		case el.NS() == ns.SASL:
			f.Condition = sasl.Condition(el.Name())
		case el.Is("text", ns.SASL2):
			f.Text = el.Text()
		}
	}
	return f
}

// succeed reads what the success has brought, and the features behind it.
func (q *quick) succeed(n *Negotiator, t *xml.Token) (Progress, error) {
	n.authenticated = true
	if el, ok := xml.Find(t.Body, ns.SASL2, "token", ns.FAST); ok {
		q.learn(n, &el)
	}
	if el, ok := xml.Find(t.Body, ns.SASL2, "resumed", ns.StreamManagement); ok && n.resuming != nil {
		h, err := strconv.ParseUint(el.Attr("h"), 10, 32)
		if err != nil {
			return Skip, errors.New("resume: no counter")
		}
		n.resuming.handled = uint32(h)
		return Complete, nil
	}
	if n.resuming != nil {
		if _, failed := xml.Find(t.Body, ns.SASL2, "failed", ns.StreamManagement); failed {
			return Skip, ErrNotResumed
		}
	}
	if bound, ok := xml.Find(t.Body, ns.SASL2, "bound", ns.Bind2); ok {
		if err := q.bound(n, t, &bound); err != nil {
			return Skip, err
		}
	}
	return Done, n.readFeatures()
}

func (q *quick) bound(n *Negotiator, t *xml.Token, bound *xml.Element) error {
	identity, _ := xml.Find(t.Body, ns.SASL2, "authorization-identifier", ns.SASL2)
	address, err := jid.Parse(identity.Text())
	if err != nil || address.Resource() == "" {
		return fmt.Errorf("bind: server's answer: %q", identity.Text())
	}
	n.local, n.bound = address, true
	if enabled, ok := bound.Find("enabled", ns.StreamManagement); ok {
		n.management = &management{window: q.window}
		if r := enabled.Attr("resume"); r == "true" || r == "1" {
			n.management.id = enabled.Attr("id")
		}
	}
	return nil
}

// learn keeps the token that the server gives; it is for the mechanism that was asked for.
func (q *quick) learn(n *Negotiator, el *xml.Element) {
	token := Token{Secret: el.Attr("token"), Mechanism: q.current().Mechanism}
	if n.wanted != "" {
		token.Mechanism = n.wanted
	}
	token.Expiry, _ = time.Parse(time.RFC3339, el.Attr("expiry"))
	q.keep(token)
}
