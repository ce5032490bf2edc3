package confine_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/plugins/sdk/confine"
)

// The test binary is the stage too, and a program that tries things.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == confine.Word:
		os.Exit(confine.Main(os.Args[2:]))
	case len(os.Args) > 2 && os.Args[1] == "without Landlock":
		fmt.Println(withoutLandlock(os.Args[2:]))
		os.Exit(1)
	case len(os.Args) > 3 && os.Args[1] == "try":
		if err := try(os.Args[2], os.Args[3]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("done")
		syscall.Exit(0) // with the race detector os.Exit sleeps, since GORACE is read in /proc
	}
	os.Exit(m.Run())
}

func try(what, object string) error {
	switch what {
	case "read":
		_, err := os.ReadFile(object)
		return err
	case "write":
		return os.WriteFile(object, []byte("x"), 0o600)
	case "connect":
		conn, err := net.Dial("tcp", object)
		if err == nil {
			err = conn.Close()
		}
		return err
	case "listen":
		l, err := net.Listen("tcp", object)
		if err == nil {
			err = l.Close()
		}
		return err
	case "socket":
		var domain, kind, protocol int
		if _, err := fmt.Sscan(object, &domain, &kind, &protocol); err != nil {
			return err
		}
		fd, err := unix.Socket(domain, kind, protocol)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	case "death":
		var s int32
		err := unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&s)), 0, 0, 0)
		if fmt.Sprint(s) != object {
			return fmt.Errorf("it gets signal %d (%v)", s, err)
		}
	case "environment":
		if got := strings.Join(os.Environ(), " "); got != object {
			return fmt.Errorf("the environment is %q", got)
		}
	case "privileges":
		status, err := os.ReadFile("/proc/self/status")
		if !strings.Contains(string(status), "\nNoNewPrivs:\t1\n") {
			return fmt.Errorf("it may gain privileges (%v): %s", err, status)
		}
	case "user":
		if got := fmt.Sprint(os.Getuid(), os.Geteuid(), os.Getgid()); got != object {
			return errors.New("it runs as " + got)
		}
	}
	return nil
}

// withoutLandlock executes a program as on a kernel that has none.
func withoutLandlock(args []string) error {
	runtime.LockOSThread()
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_LANDLOCK_CREATE_RULESET},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return err
	}
	return syscall.Exec(args[0], args, os.Environ())
}

// landlock is the version of the kernel's, 0 without.
func landlock() int {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(v)
}

