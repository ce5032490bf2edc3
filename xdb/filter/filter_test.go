package filter_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/xdb/filter"
)

func TestHandle(t *testing.T) {
	const (
		both   = "<put ns='auth' key='k'/><delete ns='urn:xmpp:a' key='k'/>"
		mixed  = "<put ns='auth' key='k'/><put ns='roster' key='k'/>"
		others = "<put ns='roster' key='k'/><put ns='urn:xmpp:secret' key='k'/>"
		hidden = "<put ns='roster' key='k'/>"
	)
	for _, c := range []struct {
		name, args     string
		op, ns, body   string
		want           packet.Verdict
		condition, why string
	}{
		{name: "named", op: "get", ns: "auth", want: packet.Pass, why: "is for this section"},
		{name: "not named", op: "get", ns: "roster", want: packet.Skip, why: "not in namespaces"},
		{name: "longer than a name", op: "get", ns: "authority", want: packet.Skip, why: "not in namespaces"},
		{name: "by its beginning", op: "put", ns: "urn:xmpp:bookmarks", want: packet.Pass},
		{name: "just the beginning", op: "put", ns: "urn:xmpp:", want: packet.Pass},
		{name: "excepted", op: "put", ns: "urn:xmpp:secret", want: packet.Skip, why: "in except"},
		{name: "all of an owner", op: "drop", want: packet.Pass, why: "names no namespace"},
		{name: "batch", op: "batch", body: both, want: packet.Pass},
		{name: "batch of others", op: "batch", body: others, want: packet.Skip},
		{name: "batch of both", op: "batch", body: mixed, condition: "not-acceptable", why: "different stores"},
		{name: "batch that hides a namespace", op: "batch", ns: "auth", body: hidden, want: packet.Skip},
		{name: "batch of nonsense", op: "batch", body: "<x/>", condition: "bad-request", why: "bad-request"},
		{name: "only except, another", args: `{"except":["auth"]}`, op: "get", ns: "roster", want: packet.Pass},
		{name: "only except, itself", args: `{"except":["auth"]}`, op: "get", ns: "auth", want: packet.Skip, why: "in except"},
		{name: "all but some", args: `{"namespaces":["*"],"except":["a*"]}`, op: "get", ns: "auth", want: packet.Skip},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.args == "" {
				c.args = `{"namespaces":["auth","urn:xmpp:*"],"except":["urn:xmpp:secret"]}`
			}
			h, err := filter.Module.New(nil, []byte(c.args))
			if err != nil {
				t.Fatal(err)
			}
			p := packet.Packet{Kind: packet.XDB, Name: c.op, NS: c.ns, Body: []byte(c.body)}
			v, err := h.Handle(t.Context(), &p)
			var reject *packet.Reject
			if errors.As(err, &reject) != (c.condition != "") || reject != nil && reject.Condition != c.condition || err == nil && v != c.want {
				t.Errorf("got %v, %v, want %v %s", v, err, c.want, c.condition)
			}
			if reject != nil {
				c.want = packet.Refuses
			}
			if v, why := h.(module.Explainer).Explain(t.Context(), &p); v != c.want || !strings.Contains(why, c.why) {
				t.Errorf("explains %v, %q, want %v, ...%s", v, why, c.want, c.why)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{}`:                                 "namespaces",
		`{"namespaces":[]}`:                  "namespaces",
		`{"namespaces":[""]}`:                "namespaces",
		`{"namespaces":["a*b"]}`:             "namespaces",
		`{"namespaces":["a"],"except":[""]}`: "except",
	} {
		_, err := filter.Module.New(nil, []byte(args))
		var bad *module.ArgError
		if !errors.As(err, &bad) || bad.Path[0] != want {
			t.Errorf("%s: got %v, want a complaint about %s", args, err, want)
		}
	}
}
