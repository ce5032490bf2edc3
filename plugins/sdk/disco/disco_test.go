package disco_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

const (
	info  = "http://jabber.org/protocol/disco#info"
	items = "http://jabber.org/protocol/disco#items"
)

func get(to, body string) *packet.Packet {
	return &packet.Packet{Name: "iq", Type: "get", To: to, From: "ann@example.org/phone", Body: []byte(body)}
}

func TestAsks(t *testing.T) {
	whole := "<query xmlns='" + info + "'/>"
	for name, x := range map[string]struct {
		p           *packet.Packet
		info, items bool
	}{
		"a host":         {get("example.org", whole), true, false},
		"an account":     {get("bob@example.org", whole), true, false},
		"items":          {get("example.org", "<query xmlns='"+items+"'/>"), false, true},
		"capabilities":   {get("example.org", "<query xmlns='"+info+"' node='"+disco.Node+"#abc'/>"), true, false},
		"a node":         {get("example.org", "<query xmlns='"+info+"' node='x#abc'/>"), false, false},
		"a session":      {get("bob@example.org/desk", whole), false, false},
		"something else": {get("example.org", "<query xmlns='jabber:iq:version'/>"), false, false},
		"nothing":        {get("example.org", ""), false, false},
		"an answer":      {&packet.Packet{Name: "iq", Type: "result", To: "example.org", Body: []byte(whole)}, false, false},
		"a message":      {&packet.Packet{Name: "message", To: "example.org", Body: []byte(whole)}, false, false},
	} {
		if got := disco.AsksInfo(x.p); got != x.info {
			t.Errorf("%s: asks for information: %v", name, got)
		}
		if got := disco.AsksItems(x.p); got != x.items {
			t.Errorf("%s: asks for items: %v", name, got)
		}
	}
	commands := get("example.org", "<query xmlns='"+items+"' node='http://jabber.org/protocol/commands'/>")
	if !disco.AsksCommands(commands) || disco.AsksItems(commands) || disco.AsksCommands(get("example.org", "<query xmlns='"+items+"'/>")) {
		t.Error("commands and items are not told apart")
	}
	if !disco.OfHost(get("example.org", whole)) || disco.OfHost(get("bob@example.org", whole)) {
		t.Error("a host and an account are not told apart")
	}
}

// compose has two modules add to a query, and an answer made of it.
func compose(t *testing.T, p *packet.Packet, add ...func(*packet.Packet)) string {
	t.Helper()
	for _, f := range add {
		f(p)
	}
	if err := xml.Check(p.Body, xml.Limits{}); err != nil {
		t.Fatalf("%s: %v", p.Body, err)
	}
	el, _ := xml.First(p.Body, ns.Client)
	var a disco.Answer
	a.Identity("server", "im", "jabberd")
	a.Feature("own")
	a.Take(&el)
	return string(a.AppendInfo(nil, el.Attr("node")))
}

func TestInfoIsComposed(t *testing.T) {
	form := []byte("<x xmlns='jabber:x:data' type='result'/>")
	one := func(p *packet.Packet) { disco.AddFeature(p, "b", "own") }
	two := func(p *packet.Packet) {
		disco.AddForm(p, form)
		disco.AddFeature(p, "a")
		disco.AddIdentity(p, "gateway", "irc", "<&'")
	}
	const content = "<identity category='gateway' type='irc' name='&lt;&amp;&apos;'/><identity category='server' type='im' name='jabberd'/>" +
		"<feature var='a'/><feature var='b'/><feature var='own'/><x xmlns='jabber:x:data' type='result'/></query>"
	const want = "<query xmlns='" + info + "'>" + content
	for name, x := range map[string]struct{ query, want string }{
		"plain":                {"<query xmlns='" + info + "'/>", want},
		"an open tag":          {"<query xmlns='" + info + "'></query>", want},
		"another notation":     {`<q:query xmlns:q="` + info + `"><q:feature var='forged'/></q:query>`, want},
		"what a client brings": {"<query xmlns='" + info + "'><feature var='forged'/></query>", want},
		"capabilities":         {"<query xmlns='" + info + "' node='" + disco.Node + "#abc'/>", "<query xmlns='" + info + "' node='" + disco.Node + "#abc'>" + content},
	} {
		for _, order := range [][]func(*packet.Packet){{one, two}, {two, one}} {
			p := get("example.org", x.query)
			disco.Clear(p)
			if got := compose(t, p, order...); got != x.want {
				t.Errorf("%s:\n got %s\nwant %s", name, got, x.want)
			}
		}
	}
}

func TestItemsAreComposed(t *testing.T) {
	p := get("example.org", "<query xmlns='"+items+"'><item jid='forged'/></query>")
	disco.Clear(p)
	var a disco.Answer
	el, _ := xml.First(p.Body, ns.Client)
	a.Take(&el)
	if got := string(a.AppendItems(nil, "")); got != "<query xmlns='"+items+"'/>" {
		t.Errorf("without items %s", got)
	}
	disco.AddItem(p, "rooms.example.org", "", "Rooms")
	disco.AddItem(p, "example.org", "commands", "")
	disco.AddItem(p, "rooms.example.org", "", "Rooms")
	el, _ = xml.First(p.Body, ns.Client)
	a.Take(&el)
	want := "<query xmlns='" + items + "'><item jid='example.org' node='commands'/><item jid='rooms.example.org' name='Rooms'/></query>"
	if got := string(a.AppendItems(nil, "")); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestClearLeavesTheRest(t *testing.T) {
	for _, body := range []string{"", "<query xmlns='jabber:iq:private'><a xmlns='b'/></query>", "<query xmlns='" + info + "'/>"} {
		p := get("example.org", body)
		if disco.Clear(p); string(p.Body) != body {
			t.Errorf("%s became %s", body, p.Body)
		}
	}
}

// Whoever has nothing to do with a packet says so at no cost.
func TestOthersCostNothing(t *testing.T) {
	p := &packet.Packet{Name: "message", Type: "chat", To: "ann@example.org", Body: []byte("<body>x</body>")}
	if n := testing.AllocsPerRun(100, func() { disco.AsksInfo(p) }); n > 0 {
		t.Errorf("%v allocations for a message", n)
	}
}