// run runs a command confined, and returns what it says.
func run(t *testing.T, r confine.Rules, cmd *exec.Cmd) (string, error) {
	t.Helper()
	if err := r.Apply(cmd); err != nil {
		t.Fatal(err)
	}
	if cmd.Env == nil {
		cmd.Env = []string{"GORACE=atexit_sleep_ms=0"}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// refused checks what a kernel says that cannot keep the rules.
func refused(t *testing.T, out string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(out, "this kernel cannot keep a program to files and ports") || !strings.Contains(out, "optional = true") {
		t.Errorf("Landlock has version %d; got %v, %s", landlock(), err, out)
	}
}

func TestRules(t *testing.T) {
	dir := t.TempDir()
	file, missing := filepath.Join(dir, "file"), filepath.Join(dir, "missing")
	if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	address := listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	toListen := free.Addr().String()
	_, freePort, _ := net.SplitHostPort(toListen)
	_ = free.Close()

	const denied = "permission denied"
	for name, c := range map[string]struct {
		rules        confine.Rules
		what, object string
		want         string
	}{
		"reads nothing":                {confine.Rules{}, "read", file, denied},
		"reads what is installed":      {confine.Rules{}, "read", "/etc/passwd", "done"},
		"reads no secrets of root":     {confine.Rules{}, "read", "/etc/shadow", denied},
		"reads a file":                 {confine.Rules{Read: []string{file}}, "read", file, "done"},
		"reads a folder":               {confine.Rules{Read: []string{dir}}, "read", file, "done"},
		"does not write what it reads": {confine.Rules{Read: []string{dir}}, "write", file, denied},
		"does not make what it reads":  {confine.Rules{Read: []string{dir}}, "write", filepath.Join(dir, "new"), denied},
		"writes a file":                {confine.Rules{Write: []string{file}}, "write", file, "done"},
		"writes into a folder":         {confine.Rules{Write: []string{dir}}, "write", filepath.Join(dir, "more"), "done"},
		"writes to nowhere":            {confine.Rules{}, "write", "/dev/null", "done"},
		"a path that is not there":     {confine.Rules{Read: []string{missing}}, "read", file, "allow " + missing + ": no such file"},
		"connects to nothing":          {confine.Rules{}, "connect", address, denied},
		"connects to a port":           {confine.Rules{Connect: []string{"1", port}}, "connect", address, "done"},
		"connects to any port":         {confine.Rules{Connect: []string{"any"}}, "connect", address, "done"},
		"connects to another port":     {confine.Rules{Connect: []string{"1"}, Listen: []string{port}}, "connect", address, denied},
		"listens on nothing":           {confine.Rules{}, "listen", toListen, denied},
		"listens on a port":            {confine.Rules{Listen: []string{freePort}}, "listen", toListen, "done"},
		"listens on any port":          {confine.Rules{Listen: []string{"any"}}, "listen", toListen, "done"},
		"has no sockets":               {confine.Rules{}, "socket", fmt.Sprint(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0), denied},
		"has no UDP to listen only":    {confine.Rules{Listen: []string{"1"}}, "socket", fmt.Sprint(unix.AF_INET, unix.SOCK_DGRAM, 0), denied},
		"has UDP for names":            {confine.Rules{Connect: []string{"1"}}, "socket", fmt.Sprint(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDP), "done"},
		"has no multipath TCP":         {confine.Rules{Connect: []string{"any"}}, "socket", fmt.Sprint(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP), "protocol not supported"},
		"has no raw sockets":           {confine.Rules{Connect: []string{"any"}}, "socket", fmt.Sprint(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP), denied},
		"has no packet sockets":        {confine.Rules{Connect: []string{"any"}}, "socket", fmt.Sprint(unix.AF_PACKET, unix.SOCK_DGRAM, 0), denied},
		"has unix sockets":             {confine.Rules{}, "socket", fmt.Sprint(unix.AF_UNIX, unix.SOCK_STREAM, 0), "done"},
		"gains no privileges":          {confine.Rules{Read: []string{"/proc"}}, "privileges", "", "done"},
		"has the environment it had":   {confine.Rules{}, "environment", "GORACE=atexit_sleep_ms=0", "done"},
		"a user that is not there":     {confine.Rules{User: "nobody-of-that-name"}, "read", file, "there is no user nobody-of-that-name"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, c.rules, exec.Command(os.Args[0], "try", c.what, c.object))
			if landlock() < 4 {
				refused(t, out, err)
				return
			}
			if (err == nil) != (c.want == "done") || !strings.Contains(out, c.want) {
				t.Errorf("%v, %s, want %s", err, out, c.want)
			}
		})
	}
}

