package halt_test

import (
	"context"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/halt"
)

// asked keeps what was asked.
type asked struct{ packet.Packet }

func (a *asked) Request(_ context.Context, iq *packet.Packet) (*packet.Packet, error) {
	a.Packet = *iq
	return iq, nil
}

func TestOrder(t *testing.T) {
	for _, o := range []halt.Order{{}, {Restart: true}, {After: 90 * time.Second}, {Restart: true, After: halt.MaxDelay}} {
		var a asked
		if err := halt.Ask(t.Context(), &a, "example.org", o); err != nil {
			t.Fatal(err)
		}
		if got, mine, err := halt.Parse(&a.Packet); got != o || !mine || err != nil || a.From != "example.org" || a.To != packet.ServerHost {
			t.Errorf("%+v comes as %+v, %v, %v in %+v", o, got, mine, err, a.Packet)
		}
	}
}

func TestParse(t *testing.T) {
	for name, x := range map[string]struct {
		kind, body string
		mine       bool
	}{
		"a question":      {"get", "<stop xmlns='urn:jabberd:halt' after='0'/>", false},
		"something else":  {"set", "<stop xmlns='urn:x' after='0'/>", false},
		"nothing":         {"set", "", false},
		"no time":         {"set", "<stop xmlns='urn:jabberd:halt'/>", true},
		"too late":        {"set", "<stop xmlns='urn:jabberd:halt' after='3601'/>", true},
		"in the past":     {"set", "<stop xmlns='urn:jabberd:halt' after='-1'/>", true},
		"an other action": {"set", "<explode xmlns='urn:jabberd:halt' after='0'/>", true},
	} {
		_, mine, err := halt.Parse(&packet.Packet{Name: "iq", Type: x.kind, Body: []byte(x.body)})
		if mine != x.mine || (err != nil) != x.mine {
			t.Errorf("%s: %v, %v", name, mine, err)
		}
	}
}
