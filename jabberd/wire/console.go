package wire

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

// The environment variables that tell a process which of its descriptors are
// the core's standard output and standard error. Its own standard error makes
// log entries; these are for what must not. See plugins/sdk/console.
const (
	stdoutVar = "JABBERD_STDOUT"
	stderrVar = "JABBERD_STDERR"
)

// handConsole hands a process that is about to start the core's two streams.
func handConsole(cmd *exec.Cmd) {
	for _, x := range []struct {
		variable string
		file     *os.File
	}{{stdoutVar, os.Stdout}, {stderrVar, os.Stderr}} {
		const first = 3
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", x.variable, first+len(cmd.ExtraFiles)))
		cmd.ExtraFiles = append(cmd.ExtraFiles, x.file)
	}
}

// takeConsole keeps the core's streams from the programs that this process
// starts, and returns its standard error, or the process's own.
func takeConsole() *os.File {
	file := os.Stderr
	for _, variable := range []string{stdoutVar, stderrVar} {
		fd, err := strconv.Atoi(os.Getenv(variable))
		if err != nil {
			continue
		}
		unix.CloseOnExec(fd)
		if variable == stderrVar {
			file = os.NewFile(uintptr(fd), "console")
		}
	}
	return file
}
