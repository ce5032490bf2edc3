package wire

import (
	"bufio"
	"os/exec"
	"syscall"
	"testing"
)

func TestWhoCatchesASignal(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   bool
	}{
		"nothing": {"echo; read x", false},
		"another": {"trap : TERM; echo; read x", false},
		"it":      {"trap : HUP; echo; read x", true},
		"ignored": {"trap '' HUP; echo; read x", false},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("/bin/sh", "-c", c.script)
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
			defer func() {
				_ = in.Close()
				_ = cmd.Wait()
			}()
			if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if got, err := catches(cmd.Process.Pid, syscall.SIGHUP); got != c.want || err != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}
