package config

import (
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions returns those that a file in dir may call.
func functions(dir string) map[string]function.Function {
	return map[string]function.Function{
		"env":       env(),
		"file":      file(dir),
		"concat":    stdlib.ConcatFunc,
		"join":      stdlib.JoinFunc,
		"lower":     stdlib.LowerFunc,
		"replace":   stdlib.ReplaceFunc,
		"split":     stdlib.SplitFunc,
		"trimspace": stdlib.TrimSpaceFunc,
		"upper":     stdlib.UpperFunc,
	}
}

// env returns an environment variable of the server, or its second argument.
func env() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			if len(args) > 2 {
				return cty.NilVal, function.NewArgErrorf(2, `write env("NAME") or env("NAME", "default")`)
			}
			if v, ok := os.LookupEnv(name); ok {
				return cty.StringVal(v), nil
			}
			if len(args) == 2 {
				return args[1], nil
			}
			return cty.NilVal, function.NewArgErrorf(0, "%s is not set in the environment; set it, or give a default: env(%q, \"...\")", name, name)
		},
	})
}

// file returns the text of a file without the newline at its end. A relative
// name starts at dir.
func file(dir string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			if !filepath.IsAbs(name) {
				name = filepath.Join(dir, name)
			}
			text, err := readLimited(name)
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			if !utf8.Valid(text) {
				return cty.NilVal, function.NewArgErrorf(0, "%s is no text in UTF-8", name)
			}
			s := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
			return cty.StringVal(s), nil
		},
	})
}
