// Testsum runs go test in every module of the repository and tells it plainly:
//
//	go run ./scripts/testsum [go test flags] [packages]
//
// One line a package, as go test prints them; the whole output of what failed and
// nothing of what passed; then the figures (lines logged as "figure: ...") and last
// every test that was skipped, with its reason. With packages named, only the module
// of the working directory is tested.
//
// The exit status is 1 if a test failed and, where CI=true, also if one was
// skipped: on a developer's machine a real peer may be missing, in CI none may.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	flags := os.Args[1:]
	modules := []string{"."}
	if len(flags) == 0 || strings.HasPrefix(flags[len(flags)-1], "-") {
		var err error
		if modules, err = findModules("."); err != nil {
			fmt.Fprintln(os.Stderr, "testsum:", err)
			os.Exit(2)
		}
		flags = append(flags, "./...")
	}
	sum := newSummary(os.Stdout)
	broken := false
	for _, dir := range modules {
		if err := test(dir, flags, sum); err != nil {
			broken = true
			// A failed test says so itself; what is left is go test not getting that far.
			if !sum.failed {
				fmt.Fprintf(os.Stderr, "testsum: go test in %s: %v\n", dir, err)
			}
		}
	}
	sum.close()
	switch {
	case broken || sum.failed:
		os.Exit(1)
	case len(sum.skips) > 0 && os.Getenv("CI") == "true":
		fmt.Println("FAIL: CI=true, and nothing may be skipped there")
		os.Exit(1)
	}
}

// test runs go test in one module and adds its events to the summary.
func test(dir string, flags []string, sum *summary) error {
	cmd := exec.Command("go", append([]string{"test", "-json"}, flags...)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := sum.read(events)
	if err := cmd.Wait(); err != nil {
		return err
	}
	return readErr
}

// findModules lists the folders below root that have a go.mod, root first.
func findModules(root string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && ignored(entry.Name()):
			return filepath.SkipDir
		case entry.Name() == "go.mod":
			dirs = append(dirs, filepath.Dir(path))
		}
		return nil
	})
	return dirs, err
}

// ignored reports whether no module of ours is below a folder of this name.
func ignored(name string) bool {
	switch name {
	case "bin", "data", "testdata", "node_modules", "vendor":
		return true
	}
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}