// TestKernelWithoutLandlock is refused, unless that is optional. Then what needs
// no Landlock is kept still.
func TestKernelWithoutLandlock(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(r confine.Rules, what, object string) (string, error) {
		cmd := exec.Command(os.Args[0], "try", what, object)
		if err := r.Apply(cmd); err != nil {
			t.Fatal(err)
		}
		// The stage is of this process, and not of the one between.
		cmd.Path, cmd.Args = os.Args[0], append([]string{os.Args[0], "without Landlock"}, cmd.Args...)
		cmd.Env = []string{"GORACE=atexit_sleep_ms=0"}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := start(confine.Rules{}, "read", secret)
	if err == nil || !strings.Contains(out, "it has no Landlock: function not implemented") {
		t.Errorf("%v, %s", err, out)
	}
	refused(t, out, err)
	if out, err := start(confine.Rules{Optional: true}, "read", secret); err != nil || out != "done\n" {
		t.Errorf("optional: %v, %s", err, out)
	}
	if out, err := start(confine.Rules{Optional: true}, "socket", fmt.Sprint(unix.AF_INET, unix.SOCK_STREAM, 0)); err == nil || !strings.Contains(out, "permission denied") {
		t.Errorf("optional, a socket: %v, %s", err, out)
	}
}

func TestLimits(t *testing.T) {
	const many = "exec 3</dev/null 4</dev/null 5</dev/null 6</dev/null 7</dev/null 8</dev/null 9</dev/null"
	for name, c := range map[string]struct {
		rules  confine.Rules
		script string
		want   string // of its output; "" is success
	}{
		"enough memory":   {confine.Rules{Memory: 1 << 30}, "head -c 50000000 /dev/zero | tail -n 1 >/dev/null", ""},
		"too much memory": {confine.Rules{Memory: 32 << 20}, "head -c 50000000 /dev/zero | tail -n 1 >/dev/null", "memory exhausted"},
		"enough files":    {confine.Rules{Files: 20}, many, ""},
		"too many files":  {confine.Rules{Files: 9}, many, "Too many open files"},
	} {
		t.Run(name, func(t *testing.T) {
			c.rules.Optional = true // it is not about Landlock
			cmd := exec.Command("/bin/sh", "-c", c.script)
			cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "GORACE=atexit_sleep_ms=0"}
			out, err := run(t, c.rules, cmd)
			if c.want == "" && (err != nil || out != "") || c.want != "" && (err == nil && out == "" || !strings.Contains(out, c.want)) {
				t.Errorf("%v, %s", err, out)
			}
		})
	}
}

// TestUser becomes another user, which only root can. The program is a
// descriptor in a folder that is closed to that user.
func TestUser(t *testing.T) {
	file, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	r := confine.Rules{User: "65534", Optional: true}
	uid, gid, ok, err := r.Account()
	if uid != 65534 || !ok || err != nil {
		t.Fatalf("account %d:%d, %v, %v", uid, gid, ok, err)
	}
	cmd := exec.Command("/proc/self/fd/3", "try", "user", fmt.Sprint(uid, uid, gid))
	cmd.ExtraFiles = []*os.File{file}
	out, err := run(t, r, cmd)
	if os.Geteuid() != 0 {
		if err == nil || !strings.Contains(out, "run as user 65534: operation not permitted") {
			t.Errorf("%v, %s", err, out)
		}
		return
	}
	if err != nil || out != "done\n" {
		t.Errorf("%v, %s", err, out)
	}
	runtime.LockOSThread() // whose end is the parent's
	defer runtime.UnlockOSThread()
	cmd = exec.Command("/proc/self/fd/3", "try", "death", "15")
	cmd.ExtraFiles, cmd.SysProcAttr = []*os.File{file}, &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if out, err := run(t, r, cmd); err != nil || out != "done\n" {
		t.Errorf("%v, %s", err, out)
	}
	cmd = exec.Command("/bin/sh", "-c", "true | true && echo forked")
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0"}
	r.Processes = 1
	if out, err := run(t, r, cmd); err == nil || !strings.Contains(strings.ToLower(out), "cannot fork") {
		t.Errorf("with one process: %v, %s", err, out)
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		rules confine.Rules
		want  string
	}{
		"right":      {confine.Rules{Memory: 1 << 20, Connect: []string{"443", "65535"}, Listen: []string{"any"}}, ""},
		"memory":     {confine.Rules{Memory: -1}, "memory"},
		"files":      {confine.Rules{Files: -1}, "files"},
		"processes":  {confine.Rules{Processes: -1}, "processes"},
		"empty path": {confine.Rules{Write: []string{"/x", ""}}, "write"},
		"port 0":     {confine.Rules{Listen: []string{"0"}}, "listen"},
		"great port": {confine.Rules{Connect: []string{"65536"}}, "connect"},
		"named port": {confine.Rules{Connect: []string{"https"}}, "connect"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.rules.Check()
			var bad *module.ArgError
			if c.want == "" && err == nil {
				return
			}
			if !errors.As(err, &bad) || bad.Path[0] != c.want {
				t.Errorf("got %v, want an error at %q", err, c.want)
			}
		})
	}
}
