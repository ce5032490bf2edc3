package accept_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jabberii/server/basemods/accept"
	"github.com/jabberii/server/basemods/connect"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

const linkSecret = "the secret of two servers"

// echo sends back what it gets, in the name of whom it was sent to.
var echo = module.Define("echo", "", module.On(packet.Normal), func(env module.Env, _ struct{}) (packet.Handler, error) {
	return packet.HandlerFunc(func(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
		q := *p
		q.To, q.From = p.From, p.To
		return packet.Claim, env.Deliver(ctx, &q)
	}), nil
})

// A linked is two servers, of which the far one accepts and the near one connects.
type linked struct{ near, far *sdktest.Harness }

// linkServers starts two servers. far.example is a sink and echo.far.example an echo on the
// far one, near.example a sink on the near one; either thinks that *.loop.example is
// on the other. More is arguments of native.
func linkServers(t *testing.T, wired bool, moreFar, moreNear string) linked {
	t.Helper()
	a := sdktest.NewAuthority(t)
	cert, key := a.Issue("127.0.0.1")
	far := sdktest.New(t, sdktest.Plan{
		Modules: []module.Module{accept.Module, echo},
		Sections: []module.Section{
			sdktest.Service("near", sdktest.Host("near.example"), sdktest.Host("*.loop.example"),
				sdktest.Block("accept", fmt.Sprintf(`{"listen":["127.0.0.1:0"],"secret":%q,"native":{"certificate":%q,"key":%q%s}}`, linkSecret, cert, key, moreFar))),
			sdktest.Sinks("far.example", packet.Normal),
			sdktest.Section("echo", packet.Normal, sdktest.Host("echo.far.example"), sdktest.Block("echo", `{}`)),
		},
	}, wired)
	address := addressIn.FindStringSubmatch(far.Logged("listening for another server").Attrs)[1]
	near := sdktest.New(t, sdktest.Plan{
		Modules: []module.Module{connect.Module},
		Sections: []module.Section{
			sdktest.Section("far", packet.Normal, sdktest.Host("far.example"), sdktest.Host("*.far.example"), sdktest.Host("*.loop.example"),
				sdktest.Block("connect", fmt.Sprintf(`{"to":%q,"secret":%q,"retry":{"first":"20ms","most":"100ms"},"native":{"ca":%q%s}}`, address, linkSecret, a.File, moreNear))),
			sdktest.Sinks("near.example", packet.Normal),
		},
	}, wired)
	return linked{near, far}
}

// bothLinked runs a test with two servers, linked and wired.
func bothLinked(t *testing.T, test func(*testing.T, linked)) {
	for name, wired := range map[string]bool{"linked": false, "wired": true} {
		t.Run(name, func(t *testing.T) { test(t, linkServers(t, wired, "", "")) })
	}
}

func TestNative(t *testing.T) {
	bothLinked(t, func(t *testing.T, l linked) {
		if o := l.near.Deliver(chat("1", "ann@near.example/x", "bob@far.example")); o.Result != packet.Claimed {
			t.Fatalf("ended %+v", o)
		}
		if p := l.far.Next(); p.ID != "1" || p.From != "ann@near.example/x" || string(p.Body) != "<body>1</body>" {
			t.Errorf("came as %+v", p)
		}
		if o := l.near.Deliver(chat("2", "ann@near.example/x", "bob@echo.far.example")); o.Result != packet.Claimed {
			t.Fatalf("ended %+v", o)
		}
		if p := l.near.Next(); p.ID != "2" || p.From != "bob@echo.far.example" {
			t.Errorf("came back as %+v", p)
		}
		r := l.near.Explain(chat("3", "ann@near.example", "bob@far.example"))
		if r.Outcome != "claimed" || !strings.Contains(r.Sections[0].Steps[0].Why, "whose verdict counts") {
			t.Errorf("explained as %+v", r)
		}
	})
}

func TestNativeRefusalIsAnsweredOnce(t *testing.T) {
	bothLinked(t, func(t *testing.T, l linked) {
		o := l.near.Deliver(chat("1", "ann@near.example/x", "bob@none.far.example"))
		if o.Result != packet.Refused || o.Reason.Condition != "service-unavailable" {
			t.Errorf("ended %+v", o)
		}
		if p := l.near.Next(); p.Type != "error" || p.ID != "1" || p.To != "ann@near.example/x" {
			t.Errorf("the sender is told %+v", p)
		}
		// An error is not answered, wherever it ends.
		e := chat("2", "ann@near.example", "bob@none.far.example")
		e.Type = "error"
		if o := l.near.Deliver(e); o.Result != packet.Dropped {
			t.Errorf("an error ended %+v", o)
		}
		if rest := append(l.near.Received(), l.far.Received()...); len(rest) > 0 {
			t.Errorf("there also came %+v", rest)
		}
	})
}

