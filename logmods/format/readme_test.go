package format_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/logmods/file"
	"github.com/jabberii/server/logmods/format"
	"github.com/jabberii/server/logmods/stdout"
)

func TestReadme(t *testing.T) { configtest.Readme(t, format.Module, stdout.Module, file.Module) }
