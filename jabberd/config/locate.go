package config

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/jabberii/server/jabberd/module"
)

// Locate returns the place of an argument of a link: path is that of a
// [module.ArgError]. What is not in the file is at the block it belongs to, and
// a link that is not there at its section.
func (f *File) Locate(section string, link int, path []string) hcl.Range {
	i := f.section(section)
	switch {
	case i < 0:
		return start(f.Path)
	case link < 0 || link >= len(f.traces[i].links):
		return f.traces[i].block.DefRange()
	}
	return locate(f.traces[i].links[link].block, path)
}

// Refused returns the complaint that a link did not want its arguments, or
// could not be started with them. If it does not name an argument, and a file that one
// names is wrong, that is the reason.
func (f *File) Refused(section string, link int, err error) *hcl.Diagnostic {
	i := f.section(section)
	if i < 0 || link < 0 || link >= len(f.traces[i].links) {
		return complaint(f.Locate(section, link, nil), "Section refused", "%s", dotted(err.Error()))
	}
	t := f.traces[i].links[link]
	if bad := (*module.ArgError)(nil); !errors.As(err, &bad) {
		if wrong := f.wrongFiles(t, &f.Sections[i].Chain[link]); len(wrong) > 0 {
			return wrong[0]
		}
	}
	return refusal(t.block, t.uses.Name, err)
}

// PluginFailed returns the complaint that a plugin could not be started or
// described.
func (f *File) PluginFailed(name string, err error) *hcl.Diagnostic {
	at, ok := f.declared["plugin "+name]
	if !ok {
		at = start(f.Path)
	}
	return complaint(at, "Plugin failed", "%s: %s", name, dotted(err.Error()))
}

// refusal returns the complaint that what block b makes was refused.
func refusal(b *block, of string, err error) *hcl.Diagnostic {
	var bad *module.ArgError
	if errors.As(err, &bad) {
		return complaint(locate(b, bad.Path), "Wrong value", "%s: %s", strings.Join(bad.Path, "."), dotted(bad.Text))
	}
	return complaint(b.DefRange(), "Block refused", "%s: %s", of, dotted(err.Error()))
}

// locate returns the range of what path names in b, or of what comes closest.
func locate(b *block, path []string) hcl.Range {
	if len(path) == 0 {
		return b.DefRange()
	}
	name, rest := path[0], path[1:]
	if attr := b.Body.Attributes[name]; attr != nil {
		return element(attr.Expr, rest).Range()
	}
	if name == "label" && len(b.LabelRanges) > 0 {
		return b.LabelRanges[0]
	}
	n := 0
	if len(rest) > 0 {
		if i, err := strconv.Atoi(rest[0]); err == nil && i >= 0 {
			n, rest = i, rest[1:]
		}
	}
	if inner := nthBlock(b.Body, name, n); inner != nil {
		return locate(inner, rest)
	}
	return b.DefRange()
}

// element returns the part of a list or map that path names, else all of it.
func element(e hclsyntax.Expression, path []string) hclsyntax.Expression {
	if len(path) == 0 {
		return e
	}
	switch e := e.(type) {
	case *hclsyntax.TupleConsExpr:
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(e.Exprs) {
			return e.Exprs[i]
		}
	case *hclsyntax.ObjectConsExpr:
		i := slices.IndexFunc(e.Items, func(item hclsyntax.ObjectConsItem) bool {
			return hcl.ExprAsKeyword(item.KeyExpr) == path[0] || literal(item.KeyExpr) == path[0]
		})
		if i >= 0 {
			return e.Items[i].ValueExpr
		}
	}
	return e
}

// literal returns the text of an expression that is one in quotes.
func literal(e hclsyntax.Expression) string {
	v, diags := e.Value(nil)
	if diags.HasErrors() || !v.IsKnown() || v.IsNull() || v.Type().FriendlyName() != "string" {
		return ""
	}
	return v.AsString()
}