func TestNativeHopsAreCounted(t *testing.T) {
	bothLinked(t, func(t *testing.T, l linked) {
		o := l.near.Deliver(chat("1", "ann@elsewhere.example", "bob@a.loop.example"))
		if o.Result != packet.Refused || o.Reason.Condition != "resource-constraint" || !strings.Contains(o.Reason.Text, "loop") {
			t.Errorf("ended %+v, %+v", o, o.Reason)
		}
	})
}

func TestNativeKeepsOrder(t *testing.T) {
	bothLinked(t, func(t *testing.T, l linked) {
		const n = 500
		var last <-chan packet.Outcome
		for i := range n {
			last = l.near.Send(chat(fmt.Sprint(i), "ann@near.example", "bob@echo.far.example"))
		}
		<-last
		for i := range n {
			if p := l.near.Next(); p.ID != fmt.Sprint(i) {
				t.Fatalf("%s is number %d", p.ID, i)
			}
		}
	})
}

func TestNativeWhoSpeaksForWhom(t *testing.T) {
	for name, c := range map[string]struct {
		far, from string
		condition string // "" is none
	}{
		"its own host":                   {"", "ann@near.example", ""},
		"a host of nobody":               {"", "ann@other.example", ""},
		"a host that is served here":     {"", "ann@far.example", "not-allowed"},
		"a host that it is listed for":   {`,"from":["*.Far.example","x.example"]`, "ann@echo.far.example", ""},
		"a host that it isn't listed":    {`,"from":["x.example"]`, "ann@near.example", "not-allowed"},
		"anybody, where nobody is asked": {`},"check_from":false,"hold":{`, "ann@far.example", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := linkServers(t, false, c.far, "")
			o := l.near.Deliver(chat("1", c.from, "bob@far.example"))
			switch {
			case c.condition == "" && o.Result != packet.Claimed:
				t.Errorf("ended %+v, %+v", o, o.Reason)
			case c.condition != "" && (o.Reason == nil || o.Reason.Condition != c.condition):
				t.Errorf("ended %+v, %+v, want %s", o, o.Reason, c.condition)
			}
		})
	}
}

func TestNativeWrongSecret(t *testing.T) {
	a := sdktest.NewAuthority(t)
	cert, key := a.Issue("127.0.0.1")
	far := sdktest.New(t, sdktest.Plan{Modules: []module.Module{accept.Module}, Sections: []module.Section{
		sdktest.Service("near", sdktest.Host("near.example"),
			sdktest.Block("accept", fmt.Sprintf(`{"listen":["127.0.0.1:0"],"secret":%q,"native":{"certificate":%q,"key":%q}}`, linkSecret, cert, key)))}}, false)
	entry := far.Logged("listening for another server").Attrs
	address := addressIn.FindStringSubmatch(entry)[1]
	if !strings.Contains(entry, "pin='sha256:") {
		t.Errorf("the pin is not logged: %s", entry)
	}
	near := sdktest.New(t, sdktest.Plan{Modules: []module.Module{connect.Module}, Sections: []module.Section{
		sdktest.Section("far", packet.Normal, sdktest.Host("far.example"),
			sdktest.Block("connect", fmt.Sprintf(`{"to":%q,"secret":"another secret of theirs","native":{"ca":%q}}`, address, a.File)))}}, false)
	if e := near.Logged("the other server refuses: the secret is not the same on both servers"); !strings.Contains(e.Attrs, address) || e.Type != "warn" {
		t.Errorf("the near side logs %+v", e)
	}
	if e := far.Logged("refused a server: the secret is not the same on both servers"); !strings.Contains(e.Attrs, "address='127.0.0.1:") || e.Type != "warn" {
		t.Errorf("the far side logs %+v", e)
	}
}

func TestNativeWrongArguments(t *testing.T) {
	for name, c := range map[string]struct{ args, want string }{
		"a short secret":     {`{"secret":"short","native":{"certificate":"a","key":"b"}}`, "secret: is shorter than 16"},
		"no certificate":     {`{"secret":"` + linkSecret + `","native":{"key":"b"}}`, "native.certificate: is required"},
		"a window of none":   {`{"secret":"` + linkSecret + `","native":{"certificate":"a","key":"b","window":0}}`, "native.window: is less than 1"},
		"a pin":              {`{"secret":"` + linkSecret + `","native":{"certificate":"a","key":"b","pin":["x"]}}`, "native.pin: "},
		"a host":             {`{"secret":"` + linkSecret + `","native":{"certificate":"a","key":"b","from":["a.*"]}}`, "native.from: "},
		"a file that is not": {`{"listen":["127.0.0.1:0"],"secret":"` + linkSecret + `","native":{"certificate":"none.crt","key":"none.key"}}`, "certificate: open "},
	} {
		_, err := sdktest.Try(t, sdktest.Plan{Modules: []module.Module{accept.Module}, Sections: []module.Section{
			sdktest.Service("near", sdktest.Host("near.example"), sdktest.Block("accept", c.args))}}, false)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func chat(id, from, to string) *packet.Packet {
	return &packet.Packet{To: to, From: from, Name: "message", Type: "chat", ID: id, Body: []byte("<body>" + id + "</body>")}
}
