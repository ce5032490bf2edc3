package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// TestCrowd has many clients log in over TLS, with stream management, be idle, and
// then all chat at once: none loses its session, and every message comes. make crowd
// makes it 10,000.
func TestCrowd(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIP: it takes half a minute")
	}
	const warm, each = 24, 5 // sessions before memory is read, and messages of each after
	size := 1000
	if text := os.Getenv("CROWD"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil || size <= 0 || size%2 != 0 {
			t.Fatalf("CROWD=%s is no even number of sessions", text)
		}
	}
	xload := filepath.Join(t.TempDir(), "xload")
	build := exec.Command("go", "build", "-o", xload, "./bench/xload")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, file := range []string{"conf/jabberd.hcl", "conf/edge.hcl"} {
		t.Run(file, func(t *testing.T) {
			r := start(t, file, nil)
			r.populate(warm + size)
			out, err := exec.Command(xload, "idle", "-json", "-addr", "127.0.0.1:"+r.vars["c2s_port"], "-pid", fmt.Sprint(r.cmd.Process.Pid),
				"-tls", "starttls", "-mech", "SCRAM-SHA-256", "-acks", "5", "-warm", fmt.Sprint(warm), "-users", fmt.Sprint(size),
				"-hold", "5s", "-say", fmt.Sprint(each), "-drain", "60s", "-timeout", "120s").Output()
			var found struct {
				OK      bool
				Errors  []string
				Figures map[string]float64
			}
			if json.Unmarshal(out, &found) != nil || !found.OK || found.Figures["sessions"] != float64(size) || found.Figures["lost_sessions"] != 0 ||
				found.Figures["talk_messages"] != float64(size*each) {
				t.Fatalf("%v: %s", err, out)
			}
			f := found.Figures
			t.Logf("figure: %s, %.0f sessions with TLS and XEP-0198: %.1f KiB of memory (RSS; PSS %.1f) a session, %.1f MiB in all, %.3f processors while they are idle; "+
				"then %.0f messages in %.1f s, %.0f us of processor each, %.1f MiB in all",
				file, f["sessions"], f["rss_kib_per_session"], f["pss_kib_per_session"], f["rss_after_mib"], f["idle_srv_cores"],
				f["talk_messages"], f["talk_seconds"], f["talk_srv_us"], f["talk_rss_mib"])
		})
	}
}

// populate makes accounts u0, u1 and so on, all with the password pw, and with the same
// keys, so that it is their sessions that take time.
func (r *running) populate(accounts int) {
	r.t.Helper()
	keys, err := sasl.NewKeys(sasl.SHA256, "pw", []byte("of all the crowd"), 4096)
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := keys.MarshalText()
	if err != nil {
		r.t.Fatal(err)
	}
	store := xdb.New(server.Dial(filepath.Join(r.data, server.SocketName)), "test")
	numbers := make(chan int)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range numbers {
				if _, err := store.Put(r.t.Context(), fmt.Sprintf("u%d@localhost", n), account.NS, "scram-sha-256", text); err != nil {
					r.t.Error(err)
				}
			}
		})
	}
	for n := range accounts {
		numbers <- n
	}
	close(numbers)
	wg.Wait()
}
