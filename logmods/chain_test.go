package main_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/file"
	"github.com/jabberii/server/logmods/filter"
	"github.com/jabberii/server/logmods/format"
	"github.com/jabberii/server/logmods/to"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

func entry(level, text string) *packet.Packet {
	return &packet.Packet{Kind: packet.Log, Host: "example.org", From: "c2s", Name: "entry", Type: level, Body: []byte(text)}
}

func TestWarningsGoToSomebodyAndErrorsToAFile(t *testing.T) {
	plan := sdktest.Plan{
		Modules: []module.Module{filter.Module, format.Module, file.Module, to.Module},
		Sections: []module.Section{
			sdktest.Section("admin", packet.Log, sdktest.Host("*"),
				sdktest.Block("filter", `{"level":"warn"}`),
				sdktest.Block("format", `{"text":"%l from %h, %f: %s"}`),
				sdktest.Block("to", `{"jid":"admin@example.org"}`)),
			sdktest.Section("errors", packet.Log, sdktest.Host("*"),
				sdktest.Block("filter", `{"level":"error"}`),
				sdktest.Block("format", `{"text":"%h: %s"}`),
				sdktest.Block("file", `{"path":"log/errors.log"}`)),
			sdktest.Sinks("example.org", packet.Normal),
		},
	}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		for _, c := range []struct {
			level, text string
			want        packet.Result
		}{
			{"error", "a &lt;", packet.Claimed}, {"info", "b", packet.Dropped}, {"warn", "c", packet.Claimed}, {"error", "d", packet.Claimed},
		} {
			if o := h.Deliver(entry(c.level, c.text)); o.Result != c.want {
				t.Errorf("%s ended %+v", c.level, o)
			}
		}
		for _, want := range []string{"error from example.org, c2s: a &lt;", "warn from example.org, c2s: c", "error from example.org, c2s: d"} {
			if p := h.Next(); string(p.Body) != "<body>"+want+"</body>" || p.To != "admin@example.org" || p.Kind != packet.Normal {
				t.Errorf("sent %+v %s, want %s", p, p.Body, want)
			}
		}
		if b, err := os.ReadFile(filepath.Join(h.Data, "log/errors.log")); string(b) != "example.org: a <\nexample.org: d\n" {
			t.Errorf("the file holds %q, %v", b, err)
		}
	})
}

// talker is a section that logs each packet that it gets.
var talker = module.Define("talker", "Logs.", module.On(packet.Normal), func(env module.Env, _ struct{}) (packet.Handler, error) {
	return packet.HandlerFunc(func(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
		if p.From == "example.org" {
			env.Log().ErrorContext(ctx, "got a message")
		}
		return packet.Pass, nil
	}), nil
})

func TestWhatAMessageCausesDoesNotComeBack(t *testing.T) {
	plan := sdktest.Plan{
		Modules: []module.Module{to.Module, talker},
		Sections: []module.Section{
			sdktest.Section("admin", packet.Log, sdktest.Host("*"), sdktest.Block("to", `{"jid":"admin@example.org"}`)),
			sdktest.Section("example.org", packet.Normal, sdktest.Host("example.org"), sdktest.Block("talker", `{}`), sdktest.Sink()),
		},
	}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		for range 3 {
			h.Env().Log().Error("x")
			if p := h.Next(); !strings.Contains(string(p.Body), ": x ") {
				t.Errorf("sent %s", p.Body)
			}
			h.Logged("got a message")
		}
		if o := h.Deliver(&packet.Packet{To: "example.org", From: "a@b", Name: "message"}); o.Result != packet.Claimed {
			t.Errorf("ended %+v", o)
		}
		for _, p := range h.Received() {
			if p.From != "a@b" {
				t.Errorf("came back: %s", p.Body)
			}
		}
	})
}

// TestEntriesHaveTheTimeOfWriting holds an entry up on its way to format.
func TestEntriesHaveTheTimeOfWriting(t *testing.T) {
	release := make(chan struct{})
	slow := module.Define("slow", "Waits.", module.On(packet.Log), func(module.Env, struct{}) (packet.Handler, error) {
		return packet.HandlerFunc(func(context.Context, *packet.Packet) (packet.Verdict, error) {
			<-release
			return packet.Pass, nil
		}), nil
	})
	plan := sdktest.Plan{
		Modules: []module.Module{slow, format.Module},
		Sections: []module.Section{
			sdktest.Section("log", packet.Log, sdktest.Host("*"), sdktest.Block("slow", `{}`), sdktest.Block("format", `{"text":"%t %s %{time_}","time":"microseconds"}`), sdktest.Sink()),
		},
	}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		before := time.Now().Truncate(time.Microsecond)
		h.Env().Log().Info("x", "time", "of a field")
		after := time.Now()
		time.AfterFunc(time.Millisecond, func() { release <- struct{}{} })
		when, rest, _ := strings.Cut(string(h.Next().Body), " ")
		got, err := time.Parse(time.RFC3339, when)
		if err != nil || got.Before(before) || got.After(after) || rest != "x of a field" {
			t.Errorf("%s, written between %s and %s, is at %s (%v)", rest, before, after, when, err)
		}
	})
}
