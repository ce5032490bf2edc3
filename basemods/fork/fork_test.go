package fork_test

import (
	"testing"

	"github.com/jabberii/server/basemods/fork"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/xdb/memory"
)

// TestThePacketsGoPast has a chain with a fork in one process. That the
// processes behind it are the section's own is tested with real ones, in
// jabberd/e2e.
func TestThePacketsGoPast(t *testing.T) {
	h := sdktest.New(t, sdktest.Plan{
		Modules: []module.Module{fork.Module},
		Sections: []module.Section{
			sdktest.Section("x", packet.Normal, sdktest.Host("x"), sdktest.Block("fork", `{}`), sdktest.Sink()),
		},
	}, false)
	if o := h.Deliver(&packet.Packet{Kind: packet.Normal, To: "x", From: "a@y", Name: "message", ID: "1"}); o.Result != packet.Claimed {
		t.Errorf("ended %+v", o)
	}
	if p := h.Next(); p.ID != "1" {
		t.Errorf("got %+v", p)
	}
}

func TestReadme(t *testing.T) { configtest.Readme(t, fork.Module, memory.Module) }
