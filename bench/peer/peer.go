// Package peer starts servers to be measured, gives them accounts, and ends
// them: jabberd in several layouts, the XMPP servers of Debian, and the floor.
//
// Each has a folder of its own, which it finds again the next time, and ports of
// its own, on loopback. Its settings are those of an IM core: roster, presence,
// offline messages, vCard, private storage, ping, stream management where it is
// known, nothing that limits rates, no archive.
package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jabberii/server/bench/crowd"
	"github.com/jabberii/server/bench/port"
	"github.com/jabberii/server/bench/proc"
)

// Domain is the host that every server serves, and Password that of every user.
const (
	Domain   = "localhost"
	Password = "pw"
)

// A Lab is where servers are run.
type Lab struct {
	Root string // the repository
	Bin  string // the programs of make build
	Load string // the programs of the lab: xload and floor
	Data string // a folder for each server is made in it

	Anew               bool   // servers start without what earlier runs have left
	ServerCPU, LoadCPU string // processors for servers and loads, as taskset writes them; "": any

}

// on keeps a command on some processors.
func on(cpus string, cmd *exec.Cmd) *exec.Cmd {
	if cpus == "" {
		return cmd
	}
	kept := exec.Command("taskset", append([]string{"-c", cpus, cmd.Path}, cmd.Args[1:]...)...)
	kept.Dir, kept.Env = cmd.Dir, cmd.Env
	return kept
}

// A Server can be started.
type Server struct {
	Name  string
	Chat  string // SASL mechanism of sessions whose login is not measured
	Login string // SASL mechanism of those whose login is; "" if it checks nothing
	Acks  bool   // knows XEP-0198
	Retry bool   // refuses a login now and then

	Programs string // tells apart what it is made of, where several servers are of the same; may be empty

	Foreign bool // may be missing on a machine
	Forgets bool // its accounts, when it ends

	up       string // what it prints when it is up; "": it listens then
	prepare  func(*Lab, *place) ([]*exec.Cmd, error)
	version  func(*Lab) string
	accounts func(context.Context, *Running, crowd.Crowd) error
}

// A place is what a server's settings are made of.
type place struct {
	Dir    string
	Port   int
	Router int // between the processes of a server
	TLS    int
}

// Version says what is measured.
func (s *Server) Version(lab *Lab) string { return s.version(lab) }

// A Running server listens on Addr.
type Running struct {
	*Server
	Addr string
	Dir  string
	lab  *Lab
	own  []*process
}

// A process is one that was started, and waited for.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func start(cmd *exec.Cmd) (*process, error) {
	// An interrupt from the terminal is for the lab, which then ends the servers.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Start starts a server and waits until it listens. Its files, and in out.log
