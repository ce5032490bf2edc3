package proc_test

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/jabberii/server/bench/proc"
)

func TestTree(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & echo $!; read line; kill $!; wait")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	tree := proc.Tree(cmd.Process.Pid)
	if len(tree) != 2 || tree[0].PID != cmd.Process.Pid {
		t.Errorf("tree %v of a shell and a sleep", tree)
	}
	if all := proc.Tree(os.Getpid()); !slices.Contains(all, tree[0]) || !slices.Contains(all, tree[len(tree)-1]) {
		t.Errorf("tree %v of the test has no %v", all, tree)
	}
	in.Write([]byte("\n"))
	cmd.Wait()
	for _, p := range tree {
		if p.Lives() {
			t.Errorf("%d lives", p.PID)
		}
	}
}

func TestCPUAndMemory(t *testing.T) {
	before := proc.CPUOf(os.Getpid())
	for start, n := time.Now(), 0; time.Since(start) < 200*time.Millisecond; n++ {
	}
	if used := proc.CPUOf(os.Getpid()).Sub(before).Total(); used < 20_000 {
		t.Errorf("200 ms of work are %v µs", used)
	}
	if m := proc.MemoryOf(os.Getpid()); m.RSS < 1024 || m.PSS < 512 || m.PSS > m.RSS {
		t.Errorf("memory %+v", m)
	}
}

func TestNoSuchProcess(t *testing.T) {
	const none = 1 << 30
	if proc.Tree(none) != nil || proc.CPUOf(none).Total() != 0 || proc.MemoryOf(none).RSS != 0 {
		t.Error("a process that does not exist has something")
	}
}
