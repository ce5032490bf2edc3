package to_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/to"
	"github.com/jabberii/server/plugins/sdk/entry"
)

// env is a section that keeps what is delivered.
type env struct {
	module.Env
	delivered []packet.Packet
	refuse    error
}

func (e *env) Deliver(_ context.Context, p *packet.Packet) error {
	if e.refuse == nil {
		e.delivered = append(e.delivered, *p)
	}
	return e.refuse
}

func line(text string) *packet.Packet {
	return &packet.Packet{Kind: packet.Log, Name: entry.Formatted, Body: entry.Body(text)}
}

func TestMessages(t *testing.T) {
	for name, c := range map[string]struct {
		args, text string
		want       packet.Packet
	}{
		"plain":   {`{"jid":"Admin@example.org"}`, "a < b", packet.Packet{To: "admin@example.org", From: "example.org", Type: "normal", Body: []byte("<body>a &lt; b</body>")}},
		"chosen":  {`{"jid":"a@b/c","from":"log@d","type":"headline"}`, "x", packet.Packet{To: "a@b/c", From: "log@d", Type: "headline", Body: []byte("<body>x</body>")}},
		"shorter": {`{"jid":"b"}`, strings.Repeat("é", 2500), packet.Packet{To: "b", From: "b", Type: "normal", Body: []byte("<body>" + strings.Repeat("é", 2000) + "...</body>")}},
	} {
		t.Run(name, func(t *testing.T) {
			e := new(env)
			h, err := to.Module.New(e, []byte(c.args))
			if err != nil {
				t.Fatal(err)
			}
			if v, why := h.(module.Explainer).Explain(t.Context(), line(c.text)); v != packet.Claim || why != "sends it to "+c.want.To {
				t.Errorf("explained as %v, %s", v, why)
			}
			if v, err := h.Handle(t.Context(), line(c.text)); v != packet.Claim || err != nil {
				t.Fatalf("got %v, %v, want claim", v, err)
			}
			got := e.delivered[0]
			if got.Kind != packet.Normal || got.Name != "message" || got.To != c.want.To || got.From != c.want.From || got.Type != c.want.Type || string(got.Body) != string(c.want.Body) {
				t.Errorf("sent %+v\n%s", got, got.Body)
			}
		})
	}
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := new(env)
		h, err := to.Module.New(e, []byte(`{"jid":"admin@example.org","per_minute":2}`))
		if err != nil {
			t.Fatal(err)
		}
		send := func(texts ...string) {
			for _, text := range texts {
				if v, err := h.Handle(t.Context(), line(text)); v != packet.Claim || err != nil {
					t.Errorf("%s: got %v, %v, want claim", text, v, err)
				}
			}
		}
		send("1", "2", "3", "4", "5")
		if _, why := h.(module.Explainer).Explain(t.Context(), line("x")); !strings.HasPrefix(why, "drops it") {
			t.Errorf("explained as %s", why)
		}
		time.Sleep(30 * time.Second)
		send("6", "7")
		time.Sleep(time.Minute)
		send("8", "9")
		want := []string{"1", "2", "6\n(entries dropped before this one: 3)", "8\n(entries dropped before this one: 1)", "9"}
		for i, p := range e.delivered {
			if got := string(p.Body); i >= len(want) || got != "<body>"+want[i]+"</body>" {
				t.Errorf("message %d is %s", i, got)
			}
		}
		if len(e.delivered) != len(want) {
			t.Errorf("%d messages, want %d", len(e.delivered), len(want))
		}
	})
}

func TestDeliveryThatFails(t *testing.T) {
	ended := errors.New("the server ends")
	h, err := to.Module.New(&env{refuse: ended}, []byte(`{"jid":"admin@example.org"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Handle(t.Context(), line("x")); !errors.Is(err, ended) {
		t.Errorf("got %v", err)
	}
}

func TestArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{}`:                               "jid",
		`{"jid":"@x"}`:                     "jid",
		`{"jid":"a@b","from":"a b"}`:       "from",
		`{"jid":"a@b","type":"groupchat"}`: "type",
		`{"jid":"a@b","per_minute":0}`:     "per_minute",
	} {
		_, err := to.Module.New(nil, []byte(args))
		var bad *module.ArgError
		if !errors.As(err, &bad) || bad.Path[0] != want {
			t.Errorf("%s: got %v, want an error at %s", args, err, want)
		}
	}
}
