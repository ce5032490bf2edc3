package command

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/config"
)

// plugin builds services that load takes as shared objects.
func (p *program) plugin() *cobra.Command {
	cmd := &cobra.Command{Use: "plugin", Short: "Build a Go shared object for load"}
	var out string
	build := &cobra.Command{
		Use: "build DIR", Short: "Build the service in a folder with the toolchain and the flags of this server", Args: cobra.ExactArgs(1),
		Long: "Build the service in a folder, package main with a variable Module of type module.Module, as a shared object for load.\n" +
			"It is built with the toolchain and the flags that the program plugins was built with, since the Go runtime takes no other.",
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := pluginsProgram(p.linked != nil)
			if err != nil {
				return err
			}
			if out == "" {
				out = strings.TrimSuffix(filepath.Clean(args[0]), "/") + ".so"
			}
			return buildObject(cmd, host, args[0], out)
		},
	}
	build.Flags().StringVarP(&out, "output", "o", "", "the file to write; DIR.so when left out")
	cmd.AddCommand(build)
	return cmd
}

// pluginsProgram is the program that load runs in.
func pluginsProgram(linked bool) (string, error) {
	if linked {
		return os.Executable()
	}
	dir, err := folder(&config.File{})
	return filepath.Join(dir, "plugins"), err
}

// buildObject builds dir as a shared object for the program host.
func buildObject(cmd *cobra.Command, host, dir, out string) error {
	info, err := buildinfo.ReadFile(host)
	if err != nil {
		return fmt.Errorf("how %s was built: %w", host, err)
	}
	args, env, err := buildFlags(info)
	if err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	abs, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	build := exec.CommandContext(cmd.Context(), "go", append(append([]string{"build", "-buildmode=plugin", "-o", abs}, args...), ".")...)
	build.Dir = dir
	build.Env = append(os.Environ(), env...)
	build.Stdout, build.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := build.Run(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(build.Args, " "), err)
	}
	return nil
}

// buildFlags returns the flags and the environment that a program was built
// with.
func buildFlags(info *debug.BuildInfo) (args, env []string, err error) {
	env = append(env, "GOTOOLCHAIN="+info.GoVersion)
	for _, s := range info.Settings {
		switch s.Key {
		case "-race", "-msan", "-asan", "-trimpath":
			if s.Value == "true" {
				args = append(args, s.Key)
			}
		case "-tags", "-gcflags", "-asmflags", "-ldflags":
			args = append(args, s.Key+"="+s.Value)
		case "CGO_ENABLED":
			if s.Value != "1" {
				return nil, nil, errors.New("it was built without cgo, so it cannot load shared objects; build it with CGO_ENABLED=1")
			}
			env = append(env, "CGO_ENABLED=1")
		case "GOARCH", "GOOS", "GOAMD64", "GOARM64", "CGO_CFLAGS", "CGO_LDFLAGS":
			env = append(env, s.Key+"="+s.Value)
		}
	}
	return args, env, nil
}
