// Package confine starts programs that may do less than the server: the block
// confine of a plugin and of exec.
//
// A Go program cannot run code of its own between fork and exec. So a confined
// program is started through a stage: this very program, with [Word] as its first
// argument, takes rights away from itself and then becomes the other. The process
// stays the same, and so do its descriptors. Every program that confines
// others begins with
//
//	if len(os.Args) > 1 && os.Args[1] == confine.Word {
//		os.Exit(confine.Main(os.Args[2:]))
//	}
//
// Files and TCP ports are kept by Landlock (Linux 6.7), other sockets by a
// filter of system calls, memory and numbers by resource limits; privileges are
// given up for good (no_new_privs). What is not kept: UDP, if there is a
// port to connect to, since names are resolved by it; and unix sockets that the
// user may connect to, which a user of its own keeps.
package confine

import (
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"os/user"
	"strconv"

	"github.com/jabberii/server/jabberd/module"
)

// Word is the argument that makes a program the stage of another.
const Word = "confine"

// Any stands for all ports in a list of ports.
const Any = "any"

// Rules say what a program may do. With none of them it may read and execute
// what is installed with the system, and nothing else: write no file, connect to
// no port, gain no privileges.
type Rules struct {
	User      string      `json:"user" doc:"The user that it runs as, by name or number. Only a server of root can change it; empty is the server's."`
	Memory    module.Size `json:"memory" doc:"How much memory it may have for data (RLIMIT_DATA); a program in Go needs 128MiB at least. 0 is no limit."`
	Files     int         `json:"files" doc:"How many files and connections it may have open. 0 leaves the server's limit."`
	Processes int         `json:"processes" doc:"How many processes and threads its user may have; root may have any number. 0 leaves the server's limit."`
	Read      []string    `json:"read" doc:"Files and folders that it may read and execute, beside those of the system: /usr, /bin, /lib, /sbin and, of /etc, what resolving names and TLS need."`
	Write     []string    `json:"write" doc:"Files and folders that it may read and write."`
	Connect   []string    `json:"connect" doc:"TCP ports that it may connect to; \"any\" is all. With one it may also send UDP, to resolve names."`
	Listen    []string    `json:"listen" doc:"TCP ports that it may listen on; \"any\" is all."`
	Optional  bool        `json:"optional" doc:"Start it also where the kernel cannot keep all of this (before Linux 6.7), as far confined as it can."`
}

// Check returns a *module.ArgError if the rules make no sense.
func (r *Rules) Check() error {
	switch {
	case r.Memory < 0:
		return module.BadArg("memory", "is less than 0")
	case r.Files < 0:
		return module.BadArg("files", "is less than 0")
	case r.Processes < 0:
		return module.BadArg("processes", "is less than 0")
	}
	for name, list := range map[string][]string{"read": r.Read, "write": r.Write} {
		for _, path := range list {
			if path == "" {
				return module.BadArg(name, "has an empty path")
			}
		}
	}
	if _, _, err := ports(r.Connect); err != nil {
		return module.BadArg("connect", "%v", err)
	}
	if _, _, err := ports(r.Listen); err != nil {
		return module.BadArg("listen", "%v", err)
	}
	return nil
}

// ports reads a list of ports.
func ports(list []string) (some []uint64, any bool, err error) {
	for _, text := range list {
		if text == Any {
			return nil, true, nil
		}
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			return nil, false, fmt.Errorf("%q is no port; write a number from 1 to %d, or %q", text, math.MaxUint16, Any)
		}
		some = append(some, n)
	}
	return some, false, nil
}

// Account returns the user and the group that the program runs as. It is not
// ok if they stay those of the server.
func (r *Rules) Account() (uid, gid int, ok bool, err error) {
	if r.User == "" {
		return 0, 0, false, nil
	}
	u, err := user.Lookup(r.User)
	if err != nil {
		var numbered error
		if u, numbered = user.LookupId(r.User); numbered != nil {
			return 0, 0, false, fmt.Errorf("there is no user %s: %w", r.User, err)
		}
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, false, err
	}
	gid, err = strconv.Atoi(u.Gid)
	return uid, gid, true, err
}

// Apply changes a command that is not started yet into one that starts the
// same program through the stage. What else it may write, such as the folder of
// its socket, is in write.
func (r *Rules) Apply(cmd *exec.Cmd, write ...string) error {
	s := stage{Rules: *r, Death: deathSignal(cmd)}
	s.Rules.Write = append(append([]string{}, r.Write...), write...)
	b, err := json.Marshal(&s)
	if err != nil {
		return err
	}
	// The file of this process, whatever has become of its name.
	const self = "/proc/self/exe"
	cmd.Args = append([]string{self, Word, string(b), cmd.Path}, cmd.Args...)
	cmd.Path, cmd.Err = self, nil
	return nil
}

// A stage is what the command line of a stage says.
type stage struct {
	Rules Rules `json:"rules"`
	Death int   `json:"death"` // the signal that the process gets when its parent dies

	path string   // of the program
	args []string // with its own name
}

func parse(args []string) (stage, error) {
	if len(args) < 3 {
		return stage{}, fmt.Errorf("it is the server that calls %q", Word)
	}
	s := stage{path: args[1], args: args[2:]}
	if err := json.Unmarshal([]byte(args[0]), &s); err != nil {
		return stage{}, fmt.Errorf("rules: %w", err)
	}
	return s, s.Rules.Check()
}
