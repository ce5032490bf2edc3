package peer_test

import (
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jabberii/server/bench/peer"
	"github.com/jabberii/server/bench/proc"
)

// lab builds the programs of the lab.
func lab(t *testing.T) *peer.Lab {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	l := &peer.Lab{Root: root, Bin: filepath.Join(root, "bin"), Load: t.TempDir(), Data: t.TempDir()}
	cmd := exec.Command("go", "build", "-o", l.Load+"/", "./bench/xload", "./bench/floor")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return l
}

func TestLoads(t *testing.T) {
	ctx, l := context.Background(), lab(t)
	r, err := peer.Floor("floor").Start(ctx, l)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	window := []string{"-dur", "200ms", "-warmup", "50ms"}
	loads := []struct {
		name, mode, counts string
		flags              []string
	}{
		{"chat", "chat", "msgs_per_s", append(window, "-pairs", "4")},
		{"chat over TLS", "chat", "msgs_per_s", append(window, "-pairs", "4", "-tls", "starttls")},
		{"chat in coalesced writes", "chat", "msgs_per_s", append(window, "-pairs", "4", "-coalesce")},
		{"chat in coalesced writes, one in flight", "chat", "msgs_per_s", append(window, "-pairs", "4", "-coalesce", "-window", "1")},
		{"paced chat", "chat", "msgs_per_s", append(window, "-pairs", "4", "-rate", "500")},
		{"flood", "chat", "msgs_per_s", append(window, "-pairs", "4", "-rate", "5000", "-flood")},
		{"login", "login", "logins_per_s", append(window, "-users", "4", "-conc", "2")},
		{"idle", "idle", "sessions", []string{"-users", "20", "-warm", "4", "-hold", "100ms"}},
	}
	for _, load := range loads {
		t.Run(load.name, func(t *testing.T) {
			m, err := r.Load(ctx, load.mode, load.flags...)
			if err != nil {
				t.Fatal(err)
			}
			if m.Figures[load.counts] <= 0 || m.Figures["lost"] != 0 {
				t.Errorf("figures %v", m.Figures)
			}
		})
	}
	// The floor has no stream management, and that is no reason to hang.
	if _, err := r.Load(ctx, "chat", append(window, "-pairs", "1", "-acks", "5", "-timeout", "500ms")...); err == nil {
		t.Error("a server that knows no acknowledgements passed as one that does")
	}
}

func TestStop(t *testing.T) {
	r, err := peer.Floor("floor").Start(context.Background(), lab(t))
	if err != nil {
		t.Fatal(err)
	}
	tree := proc.Tree(r.PIDs()...)
	if len(tree) == 0 || !tree[0].Lives() {
		t.Fatalf("processes %v", tree)
	}
	r.Stop()
	for _, p := range tree {
		if p.Lives() {
			t.Errorf("%d lives on", p.PID)
		}
	}
	if c, err := net.DialTimeout("tcp", r.Addr, time.Second); err == nil {
		c.Close()
		t.Error("somebody still listens")
	}
}

func TestStartTellsWhatEnded(t *testing.T) {
	l := lab(t)
	if _, err := peer.Floor("floor", "-no-such-flag").Start(context.Background(), l); err == nil {
		t.Error("a server that ended at once passed as started")
	}
}
