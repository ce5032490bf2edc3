package stderr_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/logmods/filter"
	"github.com/jabberii/server/logmods/format"
	"github.com/jabberii/server/logmods/stderr"
)

func TestReadme(t *testing.T) { configtest.Readme(t, stderr.Module, filter.Module, format.Module) }
