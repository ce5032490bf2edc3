package config

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/confine"
)

// An Engine is the block engine: how the server itself runs.
type Engine struct {
	Isolation   string          `json:"isolation" default:"process" enum:"process,none" doc:"Where modules run: in processes beside the core, or all in one process."`
	DataDir     string          `json:"data_dir" default:"data" doc:"The folder of what the server keeps. A relative name starts where the server was started."`
	Socket      string          `json:"socket" doc:"The socket for commands to the running server; jabberd.sock in data_dir when left out."`
	BinDir      string          `json:"bin_dir" doc:"The folder of the server's programs; that of jabberd when left out."`
	LogLevel    string          `json:"log_level" default:"info" enum:"debug,info,warn,error" doc:"The least of the server's own entries that are logged."`
	StopTimeout module.Duration `json:"stop_timeout" default:"30s" doc:"How long a stop waits for what is under way."`
}

// A Plugin is a block plugin: a third party's program.
type Plugin struct {
	Name     string            `json:"label" label:"name of the plugin"`
	Path     string            `json:"path" doc:"The program. A relative path with a slash starts at the file that names it; a bare name is looked for in bin_dir."`
	Checksum string            `json:"checksum" doc:"sha256:HEX of the program, which is not started if it has another."`
	Args     []string          `json:"args" doc:"Its arguments."`
	Env      map[string]string `json:"env" secret:"true" doc:"Its whole environment."`
	Attach   string            `json:"attach" doc:"The socket of a plugin that runs already, such as under a debugger; then there is no path."`
	Confine  *confine.Rules    `json:"confine" doc:"Lets its processes do only what is in here, and what is installed be read. A relative path starts at the file."`
	Place    string            `json:"-"` // file:line of the block
}

// A Process is a block process: settings of a process by its name, which is
// what the argument process of a block refers to.
type Process struct {
	Name        string            `json:"label" label:"name of the process"`
	OrphanGrace module.Duration   `json:"orphan_grace" default:"0s" doc:"How long it lives on without the core, so that a new one finds it."`
	GoMaxProcs  int               `json:"gomaxprocs" doc:"How many processors it uses at once; 0 is all."`
	MemoryLimit module.Size       `json:"memory_limit" default:"0" doc:"The memory that it tries to stay below (GOMEMLIMIT); 0 is none."`
	Env         map[string]string `json:"env" secret:"true" doc:"Its environment beside what the server sets."`
	Place       string            `json:"-"` // file:line of the block
}

// Environ returns what the settings of a process put into its environment, as
// "NAME=value", sorted.
func (p Process) Environ() []string {
	env := map[string]string{}
	if p.GoMaxProcs > 0 {
		env["GOMAXPROCS"] = strconv.Itoa(p.GoMaxProcs)
	}
	if p.MemoryLimit > 0 {
		env["GOMEMLIMIT"] = strconv.FormatInt(int64(p.MemoryLimit), 10)
	}
	maps.Copy(env, p.Env)
	return environ(env)
}

// Environ returns the whole environment of a plugin, as "NAME=value", sorted.
func (p Plugin) Environ() []string { return environ(p.Env) }

func environ(env map[string]string) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, name+"="+env[name])
	}
	return list
}

// Blocks describes the blocks of the core itself in the terms of modules, for
// documentation: engine, plugin and process, then what every section and every
// block in one may have.
func Blocks() []module.Module {
	return []module.Module{
		blockOf[Engine]("engine", "How the server itself runs."),
		blockOf[Plugin]("plugin", "A third party's program, whose modules are block types like any other."),
		blockOf[Process]("process", "Settings of a process. A block runs in it by process = \"NAME\"."),
		{Name: "section", Doc: "What every section may have: session, normal, xdb, log and service; fallback is for xdb only.", Label: "id of the section", Args: sectionArgs([]packet.Kind{packet.XDB})},
		{Name: "block", Doc: "What every block in a section may have beside its own arguments.", Args: linkArgs()},
	}
}

func blockOf[C any](name, doc string) module.Module {
	return module.Define(name, doc, nil, func(module.Env, C) (packet.Handler, error) { return nil, errors.ErrUnsupported })
}

// decodeCore decodes the blocks that are the core's own and reports those that
// nobody knows.
func (f *File) decodeCore() hcl.Diagnostics {
	var diags hcl.Diagnostics
	f.Engine, _ = decodeAs[Engine](&decoding{}, &block{Body: emptyBody(), Type: "engine"})
	engine := ""
	for _, s := range f.sources {
		diags = append(diags, strayAttributes(s)...)
	}
	for _, p := range f.blocks {
		d := &decoding{ctx: p.ctx}
		switch p.block.Type {
		case "engine":
			e, ok := decodeAs[Engine](d, p.block)
			if engine != "" {
				d.complain(p.block.TypeRange, "Duplicate block", "There is an engine block already, at %s.", engine)
			} else if engine = place(p.block.DefRange()); ok {
				f.Engine = e
			}
		case "plugin":
			f.plugin(d, p)
		case "process":
			f.process(d, p)
		case "variable":
		default:
			d.topLevel(p.block)
		}
		diags = append(diags, d.diags...)
		f.secrets = append(f.secrets, d.secrets...)
	}
	return diags
}

