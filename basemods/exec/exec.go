// Package exec is the module that runs a program, in whatever language, and
// hands it packets on its standard input.
//
// In the form xml each packet is written as one element, and is claimed once it
// is written; each element that the program prints is delivered. In the form
// json both say objects, a line each, and the program gives a verdict on each
// packet; README.md has the words.
//
// To follow a packet: Handle of [elements] or [lines] takes it, [program] knows
// the process that runs, [process] is that process, whose [pipe] is its
// standard input. What the program sends waits in a [backlog] for its turn.
package exec

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/confine"
)

type args struct {
	Command []string          `json:"command" required:"true" file:"program" doc:"The program and its arguments. A program without a slash is looked for in PATH; with one it starts, if relative, at the folder that the server was started in."`
	Form    string            `json:"form" default:"xml" enum:"xml,json" doc:"How packets are said: as XML elements, or as JSON objects, a line each, with verdicts."`
	Dir     string            `json:"dir" doc:"The folder that the program runs in, if relative below the server's data folder. Without it, the server's own working folder."`
	Env     map[string]string `json:"env" secret:"true" doc:"The environment of the program, beside PATH."`
	Window  int               `json:"window" default:"64" doc:"How many packets the program may have at once (json), and how many of those that it sends by itself may be under way."`
	Backlog int               `json:"backlog" default:"1000" doc:"How many packets that the program sends may wait for their turn. Then its output is read no further."`
	Limit   module.Size       `json:"limit" default:"256KiB" doc:"How long an element or a line of the program may be. It is stopped and started again if it does not keep to that."`
	Ping    module.Duration   `json:"ping" doc:"Ask so often whether the program is still there (json). If it says nothing until the next time it is started again."`
	Stop    module.Duration   `json:"stop" default:"5s" doc:"How long the program has after SIGTERM, and the end of its input, until it gets SIGKILL."`
	Restart restart           `json:"restart" doc:"What happens when the program has ended."`

	Confine *confine.Rules `json:"confine" doc:"Lets the program do only what is in here, and what is installed be read. A relative path is below the server's data folder."`
}

type restart struct {
	After module.Duration `json:"after" default:"1s" doc:"How long to wait before it is started again; twice as long each further time."`
	UpTo  module.Duration `json:"up_to" default:"1m" doc:"The longest wait. A program that has run for longer than that begins anew with the first wait."`
	Times int             `json:"times" doc:"How often it is started again in a row, before it is given up and its packets bounce. 0 is without end."`
}

// Module is exec {}.
var Module = define()

func define() module.Module {
	m := module.Define("exec",
		"Runs a program and hands it packets on its standard input. What it prints is delivered.",
		module.On(packet.Normal, packet.Session, packet.XDB, packet.Log), New)
	m.External = true
	return m
}

// A dialect is a way to say packets.
type dialect interface {
	// handle says a packet to the program and does what it answers.
	handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error)
	// listen reads what c says until that ends. An error ends c.
	listen(c *process) error
	// would says what handle does with a packet if the program runs.
	would() (packet.Verdict, string)
}

// An exec is the handler.
type exec struct {
	program *program
	dialect dialect
	backlog *backlog
	stanzas bool // it is in a service section, of which it gets what is to an address
}

// New makes a handler. It starts nothing.
func New(env module.Env, a args) (packet.Handler, error) {
	if err := a.check(env); err != nil {
		return nil, err
	}
	name := filepath.Base(a.Command[0])
	x := &exec{backlog: newBacklog(env, name, a.Backlog, a.Window), stanzas: isService(env.Kinds())}
	x.program = &program{name: name, args: a, log: env.Log(), changed: make(chan struct{}), down: make(chan struct{})}
	if a.Dir != "" {
		x.program.dir = env.Path(a.Dir)
	}
	if a.Confine != nil {
		for _, list := range [][]string{a.Confine.Read, a.Confine.Write} {
			for i, path := range list {
				list[i] = env.Path(path)
			}
		}
	}
	switch a.Form {
	case "json":
		x.dialect = newLines(env, x.program, x.backlog, a)
	default:
		x.dialect = newElements(x.program, x.backlog, a)
	}
	x.program.listen = x.dialect.listen
	return x, nil
}

