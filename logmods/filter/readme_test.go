package filter_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/logmods/file"
	"github.com/jabberii/server/logmods/filter"
)

func TestReadme(t *testing.T) { configtest.Readme(t, filter.Module, file.Module) }
