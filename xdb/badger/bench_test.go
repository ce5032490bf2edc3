package badger_test

import (
	"testing"

	"github.com/jabberii/server/xdb/conformance"
)

func BenchmarkStore(b *testing.B) {
	for name, open := range openers {
		b.Run(name, func(b *testing.B) { conformance.Bench(b, open) })
	}
}
