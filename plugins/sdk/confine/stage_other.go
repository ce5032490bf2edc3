//go:build !linux

package confine

import (
	"fmt"
	"os"
	"os/exec"
)

func deathSignal(*exec.Cmd) int { return 0 }

// Main refuses: only Linux can confine a program in this way.
func Main([]string) int {
	fmt.Fprintln(os.Stderr, "[ERROR] confine: programs can be confined on Linux only")
	return 126
}
