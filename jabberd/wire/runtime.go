package wire

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Runtime is the folder in which a core keeps the sockets of its processes
// and what it must know to find them again. One core at a time holds it.
type Runtime struct {
	dir  string
	lock *os.File
}

// Unix sockets have paths of at most 107 bytes; below the folder there is
// /plugin-dir0123456789/socket.
const runtimeMax = 107 - len("/plugin-dir0123456789/socket")

// OpenRuntime opens the folder "run" below the data folder, or, where the path
// would be too long for sockets, one of its own in the folder for temporary
// files. It fails if a running core holds it.
func OpenRuntime(data string) (*Runtime, error) {
	data, err := filepath.Abs(data)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(data, "run")
	if len(dir) > runtimeMax {
		sum := sha256.Sum256([]byte(data))
		dir = filepath.Join(os.TempDir(), fmt.Sprintf("jabberd-%d-%x", os.Getuid(), sum[:6]))
	} else if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	if len(dir) > runtimeMax {
		return nil, fmt.Errorf("%s is too long for the path of a socket", dir)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := private700(dir); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("a jabberd runs already with the data folder %s", data)
	}
	return &Runtime{dir: dir, lock: lock}, nil
}

// private700 makes sure that a folder is ours and closed to others.
func private700(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || stat.Uid != uint32(os.Getuid()) {
		return fmt.Errorf("%s is not a folder of the user that jabberd runs as", dir)
	}
	return os.Chmod(dir, 0o700)
}

// sockets returns where the folder of a program's socket is made: one of another
// user cannot get into the runtime's.
func (r *Runtime) sockets(p Program) string {
	if p.Confine != nil && p.Confine.User != "" {
		return os.TempDir()
	}
	return r.dir
}

// Close lets go of the folder.
func (r *Runtime) Close() error { return r.lock.Close() }

// A record of a process is what a core after a crash finds it by.
type record struct {
	PID     int    `json:"pid"`
	Start   string `json:"start"`  // when the kernel says that it was started
	Socket  string `json:"socket"` // in a folder of its own
	ID      uint64 `json:"id,string"`
	Program string `json:"program"`
	Plan    string `json:"plan"` // digest of the plan that it was made by
}

func (r *Runtime) file(process string) string {
	return filepath.Join(r.dir, url.PathEscape(process)+".json")
}

func (r *Runtime) write(process string, rec record) error {
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	file := r.file(process)
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func (r *Runtime) read(process string) (rec record, ok bool) {
	b, err := os.ReadFile(r.file(process))
	if err != nil || json.Unmarshal(b, &rec) != nil {
		return record{}, false
	}
	return rec, rec.PID > 1 && rec.Socket != ""
}

func (r *Runtime) remove(process string) { _ = os.Remove(r.file(process)) }

// processes lists those that a core has left a record of.
func (r *Runtime) processes() []string {
	files, _ := filepath.Glob(filepath.Join(r.dir, "*.json"))
	var names []string
	for _, f := range files {
		if name, err := url.PathUnescape(strings.TrimSuffix(filepath.Base(f), ".json")); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// startOf returns when a process was started, in ticks since the machine was:
// a number that another process of the same pid does not have.
func startOf(pid int) (string, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	// The name of the program, in brackets, may have spaces and brackets.
	rest := string(b[strings.LastIndexByte(string(b), ')')+1:])
	fields := strings.Fields(rest)
	const startTime, state = 22 - 3, 0 // of proc(5), which counts from 1 and the name
	if len(fields) <= startTime {
		return "", fmt.Errorf("/proc/%d/stat is cut short", pid)
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return "", os.ErrProcessDone
	}
	return fields[startTime], nil
}
