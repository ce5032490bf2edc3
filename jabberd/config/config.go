// Package config reads the configuration of a server.
//
// A configuration is one HCL file, native syntax, with what it includes. Its
// blocks are the delivery tree, in the order of the file: a section stands for
// its kind, the blocks in it are the chain.
//
//	variable "host" { default = "localhost" }
//
//	service "sm" {
//	  host "example.org" {}
//	  load "sm" {
//	    offline { max = 1000 }
//	  }
//	}
//
// It is read in two steps, because the programs that describe the modules are
// named in the file itself. [Read] parses the files and decodes the blocks that
// are the core's own: engine, plugin, process, variable. [File.Bind] then takes
// the modules and decodes the sections, each block by the schema of its module
// on the body as it was parsed, so that every complaint has a file, a line and
// a column. Whoever has made the handlers brings back what they said with
// [File.Check], which also warns of what is legal but surely not meant.
//
// Every step reports all that it finds, as [hcl.Diagnostics]; [File.Print]
// shows them, sorted by place, each with the line and a mark below it.
package config

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/module"
)

// A File is a configuration: one file and all that it includes. Its fields
// are valid if there was no error; with errors they hold what could be read,
// which is good for further checks and for nothing else.
type File struct {
	Path      string // as it was given
	Engine    Engine
	Plugins   []Plugin
	Processes []Process
	Sections  []module.Section // by Bind, in the order of the file

	sources  []*source            // in the order in which they were read
	blocks   []placed             // top-level blocks in the order of the configuration
	declared map[string]hcl.Range // plugins and processes by "plugin NAME"
	traces   []trace              // of Sections
	secrets  []hcl.Range          // where secrets are written out
	index    map[string]int       // of Sections by id
	parsed   bool                 // there was no error of syntax
	failed   bool                 // an error was found
}

// A placed is a top-level block and the file that it stands in.
type placed struct {
	*source
	block *block
}

// A trace leads from a section back to the file.
type trace struct {
	placed
	links []linkTrace
}

// A linkTrace leads from a link back to the file, and to what describes it.
type linkTrace struct {
	block *block
	uses  module.Module // the module, or the service that the label picked
}

// Load reads a configuration whose modules are known beforehand.
func Load(path string, vars map[string]string, modules Catalog) (*File, hcl.Diagnostics) {
	f, diags := Read(path, vars)
	return f, append(diags, f.Bind(modules)...)
}

// Read reads the file at path and what it includes, and decodes all that needs
// no modules. vars are values of variables by name. The File is never nil.
func Read(path string, vars map[string]string) (*File, hcl.Diagnostics) {
	f := &File{Path: path, declared: map[string]hcl.Range{}, index: map[string]int{}}
	r := reader{file: f, seen: map[string]hcl.Range{}}
	r.read(path, nil, nil)
	if r.diags.HasErrors() {
		// A file that cannot be parsed is not judged by its parts.
		f.failed, f.blocks = true, nil
		return f, r.diags
	}
	f.parsed = true
	diags := append(r.diags, f.resolve(vars)...)
	diags = append(diags, f.decodeCore()...)
	f.failed = diags.HasErrors()
	return f, diags
}

// Bind decodes the sections with the schemas of modules.
func (f *File) Bind(modules Catalog) hcl.Diagnostics {
	diags := modules.check()
	b := binding{file: f, modules: modules, ids: map[string]hcl.Range{}}
	for _, p := range f.blocks {
		if kinds := sectionKinds(p.block.Type); kinds != nil {
			diags = append(diags, b.section(p, kinds)...)
		}
	}
	f.failed = f.failed || diags.HasErrors()
	return diags
}

// Parsed reports whether the text makes sense as HCL. If not, there is nothing
// to decode, and no module is worth asking for.
func (f *File) Parsed() bool { return f.parsed }

// Files lists the names of the files that were read, in that order.
func (f *File) Files() []string {
	var names []string
	for _, s := range f.sources {
		names = append(names, s.name)
	}
	return names
}

// A Variable is one that the configuration declares.
type Variable struct{ Name, Description string }

// Variables lists the variables, in the order of the file.
func (f *File) Variables() (list []Variable) {
	for _, p := range f.blocks {
		if p.block.Type != "variable" || len(p.block.Labels) != 1 {
			continue
		}
		v := Variable{Name: p.block.Labels[0]}
		if attr := p.block.Body.Attributes["description"]; attr != nil {
			v.Description = literal(attr.Expr)
		}
		list = append(list, v)
	}
	return list
}

// section returns the index of the section with an id, -1 without one.
func (f *File) section(id string) int {
	if i, ok := f.index[id]; ok {
		return i
	}
	return -1
}
