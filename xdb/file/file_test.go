package file_test

import (
	"testing"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/conformance"
	"github.com/jabberii/server/xdb/file"
)

func TestConformance(t *testing.T) {
	conformance.RunDurable(t, func(dir string) (xdb.Backend, func() error, error) {
		s, err := file.Open(dir, file.Options{Cache: 1 << 20, MaxSize: 64 << 20})
		return s, s.Close, err
	})
}
