// Xdb is the program with the modules of storage chains: stores, and what
// stands before them.
package main

import (
	"github.com/jabberii/server/plugins/sdk"
	"github.com/jabberii/server/xdb/badger"
	"github.com/jabberii/server/xdb/cache"
	"github.com/jabberii/server/xdb/file"
	"github.com/jabberii/server/xdb/filter"
	"github.com/jabberii/server/xdb/ldap"
	"github.com/jabberii/server/xdb/memory"
)

func main() {
	sdk.Serve(filter.Module, cache.Module, memory.Module, file.Module, badger.Module, ldap.Module)
}
