package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/jabberd/wire"
	"github.com/jabberii/server/plugins/sdk/confine"
)

// builtIn are the programs beside jabberd.
var builtIn = []string{"basemods", "xdb", "logmods", "plugins"}

// programs returns what a configuration can be put together from.
func (p *program) programs(ctx context.Context, f *config.File) (*server.Programs, hcl.Diagnostics) {
	if p.linked != nil {
		return server.Linked(p.linked), withoutPlugins(f)
	}
	dir, err := folder(f)
	if err != nil {
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "No programs", Detail: err.Error()}}
	}
	var list []wire.Program
	for _, name := range builtIn {
		list = append(list, wire.Program{Name: name, Path: filepath.Join(dir, name)})
	}
	var diags hcl.Diagnostics
	for _, x := range f.Plugins {
		if slices.Contains(builtIn, x.Name) {
			diags = append(diags, f.PluginFailed(x.Name, errors.New("a program of jabberd's own has this name; take another")))
			continue
		}
		list = append(list, pluginProgram(x, dir))
	}
	programs, errs := server.Describe(ctx, list)
	for _, err := range errs {
		diags = append(diags, undescribed(f, err))
	}
	return programs, diags
}

// undescribed says, at the plugin's place if it is one, what is wrong with a
// program that does not say what it has.
func undescribed(f *config.File, err error) *hcl.Diagnostic {
	var of *server.ProgramError
	if errors.As(err, &of) && !slices.Contains(builtIn, of.Program) {
		return f.PluginFailed(of.Program, err)
	}
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "A program does not say what it has", Detail: err.Error()}
}

// withoutPlugins says of each plugin that there are none in one process.
func withoutPlugins(f *config.File) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, x := range f.Plugins {
		diags = append(diags, f.PluginFailed(x.Name, errors.New(`a plugin is a process, and isolation = "none" has none; use isolation = "process"`)))
	}
	return diags
}

// onTrial is what a plugin may do while it is only asked: the protocol says that
// it has no effects then, so that it can be kept from most, also where it is not
// confined at work.
func onTrial() *confine.Rules { return &confine.Rules{Read: []string{"/"}, Optional: true} }

func pluginProgram(x config.Plugin, dir string) wire.Program {
	p := wire.Program{Name: x.Name, Path: x.Path, Args: x.Args, Checksum: x.Checksum, Attach: x.Attach, Confine: x.Confine, Trial: onTrial()}
	if p.Path != "" && !strings.Contains(p.Path, "/") {
		p.Path = filepath.Join(dir, p.Path)
	}
	for name, value := range x.Env {
		p.Env = append(p.Env, name+"="+value)
	}
	slices.Sort(p.Env)
	return p
}

// describe implements cli.Server.
func (p *program) describe(ctx context.Context, f *config.File) (config.Catalog, hcl.Diagnostics) {
	programs, diags := p.programs(ctx, f)
	if programs == nil {
		return config.Catalog{Incomplete: true}, diags
	}
	return catalog(ctx, programs, diags.HasErrors()), diags
}

// catalog is what programs have. A label that is a path is described by the
// program that has the module.
func catalog(ctx context.Context, programs *server.Programs, incomplete bool) config.Catalog {
	c := config.Catalog{Modules: programs.Modules(), Incomplete: incomplete}
	for i := range c.Modules {
		m := &c.Modules[i]
		if len(m.Services) > 0 && m.Other == nil {
			name := m.Name
			m.Other = func(label string) (*module.Module, error) {
				s, err := programs.Service(ctx, name, label)
				return &s, err
			}
		}
	}
	return c
}

// make implements cli.Server: the processes that have the modules make the
// handlers.
func (p *program) make(ctx context.Context, f *config.File, modules config.Catalog) ([]config.Made, error) {
	if p.linked != nil {
		return f.Make(ctx, modules), nil
	}
	plan, err := p.plan(ctx, f)
	if err != nil {
		return nil, err
	}
	made, err := server.Check(ctx, plan)
	var wrong server.LinkErrors
	if err != nil && !errors.As(err, &wrong) {
		return nil, err
	}
	return results(f, made, wrong), nil
}

// results says for each link what came of making it.
func results(f *config.File, made tree.Made, wrong server.LinkErrors) []config.Made {
	var list []config.Made
	at := map[tree.LinkRef]int{}
	for i, s := range f.Sections {
		for j := range s.Chain {
			at[tree.LinkRef{Section: i, Link: j}] = len(list)
			list = append(list, config.Made{Section: s.ID, Link: j})
		}
	}
	for _, w := range wrong {
		if n, ok := at[w.LinkRef]; ok {
			list[n].Err = errors.New(w.Text) // the place is told by the file
			if len(w.Path) > 0 {
				list[n].Err = &module.ArgError{Path: w.Path, Text: w.Text}
			}
		}
	}
	for _, h := range made.Hosts {
		// Which link attached is not told apart: the first of the section stands for all.
		if n, ok := at[tree.LinkRef{Section: int(h.Section), Link: 0}]; ok {
			list[n].Hosts = append(list[n].Hosts, h.Host)
		}
	}
	return list
}

// plan is what the server is made from. The file was read without errors.
func (p *program) plan(ctx context.Context, f *config.File) (server.Plan, error) {
	programs, diags := p.programs(ctx, f)
	if diags.HasErrors() {
		return server.Plan{}, diags
	}
	data, err := filepath.Abs(f.Engine.DataDir)
	if err != nil {
		return server.Plan{}, err
	}
	plan := server.Plan{
		Programs: programs, Sections: f.Sections, Data: data, Socket: f.Engine.Socket,
		Processes: map[string]server.Process{}, Fallback: console(os.Stderr, f.Engine.LogLevel),
		Settings: func(made tree.Made) []module.Setting { return f.Settings(results(f, made, nil)) },
	}
	for _, x := range f.Processes {
		s := server.Process{OrphanGrace: x.OrphanGrace.Std()}
		for name, value := range x.Env {
			s.Env = append(s.Env, name+"="+value)
		}
		if x.GoMaxProcs > 0 {
			s.Env = append(s.Env, fmt.Sprintf("GOMAXPROCS=%d", x.GoMaxProcs))
		}
		if x.MemoryLimit > 0 {
			s.Env = append(s.Env, fmt.Sprintf("GOMEMLIMIT=%d", int64(x.MemoryLimit)))
		}
		slices.Sort(s.Env)
		plan.Processes[x.Name] = s
	}
	return plan, nil
}
