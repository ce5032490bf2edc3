package config

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/jabberii/server/jabberd/module"
)

const mask = "***"

// Masked returns the configuration with every secret as "***", to be shown to
// people. It has no places to look up.
func (f *File) Masked() *File {
	out := &File{Path: f.Path, Engine: f.Engine, Plugins: slices.Clone(f.Plugins), Processes: slices.Clone(f.Processes)}
	for i := range out.Plugins {
		out.Plugins[i].Env = maskMap(out.Plugins[i].Env)
	}
	for i := range out.Processes {
		out.Processes[i].Env = maskMap(out.Processes[i].Env)
	}
	for i, s := range f.Sections {
		s.Chain = slices.Clone(s.Chain)
		for n := range s.Chain {
			s.Chain[n].Args = maskArgs(f.traces[i].links[n].uses.Args, s.Chain[n].Args)
		}
		out.Sections = append(out.Sections, s)
	}
	return out
}

func maskMap(m map[string]string) map[string]string {
	m = maps.Clone(m)
	for k := range m {
		m[k] = mask
	}
	return m
}

// maskArgs masks the secrets in a JSON object of arguments.
func maskArgs(args []module.Arg, raw json.RawMessage) json.RawMessage {
	var object map[string]any
	if json.Unmarshal(raw, &object) != nil {
		return nil
	}
	maskObject(args, object)
	masked, _ := json.Marshal(object) // it was JSON before
	return masked
}

func maskObject(args []module.Arg, object map[string]any) {
	for _, a := range args {
		v, given := object[a.Name]
		switch {
		case !given:
		case a.Secret:
			object[a.Name] = maskValue(v)
		case a.Type == module.TypeBlock:
			if inner, ok := v.(map[string]any); ok {
				maskObject(a.Args, inner)
			}
		case a.Type == module.TypeBlocks:
			list, _ := v.([]any)
			for _, e := range list {
				if inner, ok := e.(map[string]any); ok {
					maskObject(a.Args, inner)
				}
			}
		}
	}
}

// maskValue masks a value, and all in it but the names.
func maskValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = maskValue(v[k])
		}
		return v
	case []any:
		for i := range v {
			v[i] = maskValue(v[i])
		}
		return v
	}
	return mask
}
