package wire

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jabberii/server/jabberd/wire/plugin"
)

// Profile measures this process, for as long as is asked or until ctx is done,
// and returns what pprof reads. The kind is cpu or one of package runtime/pprof:
// heap, allocs, goroutine, mutex, block, threadcreate; those take no time. One
// profile of kind cpu can be made at once.
func Profile(ctx context.Context, kind string, d time.Duration) ([]byte, error) {
	var b bytes.Buffer
	if kind == "cpu" {
		if err := pprof.StartCPUProfile(&b); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
		pprof.StopCPUProfile()
		return b.Bytes(), nil
	}
	p := pprof.Lookup(kind)
	if p == nil {
		var names []string
		for _, p := range pprof.Profiles() {
			names = append(names, p.Name())
		}
		return nil, fmt.Errorf("there is no profile %q, but cpu, %s", kind, strings.Join(names, ", "))
	}
	if kind == "heap" {
		runtime.GC() // else it is what the last collection has left
	}
	err := p.WriteTo(&b, 0)
	return b.Bytes(), err
}

// Profile implements plugin.PluginServer.
func (s *service) Profile(ctx context.Context, r *plugin.ProfileRequest) (*plugin.ProfileReply, error) {
	profile, err := Profile(ctx, r.Kind, time.Duration(r.Duration))
	if err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	return &plugin.ProfileReply{Profile: profile}, nil
}
