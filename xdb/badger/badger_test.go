package badger_test

import (
	"testing"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/badger"
	"github.com/jabberii/server/xdb/conformance"
)

func opener(o badger.Options) conformance.Opener {
	return func(dir string) (xdb.Backend, func() error, error) {
		s, err := badger.Open(dir, o)
		return s, s.Close, err
	}
}

func TestConformance(t *testing.T) {
	conformance.RunDurable(t, opener(badger.Options{Cache: 1 << 20}))
}
