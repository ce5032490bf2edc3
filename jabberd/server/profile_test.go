package server_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
)

// TestProfile has the core and a process measure themselves.
func TestProfile(t *testing.T) {
	b := newBench(t)
	plan := b.plan(module.Section{
		ID: "example.org", Kinds: module.On(packet.XDB), Chain: []module.Link{attach("example.org"), link("hear", "hears", reportArgs{})},
	})
	b.start(plan)
	client := server.Dial(filepath.Join(plan.Data, server.SocketName))
	st, err := client.Status(context.Background())
	if err != nil || len(st.Processes) == 0 {
		t.Fatal(st, err)
	}
	gzip := []byte{0x1f, 0x8b}
	for _, process := range []string{server.CoreName, st.Processes[0].Name} {
		for _, kind := range []string{"cpu", "heap"} {
			if got, err := client.Profile(context.Background(), process, kind, time.Millisecond); err != nil || !bytes.HasPrefix(got, gzip) {
				t.Errorf("%s of %s: %.10q, %v", kind, process, got, err)
			}
		}
	}
	for name, test := range map[string]struct {
		process, kind string
		d             time.Duration
		want          string
	}{
		"no such process": {"nobody", "cpu", time.Millisecond, `there is no process "nobody"`},
		"no such kind":    {st.Processes[0].Name, "luck", time.Millisecond, `there is no profile "luck"`},
		"too long":        {server.CoreName, "cpu", time.Hour, "a profile takes up to"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := client.Profile(context.Background(), test.process, test.kind, test.d); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}