// what it prints, are in its folder under Lab.Data.
func (s *Server) Start(ctx context.Context, lab *Lab) (*Running, error) {
	dir := filepath.Join(lab.Data, s.Name)
	if lab.Anew {
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if s.Forgets {
		if err := os.RemoveAll(filepath.Join(dir, accountsFile)); err != nil {
			return nil, err
		}
	}
	if err := certificate(dir); err != nil {
		return nil, err
	}
	ports, err := port.Free(3)
	if err != nil {
		return nil, err
	}
	cmds, err := s.prepare(lab, &place{Dir: dir, Port: ports[0], TLS: ports[1], Router: ports[2]})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	out, err := os.OpenFile(filepath.Join(dir, "out.log"), os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	r := &Running{Server: s, Addr: "127.0.0.1:" + strconv.Itoa(ports[0]), Dir: dir, lab: lab}
	for _, cmd := range cmds {
		cmd = on(lab.ServerCPU, cmd)
		cmd.Stdout, cmd.Stderr = out, out
		p, err := start(cmd)
		if err != nil {
			r.Stop()
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		r.own = append(r.own, p)
		if len(cmds) > 1 {
			time.Sleep(500 * time.Millisecond) // each needs the one before it, and gives up soon
		}
	}
	if err := r.waitUntilUp(ctx, out.Name()); err != nil {
		r.Stop()
		return nil, fmt.Errorf("%s: %w; see %s", s.Name, err, out.Name())
	}
	return r, nil
}

func (r *Running) waitUntilUp(ctx context.Context, output string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		text, err := os.ReadFile(output)
		if err != nil {
			return err
		}
		if strings.Contains(string(text), r.up) {
			if socket, err := net.Dial("tcp", r.Addr); err == nil {
				return socket.Close()
			}
		}
		for _, p := range r.own {
			select {
			case <-p.ended:
				return fmt.Errorf("%s ended", filepath.Base(p.cmd.Path))
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("does not listen: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// PIDs are those of the processes that were started; others descend from them.
func (r *Running) PIDs() []int {
	var pids []int
	for _, p := range r.own {
		pids = append(pids, p.cmd.Process.Pid)
	}
	return pids
}

// Stop ends the server, first kindly, and all that descends from it.
func (r *Running) Stop() {
	tree := proc.Tree(r.PIDs()...)
	for _, p := range r.own {
		p.cmd.Process.Signal(syscall.SIGTERM)
	}
	patience := time.After(20 * time.Second)
	for _, p := range r.own {
		select {
		case <-p.ended:
		case <-patience:
		}
	}
	// What a server leaves behind on purpose has no reason to outlive it here.
	for _, p := range tree {
		for wait := 0; p.Lives() && wait < 20; wait++ {
			time.Sleep(50 * time.Millisecond)
		}
		if p.Lives() {
			syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
	for _, p := range r.own {
		<-p.ended
	}
}

// HasAccounts reports whether the server has accounts, and with them rosters.
func (s *Server) HasAccounts() bool { return s.accounts != nil }

// accountsFile says what accounts are in a server's folder.
const accountsFile = "accounts.json"

// Prepare sees to it that the users of a crowd have accounts and contacts. What
// earlier runs have made is in the server's folder, and stays.
func (r *Running) Prepare(ctx context.Context, c crowd.Crowd) error {
	if r.accounts == nil {
		return nil
	}
	have := map[string]crowd.Crowd{} // by prefix
	file := filepath.Join(r.Dir, accountsFile)
	if text, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(text, &have); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
	}
	known := have[c.Prefix]
	if known.Users < c.Users || known.Hosts != c.Hosts {
		if err := r.accounts(ctx, r, c); err != nil {
			return fmt.Errorf("%s: accounts: %w", r.Name, err)
		}
		known = crowd.Crowd{Users: c.Users, Hosts: c.Hosts}
	}
	if c.Contacts > 0 && known.Contacts != c.Contacts {
		if _, err := r.Load(ctx, "contacts", append(CrowdFlags(c), "-mech", r.Chat)...); err != nil {
			return fmt.Errorf("%s: contacts: %w", r.Name, err)
		}
		known.Contacts = c.Contacts
	}
	have[c.Prefix] = known
	text, err := json.Marshal(have)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// CrowdFlags are those of xload that say the same.
func CrowdFlags(c crowd.Crowd) []string {
	return []string{"-prefix", c.Prefix, "-users", strconv.Itoa(c.Users), "-hosts", strconv.Itoa(max(c.Hosts, 1)),
		"-contacts", strconv.Itoa(c.Contacts), "-hubs", strconv.Itoa(c.Hubs)}
}

// A Measurement is what xload prints.
type Measurement struct {
	OK      bool               `json:"ok"`
	Errors  []string           `json:"errors"`
	Figures map[string]float64 `json:"figures"`
}

// Load puts one load on the server: a mode of xload and flags. A load that
// found something lost, refused or out of order is an error too.
func (r *Running) Load(ctx context.Context, mode string, flags ...string) (Measurement, error) {
	return r.LoadBehind(ctx, 0, mode, flags...)
}

// LoadBehind is Load by a generator that leaves the processor to others (nice).
func (r *Running) LoadBehind(ctx context.Context, nice int, mode string, flags ...string) (Measurement, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	var pids []string
	for _, pid := range r.PIDs() {
		pids = append(pids, strconv.Itoa(pid))
	}
	args := []string{mode, "-json", "-addr", r.Addr, "-domain", Domain, "-password", Password, "-pid", strings.Join(pids, ",")}
	if r.Retry {
		args = append(args, "-retries", "8")
	}
	cmd := exec.Command("nice", append([]string{"-n", strconv.Itoa(nice), filepath.Join(r.lab.Load, "xload")}, append(args, flags...)...)...)
	cmd = on(r.lab.LoadCPU, cmd)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	p, err := start(cmd)
	if err != nil {
		return Measurement{}, err
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		cmd.Process.Kill()
		<-p.ended
		return Measurement{}, ctx.Err()
	}
	var m Measurement
	if json.Unmarshal(stdout.Bytes(), &m) != nil {
		return m, fmt.Errorf("xload: %v: %s", cmd.ProcessState, stderr.String())
	}
	if !m.OK {
		return m, errors.New(strings.Join(m.Errors, "; "))
	}
	return m, nil
}