// topLevel reports a block at the top of the file that does not belong there.
func (d *decoding) topLevel(b *block) {
	if sectionKinds(b.Type) != nil {
		return // by Bind
	}
	names := []string{"engine", "include", "log", "normal", "plugin", "process", "service", "session", "variable", "xdb"}
	text := ` Modules stand in a section: normal "ID" { ` + b.Type + ` { ... } }, or session, service, xdb, log.`
	if near := nearest(b.Type, names); near != "" {
		text = suggest(b.Type, names)
	}
	d.complain(b.TypeRange, "Unknown block", "%q is no block for the top of a configuration.%s", b.Type, text)
}

func strayAttributes(s *source) (diags hcl.Diagnostics) {
	for name, attr := range s.body.Attributes {
		text := "At the top of a configuration stand blocks only."
		if findArg(blockOf[Engine]("engine", "").Args, name) != nil {
			text = "It belongs into the block engine { }."
		} else if name == "include" {
			text = `It is written as include "FILES" {}.`
		}
		diags = append(diags, complaint(attr.NameRange, "Argument without a block", "%q stands in no block. %s", name, text))
	}
	return diags
}

func (f *File) plugin(d *decoding, p placed) {
	v, ok := decodeAs[Plugin](d, p.block)
	if !ok || !f.declare(d, p, v.Name) {
		return
	}
	v.Place = place(p.block.DefRange())
	switch {
	case v.Path == "" && v.Attach == "":
		d.complain(p.block.DefRange(), "Missing argument", `plugin needs path = "PROGRAM", or attach = "SOCKET" for one that runs already.`)
	case v.Path != "" && v.Attach != "":
		d.complain(locate(p.block, []string{"attach"}), "Contradiction", "A plugin has a path to be started by, or a socket to attach to, not both.")
	}
	if v.Checksum != "" {
		sum, found := strings.CutPrefix(v.Checksum, "sha256:")
		if raw, err := hex.DecodeString(sum); !found || err != nil || len(raw) != 32 {
			d.complain(locate(p.block, []string{"checksum"}), "Wrong value", "A checksum is sha256: and 64 hexadecimal digits, as sha256sum prints them.")
		}
	}
	if strings.Contains(v.Path, "/") {
		v.Path = p.absolute(v.Path)
	}
	d.confined(p, &v)
	f.Plugins = append(f.Plugins, v)
}

// confined checks the block confine of a plugin, and has its paths begin at the
// file.
func (d *decoding) confined(p placed, v *Plugin) {
	if v.Confine == nil {
		return
	}
	if v.Attach != "" {
		d.complain(locate(p.block, []string{"confine"}), "Contradiction", "A plugin that runs already cannot be confined any more.")
	}
	var bad *module.ArgError
	if errors.As(v.Confine.Check(), &bad) {
		d.complain(locate(p.block, append([]string{"confine"}, bad.Path...)), "Wrong value", "confine.%s: %s", strings.Join(bad.Path, "."), dotted(bad.Text))
	}
	for _, list := range [][]string{v.Confine.Read, v.Confine.Write} {
		for i, path := range list {
			list[i] = p.absolute(path)
		}
	}
}

func (f *File) process(d *decoding, p placed) {
	v, ok := decodeAs[Process](d, p.block)
	if !ok || !f.declare(d, p, v.Name) {
		return
	}
	v.Place = place(p.block.DefRange())
	if v.GoMaxProcs < 0 {
		d.complain(locate(p.block, []string{"gomaxprocs"}), "Wrong value", "A number of processors is 0 or more.")
	}
	f.Processes = append(f.Processes, v)
}

// declare notes the name of a plugin or a process.
func (f *File) declare(d *decoding, p placed, name string) bool {
	at := locate(p.block, []string{"label"})
	if !isProcessName(name) {
		d.complain(at, "Wrong name", "A name is letters, digits, \".\", \"_\" and \"-\", at most 64 of them.")
		return false
	}
	key := p.block.Type + " " + name
	if first, twice := f.declared[key]; twice {
		d.complain(at, "Duplicate name", "There is a %s %q already, at %s.", p.block.Type, name, place(first))
		return false
	}
	f.declared[key] = at
	return true
}

// absolute returns a path that is written in the file, where a relative one
// starts at the file.
func (s *source) absolute(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.dir, path)
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// isProcessName reports whether s can name a process, and so a file.
func isProcessName(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.') {
			return false
		}
	}
	return s != "" && s[0] != '.' && len(s) <= 64
}

// decodeAs decodes a block of the core's own. It is not ok if that was
// reported to be wrong.
func decodeAs[C any](d *decoding, b *block) (c C, ok bool) {
	m := blockOf[C](b.Type, "")
	ok = decodeInto(d, b, m.Label, m.Args, &c)
	return c, ok
}

// decodeInto decodes a block into the struct that args describe.
func decodeInto(d *decoding, b *block, label string, args []module.Arg, into any) bool {
	before := len(d.diags)
	inner := *b
	inner.Body = d.label(b, label)
	values := d.arguments(b.Type, &inner, labelled(label, args))
	if len(d.diags) > before || d.unknown {
		return false
	}
	raw, err := json.Marshal(values)
	if err == nil {
		err = module.Decode(args, raw, into)
	}
	if err != nil {
		d.diags = append(d.diags, refusal(b, b.Type, err))
	}
	return err == nil
}
