package wire

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/jabberii/server/jabberd/heap"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/wire/plugin"
	"github.com/jabberii/server/plugins/sdk/confine"
)

// What the environment of a plugin process says; see plugin.proto.
const (
	cookieName  = "JABBERD_PLUGIN"
	cookieValue = "delivery-tree"
	versionsVar = "PLUGIN_PROTOCOL_VERSIONS"
	socketVar   = "PLUGIN_UNIX_SOCKET_DIR"
	processVar  = "JABBERD_PROCESS"
)

const (
	// Files in the folder of a process.
	socketFile = "socket"
	linkFile   = "link"  // the socket for links without gRPC
	crashFile  = "crash" // what a dying Go program has to say

	drainTime = 30 * time.Second
)

// Main is the main function of a plugin program: it serves modules to the
// jabberd that has started it, and returns the status to exit with. args are
// those of the command line, without the program.
func Main(args []string, modules []module.Module) int {
	name := filepath.Base(os.Args[0])
	var err error
	switch at := slices.Index(args, "describe"); {
	case len(args) > 0 && args[0] == confine.Word:
		return confine.Main(args[1:])
	case at >= 0:
		err = writeDescription(os.Stdout, modules, args[at+1:])
	case slices.Contains(args, "--debug"):
		err = serveDebug(name, modules)
	case os.Getenv(cookieName) == cookieValue:
		err = serve(modules)
	default:
		fmt.Fprintf(os.Stderr, `%s is a plugin of jabberd, which starts it when its configuration says

  plugin "%s" { path = "%s" }

%[1]s describe   prints its modules as JSON
%[1]s --debug    runs it by itself, for jabberd to attach to
`, name, strings.TrimSuffix(name, filepath.Ext(name)), os.Args[0])
		return 2
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// writeDescription prints what there is, or only the service of a module that
// a label picks.
func writeDescription(w io.Writer, modules []module.Module, which []string) error {
	if len(which) == 2 {
		i := slices.IndexFunc(modules, func(m module.Module) bool { return m.Name == which[0] })
		if i < 0 {
			return fmt.Errorf("there is no module %q", which[0])
		}
		m, err := modules[i].Pick(which[1])
		if err != nil {
			return err
		}
		modules = []module.Module{*m}
	}
	b, err := protojson.MarshalOptions{Multiline: true}.Marshal(describe(modules))
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// serve serves the jabberd that has started this process.
func serve(modules []module.Module) error {
	dir := os.Getenv(socketVar)
	if dir == "" {
		return fmt.Errorf("%s is not set", socketVar)
	}
	// The process may outlive the reader of its standard error, and must be
	// able to say what it dies of without it. An interrupt from the keyboard is
	// for the core, and a hang-up for the modules that have files to open anew.
	// All are caught, not ignored: what a module executes would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, os.Interrupt, syscall.SIGHUP)
	if crash, err := os.OpenFile(filepath.Join(dir, crashFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		_ = debug.SetCrashOutput(crash, debug.CrashOptions{})
		_ = crash.Close()
	}
	path := filepath.Join(dir, socketFile)
	listener, err := Listen(path)
	if err != nil {
		return err
	}
	links, err := Listen(filepath.Join(dir, linkFile))
	if err != nil {
		return err
	}
	fmt.Printf("1|%d|unix|%s|grpc|\n", Protocol, path)
	console := takeConsole()
	os.Stdout = os.Stderr // what is printed from now on is for the log
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	go heap.Tend(ctx)
	s := newService(modules, toFile(console), false)
	s.socket = links.Addr().String()
	go s.accept(links)
	go s.follow(syscall.Stderr)
	run(ctx, s, listener)
	return nil
}

// run serves until the core has stopped it, nobody has come for it, or ctx is
// done. An orphan that has not run has nothing to finish, and may hang.
func run(ctx context.Context, s *service, listener net.Listener) {
	server := grpc.NewServer(serverOptions()...)
	plugin.RegisterPluginServer(server, s)
	go func() { _ = server.Serve(listener) }()
	limit := orphanStop
	select {
	case <-ctx.Done():
		limit = drainTime
	case <-s.stopped:
	case <-s.orphan:
		return
	}
	soon, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	s.close(soon)
	// Calls under way, such as the link, end in order.
	hard := time.AfterFunc(orphanStop, server.Stop)
	defer hard.Stop()
	last, cancel := context.WithTimeout(context.Background(), orphanStop)
	defer cancel()
	s.unlink(last)
	server.GracefulStop()
}

// serveDebug serves one core after another, until a signal.
func serveDebug(name string, modules []module.Module) error {
	dir, err := os.MkdirTemp("", "jabberd-debug-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "socket")
	listener, err := Listen(path)
	if err != nil {
		return err
	}
	fmt.Printf("plugin %s { attach = %s }\n", strconv.Quote(strings.TrimSuffix(name, filepath.Ext(name))), strconv.Quote("unix:"+path))
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	ServeAttached(ctx, listener, modules, toFile(os.Stderr))
	return nil
}

// ServeAttached serves modules to one core after another, each of which
// attaches to the listener, until ctx is done. fallback takes the log entries
// for which there is no core.
func ServeAttached(ctx context.Context, listener net.Listener, modules []module.Module, fallback func(*packet.Packet)) {
	run(ctx, newService(modules, fallback, true), listener)
}

// toFile returns what writes a log entry that must not go to the log branch, or
// that no core takes, if it is a warning or an error.
func toFile(f *os.File) func(*packet.Packet) {
	return func(p *packet.Packet) {
		if p.Type != "warn" && p.Type != "error" {
			return
		}
		// There is no other place to say that this one fails.
		_, _ = f.WriteString(consoleLine(p, time.Now()))
	}
}

// consoleLine is an entry as the core writes what no section claims: the time of day, the
// level, the text, then the fields.
func consoleLine(p *packet.Packet, now time.Time) string {
	level := "WRN"
	if p.Type == "error" {
		level = "ERR"
	}
	fields := p.Attrs
	if strings.HasPrefix(fields, " time='") { // the line has it in front
		if _, rest, ok := strings.Cut(fields[len(" time='"):], "'"); ok {
			fields = rest
		}
	}
	line := now.Format("15:04:05.000") + " " + level + " " + unescape.Replace(string(p.Body)) + " from=" + p.From + fields
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) { // what is logged may be a stranger's, and this a terminal
			return unicode.ReplacementChar
		}
		return r
	}, line) + "\n"
}

// unescape undoes what a writer of entries does to their texts. A line break stays one
// character of the line.
var unescape = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&apos;", "'", "&amp;", "&", "\n", `\n`)
