package badger_test

import (
	"testing"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/badger"
	"github.com/jabberii/server/xdb/conformance"
)

func BenchmarkStore(b *testing.B) {
	for name, sync := range map[string]bool{"process": false, "disk": true} {
		b.Run(name, func(b *testing.B) {
			conformance.Bench(b, func(dir string) (xdb.Backend, func() error, error) {
				s, err := badger.Open(dir, badger.Options{Sync: sync, Cache: 8 << 20}) // as by default
				return s, s.Close, err
			})
		})
	}
}
