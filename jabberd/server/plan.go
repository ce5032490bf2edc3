package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/jabberd/wire"
	"github.com/jabberii/server/plugins/sdk/halt"
)

// A Plan is what a server is made from.
type Plan struct {
	Programs  *Programs
	Sections  []module.Section   // the process of a link is what its block says, "" without
	Processes map[string]Process // settings of processes by name
	Data      string             // the folder of what is kept
	Socket    string             // for commands; "" is jabberd.sock in Data
	Patience  time.Duration      // a process that gives no sign of life for it is ended and started again; 0 is 30 s

	// Settings says what can be read of the plan through xdb, secrets masked, once
	// it is known what was made. Nil says nothing.
	Settings func(tree.Made) []module.Setting

	// Halt is told an order that the server end; who gives it may. The error says why
	// it goes on. Nil takes no orders.
	Halt func(context.Context, halt.Order) error

	// Fallback takes log entries that no section claims; see tree.Config.
	Fallback func(entry *packet.Packet)
}

// A Process is the settings of one.
type Process struct {
	OrphanGrace time.Duration // that it lives on without the core
	Env         []string      // "NAME=value"
}

// LinkErrors are what is wrong with links of a plan, in their order.
type LinkErrors []tree.LinkError

// Error lists them.
func (l LinkErrors) Error() string {
	var all []string
	for i := range l {
		all = append(all, l[i].Error())
	}
	return strings.Join(all, "; ")
}

// A place is a process of the plan, and what it runs.
type place struct {
	name    string
	program wire.Program
	first   string // where in the file it was first named
	kinds   []packet.Kind
}

// arrange gives each link the name of its process, and returns the processes
// in the order in which the file first needs them, and the arguments of links
// with all their defaults, which not every plugin fills in. A process is one program:
// by default one a program, of its name. Behind a link "fork" the rest of the
// chain has processes of its own.
func (p *Plan) arrange() ([]*place, []module.Section, error) {
	if p.Programs.linked != nil {
		sections := copySections(p.Sections)
		for i := range sections {
			for j := range sections[i].Chain {
				sections[i].Chain[j].Process = ""
			}
		}
		return nil, sections, nil
	}
	var places []*place
	var wrong LinkErrors
	sections := copySections(p.Sections)
	for i := range sections {
		s, forked := &sections[i], ""
		for j := range s.Chain {
			l := &s.Chain[j]
			program, ok := p.Programs.of(l.Module, s.Kinds)
			if !ok {
				wrong = append(wrong, tree.LinkError{LinkRef: tree.LinkRef{Section: i, Link: j}, Text: fmt.Sprintf("there is no module %q", l.Module)})
				continue
			}
			if l.Process == "" {
				l.Process = program.Name + forked
			}
			if l.Module == "fork" {
				forked = "." + s.ID
			}
			at := slices.IndexFunc(places, func(pl *place) bool { return pl.name == l.Process })
			if at < 0 {
				places = append(places, &place{name: l.Process, program: program, first: l.Place})
				at = len(places) - 1
			}
			pl := places[at]
			if pl.program.Name != program.Name {
				wrong = append(wrong, tree.LinkError{LinkRef: tree.LinkRef{Section: i, Link: j}, Path: []string{"process"}, Text: fmt.Sprintf(
					"%s is of the program %s, and the process %q runs %s since %s: a process is one program", l.Module, program.Name, l.Process, pl.program.Name, pl.first)})
			}
			pl.kinds = append(pl.kinds, s.Kinds...)
			l.Args = p.Programs.complete(s.Kinds, l)
		}
	}
	if len(wrong) > 0 {
		return nil, nil, wrong
	}
	return places, sections, nil
}

func copySections(sections []module.Section) []module.Section {
	all := slices.Clone(sections)
	for i := range all {
		all[i].Chain = slices.Clone(all[i].Chain)
	}
	return all
}

// rank orders processes for the stop, and the other way round for the start.
func (pl *place) rank() int { return tree.Rank(pl.kinds) }

// digest identifies what a process is made from: a process of an earlier core
// is only taken over if it is the same.
func (pl *place) digest(sections []module.Section, data string, settings Process) string {
	var size, changed int64
	if info, err := os.Stat(pl.program.Path); err == nil {
		size, changed = info.Size(), info.ModTime().UnixNano()
	}
	b, err := json.Marshal([]any{sections, data, pl.program, size, changed, settings})
	if err != nil {
		return "" // arguments that are no JSON: Make will say so
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
