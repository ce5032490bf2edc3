package server_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/wire"
)

// traffic is two sections: one sends count numbered packets, the other takes
// them through a mark in one process and reports them from another.
func (b *bench) traffic(count int, fatal string) []module.Section {
	return []module.Section{
		{ID: "from", Kinds: module.On(packet.Normal), Chain: []module.Link{
			attach("here"), link("emit", "emitter", reportArgs{To: b.to, Count: count})}},
		{ID: "to", Kinds: module.On(packet.Normal), Chain: []module.Link{
			attach("there"), link("mark", "marker", struct{}{}), link("collect", "collector", reportArgs{To: b.to, Fatal: fatal})}},
	}
}

// A tally is what arrived of numbered packets.
type tally struct {
	t      *testing.T
	seen   map[int]bool
	last   [keys]int
	marked int
}

func newTally(t *testing.T) *tally { return &tally{t: t, seen: map[int]bool{}} }

// take counts a report and returns what is left if it is none of a packet. A
// packet comes again only with the mark, and none comes for the first time
// after a later one of its key.
func (y *tally) take(report string) string {
	rest, ok := strings.CutPrefix(report, "got ")
	if !ok {
		return report
	}
	number, again := strings.CutSuffix(rest, " again")
	n, err := strconv.Atoi(number)
	switch {
	case err != nil:
		y.t.Fatalf("report %q", report)
	case again:
		y.marked++
	case y.seen[n]:
		y.t.Errorf("packet %d came twice without the mark", n)
	}
	last := &y.last[n%keys]
	if !y.seen[n] && n < *last {
		y.t.Errorf("packet %d came after %d", n, *last)
	}
	y.seen[n], *last = true, max(*last, n)
	return ""
}

// killing runs the traffic, does something to a process at several points of
// it, and checks that nothing is lost or out of order.
func (b *bench) killing(count int, strike func(at int)) {
	b.t.Helper()
	y := newTally(b.t)
	for points := 1; ; {
		report := y.take(b.next())
		if report != "" {
			if report != fmt.Sprintf("settled %d of %d", count, count) {
				b.t.Errorf("the source says: %s", report)
			}
			break
		}
		if points <= 3 && len(y.seen) > points*count/5 {
			strike(points)
			points++
		}
	}
	for i := range count {
		if !y.seen[i] {
			b.t.Errorf("packet %d is lost", i)
		}
	}
	b.t.Logf("%d packets, %d of them came again", count, y.marked)
}

func TestAProcessInTheMiddleDies(t *testing.T) {
	for _, process := range []string{"marker", "collector"} {
		t.Run(process, func(t *testing.T) {
			b := newBench(t)
			s := b.start(b.plan(b.traffic(4000, "")...))
			b.killing(4000, func(int) {
				kill(t, pid(t, s.Status(), process))
				b.logged("process runs again")
			})
			for _, p := range s.Status().Processes {
				if p.Name == process && p.Deaths != 3 {
					t.Errorf("%s died %d times", process, p.Deaths)
				}
			}
		})
	}
}

func TestThePacketThatKillsIsKept(t *testing.T) {
	b := newBench(t)
	s := b.start(b.plan(b.traffic(300, "77")...))
	y := newTally(t)
	report := ""
	for report == "" {
		report = y.take(b.next())
	}
	if report != "settled 299 of 300" {
		t.Errorf("the source says: %s", report)
	}
	if len(y.seen) != 299 || y.seen[77] {
		t.Errorf("%d packets arrived", len(y.seen))
	}
	dead := s.DeadPackets()
	if len(dead) != 1 || dead[0].Packet.ID != "77" || dead[0].Process != "collector" {
		t.Errorf("kept: %+v", dead)
	}
}

func TestTheCoreDiesAndAnotherFindsItsProcesses(t *testing.T) {
	b := newBench(t)
	sections := b.traffic(4000, "")
	core := b.core(30*time.Second, sections...)
	before, err := b.client().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.killing(4000, func(int) {
		kill(t, core.Process.Pid)
		_ = core.Wait()
		core = b.core(30*time.Second, sections...)
	})
	after, err := b.client().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range before.Processes {
		if pid(t, after, p.Name) != p.PID {
			t.Errorf("process %s is another one", p.Name)
		}
	}
	_ = core.Process.Signal(os.Interrupt)
	_ = core.Wait()
	for _, p := range before.Processes {
		gone(t, p.PID)
	}
}

// gone waits for the end of a process that is not our child.
func gone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	n, err := poll(fd)
	for err == unix.EINTR {
		n, err = poll(fd)
	}
	if n != 1 {
		t.Errorf("process %d lives on: %v", pid, err)
		kill(t, pid)
	}
}

func poll(fd int) (int, error) {
	return unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 10000)
}

func TestAnOrphanEndsAfterItsTime(t *testing.T) {
	for name, grace := range map[string]time.Duration{"at once": 0, "after a while": 300 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			core := b.core(grace, xdb())
			st, err := b.client().Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			died := time.Now()
			kill(t, core.Process.Pid)
			for _, p := range st.Processes {
				gone(t, p.PID)
			}
			if d := time.Since(died); d < grace {
				t.Errorf("ended after %v", d)
			}
		})
	}
}

