//go:build !cgo || !(linux || darwin || freebsd)

package load

import (
	"fmt"

	"github.com/jabberii/server/jabberd/module"
)

// open refuses: the standard library's plugin package needs cgo.
func open(path string) (*module.Module, error) {
	return nil, fmt.Errorf("%s cannot be loaded: this program was built without cgo, which shared objects need; build it with CGO_ENABLED=1, or make a plugin program of it", path)
}
