package object

import (
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// A Build makes a shared object for a program. The folder may be of the
// server's own module, or of any other that requires it.
type Build struct {
	Program string // the file of the program that will load it
	Folder  string // a package main with a variable Module
	Output  string // the file to write
	Source  string // the folder of the sources that the program was built from; "" finds it

	// Try, if it is not nil, loads the file. What it refuses is not kept.
	Try func(ctx context.Context, file string) error

	Stdout, Stderr io.Writer // of the go command
}

// Run builds it. The output is written only if it fits the program, and takes
// the place of another at once: one that is loaded stays as it is.
func (b Build) Run(ctx context.Context) error {
	program, err := buildinfo.ReadFile(b.Program)
	if err != nil {
		return fmt.Errorf("how %s was built: %w", b.Program, err)
	}
	args, env, err := flags(program)
	if err != nil {
		return fmt.Errorf("%s: %w", b.Program, err)
	}
	temp, err := os.MkdirTemp("", "jabberd-build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	work, err := b.workspace(ctx, program, env, temp)
	if err != nil {
		return err
	}
	out, err := filepath.Abs(b.Output)
	if err != nil {
		return err
	}
	file := out + ".new"
	defer func() { _ = os.Remove(file) }()
	args = append(append([]string{"build", "-buildmode=plugin", "-o", file}, args...), ".")
	if err := b.golang(ctx, append(env, work), b.Stdout, args...); err != nil {
		return err
	}
	if err := Fits(program, file); err != nil {
		var wrong *MismatchError
		if errors.As(err, &wrong) {
			wrong.Path = b.Folder
		}
		return err
	}
	if b.Try != nil {
		if err := b.Try(ctx, file); err != nil {
			return fmt.Errorf("it was built, but cannot be loaded: %w", err)
		}
	}
	return os.Rename(file, out)
}

// golang runs the go command in the folder.
func (b Build) golang(ctx context.Context, env []string, stdout io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = b.Folder, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = stdout, b.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s in %s: %w", strings.Join(args, " "), b.Folder, err)
	}
	return nil
}

// flags returns the flags and the environment that a program was built with.
// A flag that it was built without is named too, against GOFLAGS.
func flags(program *debug.BuildInfo) (args, env []string, err error) {
	set := settings(program)
	if set["CGO_ENABLED"] != "1" {
		return nil, nil, errors.New("it was built without cgo, so it cannot load shared objects; build it with CGO_ENABLED=1")
	}
	toolchain, _, _ := strings.Cut(program.GoVersion, " ")
	if !strings.HasPrefix(toolchain, "go1") {
		toolchain = "local" // of no release
	}
	env = []string{"GOTOOLCHAIN=" + toolchain, "GOWORK=off"}
	args = []string{"-mod=readonly", "-pgo=" + cmp.Or(set["-pgo"], "off")}
	for _, name := range []string{"-race", "-msan", "-asan", "-trimpath"} {
		args = append(args, name+"="+cmp.Or(set[name], "false"))
	}
	for _, name := range []string{"-tags", "-gcflags", "-asmflags"} {
		args = append(args, name+"="+set[name])
	}
	for _, s := range program.Settings {
		if strings.HasPrefix(s.Key, "GO") || strings.HasPrefix(s.Key, "CGO_") {
			env = append(env, s.Key+"="+s.Value)
		}
	}
	return args, env, nil
}

// workspace returns the variable GOWORK for a build of the folder. A module
// that is not the server's is built in a workspace with it: as its dependency,
// the server would be a version, and packages of a version have other paths than
// those in the program.
func (b Build) workspace(ctx context.Context, program *debug.BuildInfo, env []string, temp string) (string, error) {
	var list bytes.Buffer
	if err := b.golang(ctx, env, &list, "list", "-m", "-json"); err != nil {
		return "", err
	}
	var own struct{ Path, Dir string }
	if err := json.Unmarshal(list.Bytes(), &own); err != nil {
		return "", fmt.Errorf("the module of %s: %w", b.Folder, err)
	}
	if own.Dir == "" {
		return "", fmt.Errorf("%s is in no module: it needs a go.mod that requires %s", b.Folder, program.Main.Path)
	}
	if own.Path == program.Main.Path {
		return "GOWORK=off", nil
	}
	source, err := b.sources(ctx, program, env)
	if err != nil {
		return "", err
	}
	variable := "GOWORK=" + filepath.Join(temp, "go.work")
	return variable, b.golang(ctx, append(env, variable), b.Stdout, "work", "init", own.Dir, source)
}

// sources returns the folder of the sources that the program was built from:
// the one that is named; where they were when this was compiled, which without
// -trimpath is where they have to be; or the version that was recorded.
func (b Build) sources(ctx context.Context, program *debug.BuildInfo, env []string) (string, error) {
	module := program.Main.Path
	dir, version := b.Source, program.Main.Version
	if dir == "" {
		dir = compiledAt()
	}
	if dir != "" {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			return "", fmt.Errorf("the sources of %s are needed: %w; say where they are with --source, or build jabberd with -trimpath to have them anywhere", module, err)
		}
		return filepath.Abs(dir)
	}
	if version == "" || version == devel || strings.Contains(version, "+") {
		return "", fmt.Errorf("the sources of %s that this jabberd was built from are needed: say where they are with --source", module)
	}
	var found bytes.Buffer
	if err := b.golang(ctx, env, &found, "mod", "download", "-json", module+"@"+version); err != nil {
		return "", fmt.Errorf("the sources of %s %s: %w; say where they are with --source", module, version, err)
	}
	var at struct{ Dir string }
	err := json.Unmarshal(found.Bytes(), &at)
	return at.Dir, err
}

// compiledAt returns the top folder of the sources of this package, "" if it
// was built with -trimpath.
func compiledAt() string {
	_, file, _, ok := runtime.Caller(0)
	dir, found := strings.CutSuffix(filepath.ToSlash(filepath.Dir(file)), "/plugins/sdk/object")
	if !ok || !found || !filepath.IsAbs(dir) {
		return ""
	}
	return dir
}
