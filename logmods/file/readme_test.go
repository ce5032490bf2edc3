package file_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/logmods/file"
	"github.com/jabberii/server/logmods/filter"
	"github.com/jabberii/server/logmods/stderr"
)

func TestReadme(t *testing.T) { configtest.Readme(t, file.Module, filter.Module, stderr.Module) }
