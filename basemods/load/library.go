//go:build cgo && (linux || darwin || freebsd)

package load

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"plugin"
	"runtime/debug"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/plugins/sdk/object"
)

// symbol is the variable of a shared object that is its service.
const symbol = "Module"

// open returns the service of a shared object. The Go runtime keeps what it has
// opened: the same path is the same service.
func open(path string) (*module.Module, error) {
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no file %s", path)
		}
		return nil, err
	}
	// Code that does not fit is not brought into the process at all.
	if self, ok := debug.ReadBuildInfo(); ok {
		if err := object.Fits(self, path); err != nil {
			return nil, err
		}
	}
	lib, err := plugin.Open(path)
	if err != nil {
		return nil, refusal(path, err)
	}
	found, err := lib.Lookup(symbol)
	if err != nil {
		return nil, fmt.Errorf("%s has no variable %s, which would be its service", path, symbol)
	}
	m, ok := found.(*module.Module)
	if !ok {
		return nil, fmt.Errorf("%s of %s is a %T, and not a module.Module", symbol, path, found)
	}
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// refusal says in our words what the Go runtime refuses although the builds
// look the same.
func refusal(path string, err error) error {
	_, pkg, found := strings.Cut(err.Error(), "different version of package ")
	if !found {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return fmt.Errorf("%s does not fit this program: its package %s was built from other sources, or from sources at another path; build it with: jabberd plugin build", path, pkg)
}
