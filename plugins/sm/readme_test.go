package sm_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/plugins/sm"
)

func TestReadme(t *testing.T) { configtest.ReadmeOfService(t, sm.Module) }
