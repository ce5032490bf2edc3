package filter_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/xdb/badger"
	"github.com/jabberii/server/xdb/file"
	"github.com/jabberii/server/xdb/filter"
)

func TestReadme(t *testing.T) { configtest.Readme(t, filter.Module, badger.Module, file.Module) }
