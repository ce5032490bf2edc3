package sm_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/xdb/memory"
)

func TestReadme(t *testing.T) { configtest.ReadmeOfService(t, sm.Module, memory.Module) }
