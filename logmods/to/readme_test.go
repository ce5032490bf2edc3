package to_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/logmods/filter"
	"github.com/jabberii/server/logmods/format"
	"github.com/jabberii/server/logmods/to"
)

func TestReadme(t *testing.T) { configtest.Readme(t, to.Module, filter.Module, format.Module) }
