package wire

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/wire/plugin"
	"github.com/jabberii/server/plugins/sdk/confine"
)

// A Program is an executable file whose modules a configuration can name.
type Program struct {
	Name     string   // of the plugin block, or of the file
	Path     string   // the file
	Args     []string // its arguments
	Env      []string // its whole environment, as "NAME=value"
	Checksum string   // "sha256:HEX" of the file, verified before it is executed; "" is not
	Attach   string   // instead of Path: "unix:SOCKET" of a process that runs already

	// Confine says what its processes may do, also the one that describes; nil
	// lets them do what the server may.
	Confine *confine.Rules
	// Trial is Confine, if that is nil, for processes that have no work: they are
	// only asked what they have, and whether they would take their arguments.
	Trial *confine.Rules
}

// OnTrial returns the program confined to what it needs to be asked.
func (p Program) OnTrial() Program {
	if p.Confine == nil {
		p.Confine = p.Trial
	}
	return p
}

// describeTime is how long a program may take to describe itself.
const describeTime = 20 * time.Second

// A ChecksumError says that a program is not the one that was meant.
type ChecksumError struct {
	Path       string
	Want, Have string // "sha256:HEX"
}

// Error says both sums.
func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%s has the checksum %s, the configuration has %s", e.Path, e.Have, e.Want)
}

// A VersionError says that a program speaks another protocol.
type VersionError struct {
	Path    string
	Offered []uint32 // the versions that it speaks
	SDK     string   // what it was written with, "" if it did not say
}

// Error says what was offered, what is accepted and what to do about it.
func (e *VersionError) Error() string {
	with := ""
	if e.SDK != "" {
		with = " (written with " + e.SDK + ")"
	}
	advice := "the program needs a newer version of itself"
	if len(e.Offered) > 0 && slices.Min(e.Offered) > Protocol {
		advice = "jabberd is too old for it"
	}
	offered := strings.Trim(fmt.Sprint(e.Offered), "[]")
	if offered == "" {
		offered = "nothing known"
	}
	return fmt.Sprintf("%s offers plugin protocol %s%s, this jabberd accepts %d: %s", e.Path, offered, with, Protocol, advice)
}

// A descriptionError says that what a program printed is no description.
type descriptionError struct {
	command string
	printed []byte
	err     error
}

// Error says how the output begins, what is wrong with it and what to do.
func (e *descriptionError) Error() string {
	begin := []rune(strings.ToValidUTF8(string(e.printed[:min(len(e.printed), 256)]), "?"))
	what := fmt.Sprintf("%q", string(begin[:min(len(begin), 60)]))
	if len(begin) == 0 {
		what = "nothing"
	}
	reason := strings.TrimSpace(strings.TrimPrefix(e.err.Error(), "proto:"))
	return fmt.Sprintf("%s prints no description but %s: %s. If it is a plugin, its standard output then has to be a DescribeReply of plugin.proto in JSON and nothing else; if it is none, exec runs programs of any kind",
		e.command, what, reason)
}

// Unwrap returns what is wrong with the output.
func (e *descriptionError) Unwrap() error { return e.err }

// Describe asks the program for its modules. Nothing is started but
// "PROGRAM describe", which has no effects.
func (p Program) Describe(ctx context.Context) ([]module.Module, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTime)
	defer cancel()
	if p.Attach != "" {
		return p.describeAttached(ctx)
	}
	return p.describe(ctx, "describe")
}

// DescribeService asks for the one service that a label picks from a module,
// such as a file for load.
func (p Program) DescribeService(ctx context.Context, module_, label string) (module.Module, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTime)
	defer cancel()
	modules, err := p.describe(ctx, "describe", module_, label)
	if err != nil {
		return module.Module{}, err
	}
	if len(modules) != 1 {
		return module.Module{}, fmt.Errorf("%s describes %d services for %s %q", p.Path, len(modules), module_, label)
	}
	return modules[0], nil
}

