package badger_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/xdb/badger"
)

func TestReadme(t *testing.T) { configtest.Readme(t, badger.Module) }
