package file_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/xdb/file"
	"github.com/jabberii/server/xdb/filter"
)

func TestReadme(t *testing.T) { configtest.Readme(t, file.Module, filter.Module) }
