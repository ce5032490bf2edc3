package memory_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/xdb/memory"
)

func TestReadme(t *testing.T) { configtest.Readme(t, memory.Module) }