// isService reports whether kinds are those of a service section. What a client
// says comes through it twice: as the connection sends it to the session, and as
// the session sends it on. Only then does an answer to its sender, or none, mean
// what the author of a program expects, so that this is what it gets.
func isService(kinds []packet.Kind) bool {
	return slices.Contains(kinds, packet.Normal) && slices.Contains(kinds, packet.Session)
}

// isOthers reports whether a packet is none for the program.
func (x *exec) isOthers(p *packet.Packet) bool { return x.stanzas && p.Kind == packet.Session }

func (a *args) check(env module.Env) error {
	onlySaid := func(k packet.Kind) bool { return k == packet.Normal || k == packet.Log }
	switch {
	case len(a.Command) == 0 || a.Command[0] == "":
		return module.BadArg("command", "names no program")
	case slices.ContainsFunc(a.Command, func(s string) bool { return strings.Contains(s, "\x00") }):
		return module.BadArg("command", "holds a zero byte")
	case a.Form == "xml" && !slices.ContainsFunc(env.Kinds(), onlySaid):
		return module.BadArg("form", "xml has no answers, which %s packets need; write form = \"json\"", env.Kinds()[0])
	case a.Form == "xml" && a.Ping > 0:
		return module.BadArg("ping", "is for form = \"json\"")
	case a.Window < 1:
		return module.BadArg("window", "is less than 1")
	case a.Backlog < 1:
		return module.BadArg("backlog", "is less than 1")
	case a.Limit < 1024:
		return module.BadArg("limit", "is less than 1KiB")
	case a.Restart.After <= 0:
		return module.BadArg("restart.after", "is no time")
	case a.Restart.UpTo < a.Restart.After:
		return module.BadArg("restart.up_to", "is less than after")
	case a.Restart.Times < 0:
		return module.BadArg("restart.times", "is less than 0")
	}
	for name := range a.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return module.BadArg("env", "%q is no name of a variable", name)
		}
	}
	return a.confined()
}

// confined checks the block confine.
func (a *args) confined() error {
	if a.Confine == nil {
		return nil
	}
	err := a.Confine.Check()
	var bad *module.ArgError
	if errors.As(err, &bad) {
		bad.Path = append([]string{"confine"}, bad.Path...)
	}
	return err
}

// Start starts the program.
func (x *exec) Start(ctx context.Context) error { return x.program.start(ctx) }

// Run delivers what the program sends by itself.
func (x *exec) Run(ctx context.Context) error { return x.backlog.run(ctx) }

// Close stops the program.
func (x *exec) Close() error { return x.program.close() }

// Handle says a packet to the program.
func (x *exec) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if x.isOthers(p) {
		return packet.Pass, nil
	}
	v, err := x.dialect.handle(ctx, p)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return v, packet.Refuse("remote-server-timeout", "")
	case errors.Is(err, errDown):
		return v, packet.Refuse("service-unavailable", "")
	}
	return v, err
}

// Explain says what Handle would do. A program is not asked, since it could do
// more than answer.
func (x *exec) Explain(_ context.Context, p *packet.Packet) (packet.Verdict, string) {
	if x.isOthers(p) {
		return packet.Pass, "programs in a service section get normal packets only"
	}
	c, err := x.program.running()
	switch {
	case err != nil:
		return packet.Refuses, err.Error()
	case c == nil:
		v, _ := x.dialect.would()
		return v, x.program.name + " is not running; the packet waits until it is"
	}
	v, why := x.dialect.would()
	return v, fmt.Sprintf("%s (process %d)", why, c.pid())
}
