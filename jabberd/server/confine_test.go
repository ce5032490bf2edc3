package server_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/wire"
	"github.com/jabberii/server/plugins/sdk/confine"
)

// peek does what the name of a packet says with what it is about, and answers
// with what came of it.
type peek struct{ env module.Env }

func newPeek(env module.Env, _ struct{}) (packet.Handler, error) { return peek{env}, nil }

func (k peek) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	var err error
	switch p.Name {
	case "read":
		_, err = os.ReadFile(p.ID)
	case "write":
		err = os.WriteFile(p.ID, []byte("x"), 0o600)
	case "connect":
		_, err = net.Dial("tcp", p.ID)
	case "user":
		err = fmt.Errorf("user %d", os.Getuid())
	}
	return packet.Claim, k.env.Answer(ctx, p, &packet.Packet{Name: p.Name, Body: fmt.Append(nil, err)})
}

// confined starts a server with a plugin that peeks.
func confined(t *testing.T, b *bench, rules *confine.Rules) (*server.Server, error) {
	t.Helper()
	file, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	x := program()
	x.Confine, x.Checksum = rules, fmt.Sprintf("sha256:%x", sha256.Sum256(file))
	programs, errs := server.Describe(t.Context(), []wire.Program{x})
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	plan := b.plan(module.Section{ID: "store", Kinds: module.On(packet.XDB), Chain: []module.Link{attach("*"), link("peek", "peeker", struct{}{})}})
	plan.Programs = programs
	s, err := server.Start(t.Context(), plan)
	if err == nil {
		t.Cleanup(func() { b.stop(s) })
	}
	return s, err
}

func keepsAll() bool {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return errno == 0 && v >= 4
}

func TestAConfinedPluginDoesItsWorkAndNothingElse(t *testing.T) {
	b := newBench(t)
	secret, inbox := filepath.Join(b.dir, "secret"), filepath.Join(b.dir, "inbox")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(inbox, 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	s, err := confined(t, b, &confine.Rules{Files: 100, Write: []string{inbox}})
	if !keepsAll() {
		if err == nil || !strings.Contains(err.Error(), "this kernel cannot keep a program to files and ports") {
			t.Errorf("on a kernel that cannot: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, c := range []struct{ what, object, want string }{
			{"read", secret, "permission denied"},
			{"read", "/etc/hosts", "<nil>"},
			{"write", filepath.Join(inbox, "x"), "<nil>"},
			{"write", filepath.Join(b.dir, "x"), "permission denied"},
			{"connect", listener.Addr().String(), "permission denied"},
		} {
			q := ask(c.what)
			q.ID = c.object
			answer, err := s.Ask(t.Context(), q)
			if err != nil || !strings.Contains(string(answer.Body), c.want) {
				t.Errorf("%s %s: %+v, %v, want %s", c.what, c.object, answer, err, c.want)
			}
		}
		// It comes back as confined as it was.
		kill(t, pid(t, s.Status(), "peeker"))
		b.logged("process runs again")
	}
}

func TestAPluginRunsAsAnotherUser(t *testing.T) {
	b := newBench(t)
	s, err := confined(t, b, &confine.Rules{User: "65534", Optional: true})
	if os.Getuid() != 0 {
		if err == nil || !strings.Contains(err.Error(), "operation not permitted") {
			t.Errorf("a server that is not root: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.Ask(t.Context(), ask("user"))
	if err != nil || string(answer.Body) != "user 65534" {
		t.Errorf("%+v, %v", answer, err)
	}
}

// TestOnTrialAPluginHasNoEffects checks a plan whose plugin, when it is asked for
// its modules and when its handlers are made, writes a file.
func TestOnTrialAPluginHasNoEffects(t *testing.T) {
	b := newBench(t)
	trace := filepath.Join(b.dir, "trace")
	x := program("TEST_TRACE=" + trace)
	x.Trial = &confine.Rules{Read: []string{"/"}, Optional: true}
	programs, errs := server.Describe(t.Context(), []wire.Program{x})
	if len(errs) > 0 {
		t.Fatal(errors.Join(errs...))
	}
	plan := b.plan(xdb())
	plan.Programs = programs
	if _, err := server.Check(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(trace); (err == nil) == keepsAll() {
		t.Errorf("trace of a check: %v", err)
	}
	b.start(plan)
	if _, err := os.Stat(trace); err != nil {
		t.Errorf("at work it was confined too: %v", err)
	}
}
