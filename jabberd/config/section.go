package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// settings are the core's own arguments of a section or of a block in one.
type settings struct {
	Observe  bool
	Fallback bool
	Optional *bool // nil is left out
	Timeout  time.Duration
	Queue    int
	Process  string
	OnCrash  string
}

func sectionArgs(kinds []packet.Kind) []module.Arg {
	args := []module.Arg{
		{Name: "observe", Type: module.TypeBool, Default: "false", Doc: "The section gets copies, never counts and never holds anything up."},
		{Name: "queue", Type: module.TypeInt, Default: "10000", Doc: "How many packets may wait for its processes."},
	}
	if slices.Contains(kinds, packet.XDB) {
		args = append(args, module.Arg{Name: "fallback", Type: module.TypeBool, Default: "false",
			Doc: "Where it has nothing, the next section that takes the question is asked; after an error it is not."})
	}
	return append(args, linkArgs()...)
}

func linkArgs() []module.Arg {
	return []module.Arg{
		{Name: "process", Type: module.TypeString, Doc: "The process of its own, by name, that it runs in; on a section, the one for all its blocks."},
		{Name: "timeout", Type: module.TypeDuration, Default: "30s", Doc: "How long it may take to come up, and to handle one packet."},
		{Name: "optional", Type: module.TypeBool, Default: "false", Doc: "The server starts without it if it does not come up."},
		{Name: "on_crash", Type: module.TypeString, Default: "wait", Enum: []string{"wait", "bounce", "pass"},
			Doc: "What becomes of packets while its process is gone: they wait for the restart, at most for the timeout; they bounce at once; or they go on to the next block."},
	}
}

// sectionKinds returns the kinds that a block type stands for, nil if it is no
// section.
func sectionKinds(name string) []packet.Kind {
	if name == "service" {
		return []packet.Kind{packet.Normal, packet.Session}
	}
	if k, ok := packet.ParseKind(name); ok {
		return []packet.Kind{k}
	}
	return nil
}

// A binding decodes the sections of a file.
type binding struct {
	file    *File
	modules Catalog
	ids     map[string]hcl.Range
}

// section decodes one section and appends it to the file's.
func (b *binding) section(p placed, kinds []packet.Kind) hcl.Diagnostics {
	d := &decoding{ctx: p.ctx}
	id, named := b.id(d, p.block)
	s := module.Section{ID: id, Kinds: kinds, Place: place(p.block.DefRange())}
	set := b.settings(d, p.block, kinds)
	s.Fallback = set.Fallback
	s.Observe, s.Timeout, s.Queue = set.Observe, set.Timeout, set.Queue
	t := trace{placed: p}
	for _, inner := range p.block.Body.Blocks {
		if inner.Type == "uplink" {
			b.uplink(d, inner, &s)
			continue
		}
		link, uses, ok := b.link(d, p, inner, kinds, set)
		if ok {
			s.Chain = append(s.Chain, link)
			t.links = append(t.links, linkTrace{inner, uses})
		}
	}
	if named {
		b.file.index[id] = len(b.file.Sections)
		b.file.Sections = append(b.file.Sections, s)
		b.file.traces = append(b.file.traces, t)
	}
	b.file.secrets = append(b.file.secrets, d.secrets...)
	return d.diags
}

// id returns the label of a section, and whether it names no other.
func (b *binding) id(d *decoding, s *block) (string, bool) {
	switch {
	case len(s.Labels) == 0:
		d.complain(s.DefRange(), "Missing label", "A section has an id: %s \"ID\" { ... }.", s.Type)
		return "", false
	case len(s.Labels) > 1:
		d.complain(s.LabelRanges[1], "Too many labels", "A section has one label, its id.")
	}
	id, at := s.Labels[0], s.LabelRanges[0]
	wrong := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '/' || r == '@' }
	if id == "" || len(id) > 255 || strings.ContainsFunc(id, wrong) {
		d.complain(at, "Wrong id", "An id has no spaces and neither \"/\" nor \"@\" in it, and at most 255 bytes.")
		return id, false
	}
	if first, twice := b.ids[id]; twice {
		d.complain(at, "Duplicate section", "There is a section %q already, at %s. Each has an id of its own, whatever its kind.", id, place(first))
		return id, false
	}
	b.ids[id] = at
	return id, true
}

// settings decodes the attributes of a section.
func (b *binding) settings(d *decoding, s *block, kinds []packet.Kind) (set settings) {
	own := &block{Type: s.Type, TypeRange: s.TypeRange, LabelRanges: s.LabelRanges, Body: &hclsyntax.Body{
		SrcRange: s.Body.SrcRange, EndRange: s.Body.EndRange, Attributes: hclsyntax.Attributes{}}}
	for name, attr := range s.Body.Attributes {
		if all := named(b.modules.Modules, name); len(all) > 0 && findArg(sectionArgs(kinds), name) == nil {
			if all[0].Label != "" || len(all[0].Services) > 0 {
				name += ` "NAME"`
			}
			d.complain(attr.NameRange, "Not an argument", "%q is a block: write %s { ... } without \"=\".", all[0].Name, name)
			continue
		}
		own.Body.Attributes[name] = attr
	}
	values := d.arguments(s.Type, own, withoutDefaults(sectionArgs(kinds)))
	d.limits(own.Body, values)
	return settled(values)
}

