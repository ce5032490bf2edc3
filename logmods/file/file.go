// Package file is the log module that writes entries to a file, a line each,
// and begins a new file when that grows too large or too old.
package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/sink"
)

type args struct {
	Path     string          `json:"path" required:"true" doc:"The file; its folder is made if need be. A relative path is below the server's data folder."`
	Size     module.Size     `json:"size" default:"10MiB" doc:"A file that would grow beyond this is put aside and a new one begun. 0 is no limit."`
	Age      module.Duration `json:"age" doc:"Put the file aside at the end of each such period, counted from midnight: \"1d\" is a file a day, \"1h\" a file an hour. Without it files do not age."`
	Keep     int             `json:"keep" default:"5" doc:"How many files that were put aside are kept. 0 keeps all."`
	Compress bool            `json:"compress" doc:"Compress files that were put aside with gzip."`
	Mode     string          `json:"mode" default:"0640" doc:"Permissions of new files, in octal."`
}

// Module is file {}.
var Module = module.Define("file",
	"Writes each entry as a line to a file, and claims it. Files are rotated by size and age.",
	module.On(packet.Log), New)

// A file is the handler: a sink that writes to a series of files.
type file struct {
	*sink.Sink
	to      *series
	tidying tidy
}

// New makes a handler. It opens nothing.
func New(env module.Env, a args) (packet.Handler, error) {
	mode, err := strconv.ParseUint(a.Mode, 8, 32)
	switch {
	case a.Path == "":
		return nil, module.BadArg("path", "is empty")
	case err != nil || fs.FileMode(mode)&^fs.ModePerm != 0:
		return nil, module.BadArg("mode", "%q is no permissions; write them in octal, like 0640", a.Mode)
	case a.Age != 0 && a.Age.Std() < time.Second:
		return nil, module.BadArg("age", "is less than a second")
	case a.Keep < 0:
		return nil, module.BadArg("keep", "is less than 0")
	}
	path := env.Path(a.Path)
	to := &series{
		path: path, mode: fs.FileMode(mode), size: int64(a.Size), age: a.Age.Std(),
		log: env.Log(), aside: make(chan struct{}, 1),
	}
	return &file{
		Sink:    sink.New("file "+path, env.Log(), sink.Lines(to)),
		to:      to,
		tidying: tidy{path: path, keep: a.Keep, compress: a.Compress},
	}, nil
}

// Start opens the file.
func (f *file) Start(context.Context) error { return f.to.Reopen() }

// Run opens the file anew on SIGHUP and tidies up behind it.
func (f *file) Run(ctx context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		if err := f.tidying.do(ctx); err != nil && !errors.Is(err, context.Canceled) {
			f.to.log.Error("log files that were put aside are in disorder", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
			if err := f.to.Reopen(); err != nil {
				f.to.log.Error("log file cannot be opened anew", "error", err)
			}
		case <-f.to.aside:
		}
	}
}

// Close closes the file.
func (f *file) Close() error { return f.to.Close() }
