package cache_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/xdb/badger"
	"github.com/jabberii/server/xdb/cache"
)

func TestReadme(t *testing.T) { configtest.Readme(t, cache.Module, badger.Module) }
