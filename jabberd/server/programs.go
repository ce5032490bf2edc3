package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/wire"
)

// Programs are what a server can be put together from: programs and what each
// has, or modules that are linked into this one.
type Programs struct {
	list   []described
	linked []module.Module
}

type described struct {
	wire.Program
	modules []module.Module
}

// Linked returns modules that are linked into this program. A server made from
// them has one process.
func Linked(modules []module.Module) *Programs {
	return &Programs{linked: append([]module.Module{}, modules...)}
}

// A ProgramError is what is wrong with one of several programs.
type ProgramError struct {
	Program string // its name
	Err     error
}

// Error returns the text of Err.
func (e *ProgramError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ProgramError) Unwrap() error { return e.Err }

// Describe asks programs for what they have, all at once, without starting
// anything. It returns those that could be asked, and what was wrong with each
// other one, a *ProgramError.
func Describe(ctx context.Context, programs []wire.Program) (*Programs, []error) {
	list, errs := make([]described, len(programs)), make([]error, len(programs))
	var asking sync.WaitGroup
	for i, p := range programs {
		asking.Go(func() {
			list[i].Program = p
			var err error
			if list[i].modules, err = p.Describe(ctx); err != nil {
				errs[i] = &ProgramError{p.Name, err}
			}
		})
	}
	asking.Wait()
	ps := &Programs{}
	owner := map[string]string{} // "NAME KIND" to the program
	for i, d := range list {
		if errs[i] != nil {
			continue
		}
		if err := d.own(owner); err != nil {
			errs[i] = &ProgramError{d.Name, err}
			continue
		}
		ps.list = append(ps.list, d)
	}
	return ps, slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// own notes whose the modules are, unless another program has one of them.
func (d *described) own(owner map[string]string) error {
	for _, m := range d.modules {
		for _, k := range m.Kinds {
			if other, taken := owner[m.Name+" "+k.String()]; taken {
				return fmt.Errorf("%s and %s both have a module %s for %s sections", other, d.Name, m.Name, k)
			}
		}
	}
	for _, m := range d.modules {
		for _, k := range m.Kinds {
			owner[m.Name+" "+k.String()] = d.Name
		}
	}
	return nil
}

// Modules lists what there is.
func (ps *Programs) Modules() []module.Module {
	all := slices.Clone(ps.linked)
	for _, d := range ps.list {
		all = append(all, d.modules...)
	}
	return all
}

// Service describes the service that a label picks from a module and that is
// in a file: load "./mine.so".
func (ps *Programs) Service(ctx context.Context, name, label string) (module.Module, error) {
	if m := module.Find(ps.linked, name, nil); m != nil {
		m, err := m.Pick(label)
		if err != nil {
			return module.Module{}, err
		}
		return *m, nil
	}
	p, ok := ps.of(name, nil)
	if !ok {
		return module.Module{}, fmt.Errorf("there is no module %s", name)
	}
	if p.Attach != "" {
		return module.Module{}, errors.New("a plugin that runs already has no services in files")
	}
	return p.DescribeService(ctx, name, label)
}

// complete returns the arguments of a link with the defaults of what was left
// out. What it cannot know or complete is the plugin's to complain of.
func (ps *Programs) complete(kinds []packet.Kind, l *module.Link) []byte {
	for _, d := range ps.list {
		m := module.Find(d.modules, l.Module, kinds)
		if m == nil {
			continue
		}
		m, err := m.Pick(l.Label)
		if err != nil { // a service in a file has its own way
			return l.Args
		}
		if full, err := module.Complete(m.Args, l.Args); err == nil {
			return full
		}
		return l.Args
	}
	return l.Args
}

// of returns the program that has a module for sections of kinds.
func (ps *Programs) of(name string, kinds []packet.Kind) (wire.Program, bool) {
	for _, d := range ps.list {
		if module.Find(d.modules, name, kinds) != nil {
			return d.Program, true
		}
	}
	return wire.Program{}, false
}
