package config

import (
	"encoding/json"
	"maps"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/jabberii/server/jabberd/module"
)

// Settings returns the configuration as it holds, in its canonical form: a
// block at the top of the file each, with values worked out and secrets masked.
// made says which hosts the sections are on. The file has no errors.
func (f *File) Settings(made []Made) []module.Setting {
	hosts := map[string][]string{}
	for _, m := range made {
		hosts[m.Section] = append(hosts[m.Section], m.Hosts...)
	}
	list := []module.Setting{coreSetting("engine", "", f.enginePlace(), f.Engine)}
	for _, p := range f.Plugins {
		list = append(list, coreSetting("plugin", p.Name, p.Place, p))
	}
	for _, p := range f.Processes {
		list = append(list, coreSetting("process", p.Name, p.Place, p))
	}
	for i := range f.Sections {
		list = append(list, f.sectionSetting(i, hosts[f.Sections[i].ID]))
	}
	for i := range list {
		list[i].Order = i
	}
	return list
}

func (f *File) enginePlace() string {
	for _, p := range f.blocks {
		if p.block.Type == "engine" {
			return place(p.block.DefRange())
		}
	}
	return ""
}

// coreSetting returns the setting of a block of the core's own, which has
// decoded it into v.
func coreSetting[C any](kind, label, place string, v C) module.Setting {
	args := blockOf[C](kind, "").Args
	s := module.Setting{Key: strings.TrimSuffix(kind+"/"+label, "/"), Type: kind, Label: label, Place: place}
	raw, _ := json.Marshal(v) // it was JSON before
	s.Args = maskArgs(args, without(raw, "label"))
	out := hclwrite.NewEmptyFile()
	writeSetting(out.Body(), s, args)
	s.HCL = written(out)
	return s
}

// without returns a JSON object without a name, and without what is empty.
func without(raw json.RawMessage, name string) json.RawMessage {
	var object map[string]any
	if json.Unmarshal(raw, &object) != nil {
		return nil
	}
	delete(object, name)
	maps.DeleteFunc(object, func(_ string, v any) bool { return v == nil || v == "" })
	out, _ := json.Marshal(object) // it was JSON before
	return out
}

// sectionSetting returns the setting of a section with its chain.
func (f *File) sectionSetting(i int, hosts []string) module.Setting {
	s, t := &f.Sections[i], &f.traces[i]
	set := module.Setting{
		Key: "section/" + s.ID, Type: typeOf(s.Kinds), Label: s.ID, Place: s.Place, Kinds: s.Kinds, Hosts: hosts,
		Args: object(map[string]any{"observe": s.Observe, "fallback": s.Fallback, "timeout": module.Duration(s.Timeout).String(), "queue": s.Queue}),
	}
	out := hclwrite.NewEmptyFile()
	body := writeSetting(out.Body(), set, sectionArgs(s.Kinds))
	for n, link := range s.Chain {
		uses := t.links[n].uses
		inner := module.Setting{Type: link.Module, Label: labelOf(t.links[n], link), Place: link.Place}
		own := map[string]any{
			"process": link.Process, "timeout": module.Duration(link.Timeout).String(), "optional": link.Optional, "on_crash": string(link.OnCrash),
		}
		inner.Args = object(own, maskArgs(uses.Args, link.Args))
		writeSetting(body, inner, append(linkArgs(), uses.Args...))
		set.Chain = append(set.Chain, inner)
	}
	if s.Uplink {
		body.AppendNewBlock("uplink", nil)
		set.Chain = append(set.Chain, module.Setting{Type: "uplink", Place: place(nthBlock(t.block.Body, "uplink", 0).DefRange())})
	}
	set.HCL = written(out)
	return set
}

// object returns a JSON object of what is set in own, and what is in args but
// for the label.
func object(own map[string]any, args ...json.RawMessage) json.RawMessage {
	for name, v := range own {
		if v == false || v == "" || v == 0 || v == "0s" {
			delete(own, name)
		}
	}
	for _, raw := range args {
		_ = json.Unmarshal(raw, &own) // it was made when it was decoded
		delete(own, "label")
	}
	if len(own) == 0 {
		return nil
	}
	out, _ := json.Marshal(own)
	return out
}

// writeSetting writes a block, and returns its body for what is in it.
func writeSetting(to *hclwrite.Body, s module.Setting, args []module.Arg) *hclwrite.Body {
	if s.Place != "" {
		to.AppendUnstructuredTokens(hclwrite.Tokens{{Type: hclsyntax.TokenComment, Bytes: []byte("# " + plain(s.Place) + "\n")}})
	}
	body := appendBlock(to, s.Type, s.Label)
	writeArgs(body, args, s.Args)
	return body
}

// appendBlock appends a block. A label that would be read as a template is
// written as an argument.
func appendBlock(to *hclwrite.Body, kind, label string) *hclwrite.Body {
	switch {
	case label == "":
		return to.AppendNewBlock(kind, nil).Body()
	case strings.Contains(label, "${") || strings.Contains(label, "%{"):
		body := to.AppendNewBlock(kind, nil).Body()
		body.SetAttributeValue("label", cty.StringVal(label))
		return body
	}
	return to.AppendNewBlock(kind, []string{label}).Body()
}

// writeArgs writes arguments that are a JSON object.
func writeArgs(body *hclwrite.Body, args []module.Arg, raw json.RawMessage) {
	eachGiven(args, raw, func(a *module.Arg, v json.RawMessage) {
		var value ctyjson.SimpleJSONValue
		if value.UnmarshalJSON(v) == nil {
			body.SetAttributeValue(a.Name, value.Value)
		}
	}, func(a *module.Arg, label string, inner json.RawMessage) {
		writeArgs(appendBlock(body, a.Name, label), a.Args, inner)
	})
}

// eachGiven calls value for the arguments that are given in a JSON object, and
// inside for each block, in the order in which the module has them.
func eachGiven(args []module.Arg, raw json.RawMessage, value func(*module.Arg, json.RawMessage), inside func(a *module.Arg, label string, inner json.RawMessage)) {
	var given map[string]json.RawMessage
	if json.Unmarshal(raw, &given) != nil {
		return
	}
	for i := range args {
		a := &args[i]
		v, ok := given[a.Name]
		var list []json.RawMessage
		switch {
		case !ok:
		case a.Type == module.TypeBlock:
			list = []json.RawMessage{v}
		case a.Type == module.TypeBlocks:
			_ = json.Unmarshal(v, &list) // it was made a list when it was decoded
		default:
			value(a, v)
		}
		for _, inner := range list {
			var named struct{ Label string }
			if a.Label != "" {
				_ = json.Unmarshal(inner, &named)
			}
			inside(a, named.Label, inner)
		}
	}
}

// emptyBraces are those of a block with nothing in it, as hclwrite has them. No
// text in quotes has a newline.
var emptyBraces = regexp.MustCompile(`\{\n *\}`)

func written(f *hclwrite.File) string {
	return string(emptyBraces.ReplaceAll(hclwrite.Format(f.Bytes()), []byte("{}")))
}
