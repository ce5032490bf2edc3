//go:build cgo && (linux || darwin || freebsd)

package load

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"plugin"
	"strings"

	"github.com/jabberii/server/jabberd/module"
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
	lib, err := plugin.Open(path)
	if err != nil {
		if strings.Contains(err.Error(), "different version") {
			return nil, mismatch(path, err)
		}
		return nil, err
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