func TestTheCoreDiesWhileItStarts(t *testing.T) {
	for _, when := range []string{"hangs when it is made", "hangs when it starts"} {
		t.Run(when, func(t *testing.T) {
			b := newBench(t)
			section := xdb()
			section.Chain[2] = link("tell", "teller", tellArgs{Word: when, To: b.to})
			core, _ := b.beginCore(time.Minute, section)
			if report := b.next(); report != "hangs" {
				t.Fatalf("report %q", report)
			}
			before := b.recorded("marker", "teller")
			kill(t, core.Process.Pid)
			for _, pid := range before {
				gone(t, pid)
			}
		})
	}
}

// recorded returns the pids that the core has written down.
func (b *bench) recorded(processes ...string) (pids []int) {
	b.t.Helper()
	for _, name := range processes {
		var record struct{ PID int }
		raw, err := os.ReadFile(filepath.Join(b.dir, "d", "run", name+".json"))
		if err == nil {
			err = json.Unmarshal(raw, &record)
		}
		if err != nil {
			b.t.Fatal(err)
		}
		pids = append(pids, record.PID)
	}
	return pids
}

func TestANewCoreRightAfterTheOld(t *testing.T) {
	b := newBench(t)
	for range 3 {
		core := b.core(0, xdb()) // orphans of the one before are still ending
		if answer, err := b.client().Ask(t.Context(), ask("get")); err != nil || answer.Name != "hello" {
			t.Fatalf("answer %+v, %v", answer, err)
		}
		kill(t, core.Process.Pid)
		_ = core.Wait()
	}
}

func TestStopWhileAProcessIsAway(t *testing.T) {
	b := newBench(t)
	s := b.start(b.plan(xdb()))
	kill(t, pid(t, s.Status(), "teller"))
	b.logged("process died")
	b.stop(s)
	for _, p := range s.Status().Processes {
		gone(t, p.PID)
	}
}

func TestAProcessThatHangsIsReplaced(t *testing.T) {
	b := newBench(t)
	plan := b.plan(xdb())
	plan.Patience = 200 * time.Millisecond
	s := b.start(plan)
	if err := unix.Kill(pid(t, s.Status(), "teller"), unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.logged("process does not answer for 200ms and is ended")
	if answer, err := s.Ask(t.Context(), ask("get")); err != nil || answer.Name != "hello" {
		t.Errorf("answer %+v, %v", answer, err)
	}
}

func TestAProcessThatDiesOfItsStart(t *testing.T) {
	b := newBench(t)
	section := xdb()
	section.Chain[2] = link("tell", "teller", tellArgs{Word: "dies at the start"})
	_, err := server.Start(t.Context(), b.plan(section))
	if err == nil || !strings.Contains(err.Error(), "process teller: exit status 2: panic: born to die") {
		t.Errorf("started with %v", err)
	}
}

func TestAnOrphanOfAnotherPlanIsEnded(t *testing.T) {
	b := newBench(t)
	core := b.core(time.Minute, xdb())
	st, err := b.client().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	kill(t, core.Process.Pid)
	_ = core.Wait()
	other := xdb()
	other.Chain[2] = link("tell", "newcomer", tellArgs{Word: "bye"})
	s := b.start(b.plan(other))
	for _, p := range st.Processes {
		gone(t, p.PID)
	}
	if answer, err := s.Ask(t.Context(), ask("get")); err != nil || answer.Name != "bye" {
		t.Errorf("answer %+v, %v", answer, err)
	}
}

func TestAStrangersPidIsNotTouched(t *testing.T) {
	b := newBench(t)
	s := b.start(b.plan(xdb()))
	run := filepath.Join(b.dir, "d", "run")
	record, err := os.ReadFile(filepath.Join(run, "teller.json"))
	if err != nil {
		t.Fatal(err)
	}
	b.stop(s)
	stranger := exec.Command("/bin/sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	}()
	old := fmt.Sprintf(`"pid":%d`, pid(t, s.Status(), "teller"))
	forged := strings.Replace(string(record), old, fmt.Sprintf(`"pid":%d`, stranger.Process.Pid), 1)
	if forged == string(record) {
		t.Fatalf("no %s in %s", old, record)
	}
	if err := os.WriteFile(filepath.Join(run, "teller.json"), []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	again := b.start(b.plan(xdb()))
	if _, err := again.Ask(t.Context(), ask("get")); err != nil {
		t.Error(err)
	}
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", stranger.Process.Pid)); err != nil || strings.Contains(string(stat), ") Z ") {
		t.Error("a process of somebody else was killed for its pid")
	}
}

func TestAPluginUnderADebugger(t *testing.T) {
	b := newBench(t)
	cmd := exec.Command(os.Args[0], "--debug")
	cmd.Env = append(os.Environ(), "JABBERD_PLUGIN=by hand", "TMPDIR="+b.dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	line := make([]byte, 300)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	_, address, _ := strings.Cut(string(line[:n]), `attach = "`)
	address, _, _ = strings.Cut(address, `"`)
	section := xdb()
	section.Chain[1].Process, section.Chain[2].Process = "", ""
	for range 2 { // one core after another
		programs, errs := server.Describe(t.Context(), []wire.Program{{Name: "mine", Attach: address}})
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		plan := b.plan(section)
		plan.Programs = programs
		s := b.start(plan)
		answer, err := s.Ask(t.Context(), ask("get"))
		if err != nil || answer.Attrs != fmt.Sprintf(" pid='%d'", cmd.Process.Pid) {
			t.Errorf("answer %+v, %v", answer, err)
		}
		b.stop(s)
	}
}
