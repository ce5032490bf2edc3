package config

import (
	"encoding/json"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/jabberii/server/jabberd/module"
)

// mask stands for a secret wherever the configuration is shown.
const mask = "***"

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

// literals returns the ranges of what is written out in an expression, but for
// the names of environment variables and files.
func literals(e hclsyntax.Expression) (list []hcl.Range) {
	switch e := e.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		return nil
	case *hclsyntax.FunctionCallExpr:
		args := e.Args
		if (e.Name == "env" || e.Name == "file") && len(args) > 0 {
			args = args[1:]
		}
		return eachLiteral(args)
	case *hclsyntax.TemplateExpr:
		return eachLiteral(e.Parts)
	case *hclsyntax.TemplateWrapExpr:
		return literals(e.Wrapped)
	case *hclsyntax.ParenthesesExpr:
		return literals(e.Expression)
	case *hclsyntax.TupleConsExpr:
		return eachLiteral(e.Exprs)
	case *hclsyntax.ObjectConsExpr:
		for _, item := range e.Items {
			list = append(list, literals(item.ValueExpr)...)
		}
		return list
	}
	return []hcl.Range{e.Range()}
}

func eachLiteral(all []hclsyntax.Expression) (list []hcl.Range) {
	for _, e := range all {
		list = append(list, literals(e)...)
	}
	return list
}

// shown returns the text of a file with asterisks for the secrets that are
// written in it.
func (f *File) shown(s *source) []byte {
	text := slices.Clone(s.text)
	for _, r := range f.secrets {
		if r.Filename != s.name || r.End.Byte > len(text) {
			continue
		}
		for i := r.Start.Byte; i < r.End.Byte; i++ {
			if c := text[i]; c != '\n' && c != '\r' {
				text[i] = '*'
			}
		}
	}
	return text
}