func (p Program) describe(ctx context.Context, args ...string) ([]module.Module, error) {
	e, err := p.open()
	if err != nil {
		return nil, err
	}
	defer e.close()
	cmd := e.command(ctx, append(slices.Clip(p.Args), args...))
	cmd.Env = append([]string{}, p.Env...)
	if err := p.OnTrial().confine(cmd, ""); err != nil {
		return nil, err
	}
	var stderr tail
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w%s", p.Path, strings.Join(args, " "), err, stderr.after())
	}
	var d plugin.DescribeReply
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(out, &d); err != nil {
		return nil, &descriptionError{command: p.Path + " " + strings.Join(args, " "), printed: out, err: err}
	}
	return p.accept(&d)
}

func (p Program) accept(d *plugin.DescribeReply) ([]module.Module, error) {
	if !slices.Contains(d.Protocols, Protocol) {
		return nil, &VersionError{Path: p.where(), Offered: d.Protocols, SDK: d.Sdk}
	}
	return each(d.Modules, takeModule), nil
}

func (p Program) where() string {
	if p.Attach != "" {
		return p.Attach
	}
	return p.Path
}

func (p Program) describeAttached(ctx context.Context) ([]module.Module, error) {
	path, err := p.socket()
	if err != nil {
		return nil, err
	}
	conn, err := connect(path, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	d, err := plugin.NewPluginClient(conn).Describe(ctx, &plugin.DescribeRequest{Protocols: []uint32{Protocol}})
	if err != nil {
		return nil, fmt.Errorf("no plugin answers at %s: %w", p.Attach, plain(err))
	}
	return p.accept(d)
}

func (p Program) socket() (string, error) {
	path, ok := strings.CutPrefix(p.Attach, "unix:")
	if !ok || path == "" {
		return "", fmt.Errorf("%q is no address of a plugin; it is the line that PROGRAM --debug prints: unix:PATH", p.Attach)
	}
	return path, nil
}

// connect returns a connection to the plugin process pid, or any of this user
// if it is 0.
func connect(path string, pid int) (*grpc.ClientConn, error) {
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return dialPeer(ctx, path, pid) }
	return grpc.NewClient("passthrough:///plugin",
		append(dialOptions(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
}

// An executable is a program's file, open and verified: what is executed is
// what was verified, whatever becomes of the name meanwhile.
type executable struct {
	path string
	file *os.File // nil if there is no checksum
}

func (p Program) open() (*executable, error) {
	info, err := os.Stat(p.Path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no program: it is no file", p.Path)
	case info.Mode()&0o111 == 0:
		return nil, fmt.Errorf("%s is no program: nobody may execute it", p.Path)
	}
	if p.Checksum == "" {
		return &executable{path: p.Path}, nil
	}
	file, err := os.Open(p.Path)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		_ = file.Close()
		return nil, err
	}
	have := "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if !strings.EqualFold(have, p.Checksum) {
		_ = file.Close()
		return nil, &ChecksumError{Path: p.Path, Want: p.Checksum, Have: have}
	}
	return &executable{path: p.Path, file: file}, nil
}

// command executes the file that was verified as descriptor 3 of the child,
// which stays open there, so that it may be a script.
func (e *executable) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.path, args...)
	if e.file != nil {
		cmd.Path, cmd.Err = "/proc/self/fd/3", nil
		cmd.ExtraFiles = []*os.File{e.file}
	}
	return cmd
}

func (e *executable) close() {
	if e.file != nil {
		_ = e.file.Close()
	}
}

// confine has a command that is not started yet confined. folder, if there is
// one, becomes that of its socket.
func (p Program) confine(cmd *exec.Cmd, folder string) error {
	switch {
	case p.Confine == nil:
		return nil
	case folder == "":
		return p.Confine.Apply(cmd)
	}
	uid, gid, other, err := p.Confine.Account()
	if err == nil && other {
		err = os.Chown(folder, uid, gid)
	}
	if err != nil {
		return fmt.Errorf("confine %s: %w", p.Path, err)
	}
	return p.Confine.Apply(cmd, folder)
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

const tailSize = 16 << 10

// Write never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailSize; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

// after returns what was kept as the end of a message.
func (t *tail) after() string {
	if s := bytes.TrimSpace(t.kept); len(s) > 0 {
		return ": " + string(s)
	}
	return ""
}
