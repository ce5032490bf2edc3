package syslog_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/logmods/file"
	"github.com/jabberii/server/logmods/filter"
	"github.com/jabberii/server/logmods/syslog"
)

func TestReadme(t *testing.T) { configtest.Readme(t, syslog.Module, filter.Module, file.Module) }