// limits reports values that the type of a setting allows and the core does
// not. The values are those of body.
func (d *decoding) limits(body *hclsyntax.Body, values map[string]any) {
	for name, attr := range body.Attributes {
		switch v := values[name]; name {
		case "timeout":
			if s, ok := v.(string); ok && timeout(s) == 0 {
				d.complain(attr.Expr.Range(), "Wrong value", "A timeout is more than nothing.")
			}
		case "queue":
			if n, ok := v.(int64); ok && (n < 1 || n > math.MaxInt32) {
				d.complain(attr.Expr.Range(), "Wrong value", "A queue is 1 packet or more, and less than 2^31.")
			}
		case "process":
			if s, ok := v.(string); ok && !isProcessName(s) {
				d.complain(attr.Expr.Range(), "Wrong name", "The name of a process is letters, digits, \".\", \"_\" and \"-\", at most 64 of them.")
			}
		}
	}
}

// timeout returns a duration that was checked when it was decoded.
func timeout(s string) time.Duration {
	d, _ := module.ParseDuration(s)
	return d.Std()
}

// settled returns the settings among values, which are of the right types.
func settled(values map[string]any) (set settings) {
	set.Observe, _ = values["observe"].(bool)
	set.Fallback, _ = values["fallback"].(bool)
	set.Process, _ = values["process"].(string)
	set.OnCrash, _ = values["on_crash"].(string)
	queue, _ := values["queue"].(int64)
	limit, _ := values["timeout"].(string)
	set.Queue, set.Timeout = int(queue), timeout(limit)
	if optional, given := values["optional"].(bool); given {
		set.Optional = &optional
	}
	return set
}

// withoutDefaults leaves it to the engine to fill in what was left out.
func withoutDefaults(args []module.Arg) []module.Arg {
	for i := range args {
		args[i].Default = ""
	}
	return args
}

func (b *binding) uplink(d *decoding, u *block, s *module.Section) {
	if s.Uplink {
		d.complain(u.TypeRange, "Duplicate block", "The section is the uplink already.")
	}
	if len(u.Labels) > 0 || len(u.Body.Attributes)+len(u.Body.Blocks) > 0 {
		d.complain(u.DefRange(), "Malformed uplink", "It is written as uplink {}.")
	}
	s.Uplink = true
}

// link decodes one block of a chain.
func (b *binding) link(d *decoding, p placed, inner *block, kinds []packet.Kind, section settings) (link module.Link, uses module.Module, ok bool) {
	before := len(d.diags)
	d.unknown = false
	m, known := b.module(d, inner, kinds)
	if !known {
		return link, m, false
	}
	label := b.labelOf(d, inner)
	link = module.Link{Module: m.Name, Label: label, Place: place(inner.DefRange())}
	uses, means, body := m, m.Label, *inner
	if len(m.Services) > 0 {
		uses, known = b.service(d, p, inner, m, label, kinds)
		if !known {
			return link, uses, false
		}
		if means == "" {
			means = "name of the service"
		}
		if isFile(label) {
			link.Label = p.absolute(label)
		}
	}
	body.Body = d.label(inner, means)
	of := strings.TrimSuffix(fmt.Sprintf("%s %q", m.Name, label), ` ""`)
	values := d.arguments(of, &body, labelled(means, slices.Concat(uses.Args, withoutDefaults(linkArgs()))))
	if len(m.Services) > 0 {
		delete(values, "label") // it has picked the service, which does not ask for it
	}
	d.limits(inner.Body, values)
	shared := section
	if m.Passive {
		shared.Process = "" // it handles nothing there; a service that handles nothing yet works there
	}
	settled(values).apply(shared, &link)
	for _, a := range linkArgs() {
		delete(values, a.Name)
	}
	if len(d.diags) > before || d.unknown {
		return link, uses, false
	}
	raw, err := json.Marshal(values)
	if err != nil {
		d.complain(inner.DefRange(), "Block refused", "%s", dotted(err.Error()))
	}
	link.Args = raw
	return link, uses, err == nil
}

// apply puts a block's settings, else those of its section, into the link. The
// section's timeout is not among them: that is one for the whole chain.
func (s settings) apply(section settings, link *module.Link) {
	link.Process, link.Timeout = cmp.Or(s.Process, section.Process), s.Timeout
	if optional := cmp.Or(s.Optional, section.Optional); optional != nil {
		link.Optional = *optional
	}
	if crash := cmp.Or(s.OnCrash, section.OnCrash); crash != "wait" {
		link.OnCrash = module.OnCrash(crash)
	}
}

// labelOf returns the label of a block, which may be written as an argument
// because a label proper cannot have variables in it.
func (b *binding) labelOf(d *decoding, inner *block) string {
	if len(inner.Labels) > 0 {
		return inner.Labels[0]
	}
	attr := inner.Body.Attributes["label"]
	if attr == nil {
		return ""
	}
	// What is wrong with it is reported when it is decoded.
	v, diags := attr.Expr.Value(d.ctx)
	if s, err := convert.Convert(v, cty.String); !diags.HasErrors() && err == nil && s.IsKnown() && !s.IsNull() {
		return s.AsString()
	}
	return ""
}

// kindNames lists kinds for a sentence: "xdb", "normal and session".
func kindNames(kinds []packet.Kind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.String())
	}
	return listed(names)
}

// title names a section as it is written: xdb "store".
func title(s *module.Section) string { return fmt.Sprintf("%s %q", typeOf(s.Kinds), s.ID) }

// typeOf is the block type of a section with kinds.
func typeOf(kinds []packet.Kind) string {
	if len(kinds) > 1 {
		return "service"
	}
	return kinds[0].String()
}

func emptyBody() *hclsyntax.Body { return &hclsyntax.Body{Attributes: hclsyntax.Attributes{}} }
