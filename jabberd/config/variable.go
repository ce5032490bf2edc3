package config

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// resolve gives every file the values of the variables, and reports names that
// stand for nothing. Whatever is wrong has an unknown value from here on, so
// that one mistake is reported once.
func (f *File) resolve(vars map[string]string) hcl.Diagnostics {
	values, diags := f.variables(vars)
	names := slices.Sorted(maps.Keys(values))
	for _, s := range f.sources {
		if s.body == nil {
			continue
		}
		s.ctx = &hcl.EvalContext{Functions: functions(s.dir)}
		refs := references{source: s, names: names, values: maps.Clone(values), others: map[string]cty.Value{}}
		for _, attr := range s.body.Attributes {
			refs.expression(attr.Expr)
		}
		for _, b := range s.body.Blocks {
			if b.Type != "variable" {
				refs.body(b.Body)
			}
		}
		refs.others["var"] = cty.ObjectVal(refs.values)
		s.ctx.Variables = refs.others
		diags = append(diags, refs.diags...)
	}
	return diags
}

// variables returns the values of all variables.
func (f *File) variables(vars map[string]string) (map[string]cty.Value, hcl.Diagnostics) {
	var diags hcl.Diagnostics
	values, at := map[string]cty.Value{}, map[string]hcl.Range{}
	for _, p := range f.blocks {
		if p.block.Type != "variable" {
			continue
		}
		diags = append(diags, checkVariable(p.block)...)
		if len(p.block.Labels) != 1 {
			continue
		}
		name := p.block.Labels[0]
		if first, twice := at[name]; twice {
			diags = append(diags, complaint(p.block.LabelRanges[0], "Duplicate variable", "There is a variable %q already, at %s.", name, place(first)))
			continue
		}
		at[name] = p.block.LabelRanges[0]
		given, isGiven := vars[name]
		v, more := valueOf(p, given, isGiven)
		values[name], diags = v, append(diags, more...)
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if _, ok := values[name]; !ok {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unknown variable",
				Detail: "--var " + name + ": " + f.Path + " has no variable of that name." + suggest(name, slices.Sorted(maps.Keys(values)))})
		}
	}
	return values, diags
}

// checkVariable reports what does not belong into a variable block.
func checkVariable(b *block) (diags hcl.Diagnostics) {
	if len(b.Labels) != 1 || !hclsyntax.ValidIdentifier(b.Labels[0]) {
		diags = append(diags, complaint(b.DefRange(), "Malformed variable", `It is written as variable "NAME" {}, where NAME is letters, digits, _ and -.`))
	}
	for name, attr := range b.Body.Attributes {
		if name != "default" && name != "description" {
			diags = append(diags, complaint(attr.NameRange, "Unknown argument", "A variable has no argument %q.%s", name, suggest(name, []string{"default", "description"})))
		}
	}
	for _, inner := range b.Body.Blocks {
		diags = append(diags, complaint(inner.TypeRange, "Unknown block", "A variable has no blocks. It has default = VALUE and description = TEXT."))
	}
	return diags
}

// valueOf returns the value that was given for a variable, else its default.
func valueOf(p placed, given string, isGiven bool) (cty.Value, hcl.Diagnostics) {
	fallback := cty.NullVal(cty.String)
	if attr := p.block.Body.Attributes["default"]; attr != nil {
		v, diags := attr.Expr.Value(&hcl.EvalContext{Functions: functions(p.dir)})
		if diags.HasErrors() {
			return cty.DynamicVal, diags
		}
		fallback = v
	}
	name := p.block.Labels[0]
	switch {
	case isGiven:
		return typed(p, given, fallback.Type())
	case fallback.IsNull():
		return cty.DynamicVal, hcl.Diagnostics{complaint(p.block.DefRange(), "Variable without a value",
			"It has no default: give it a value with --var %s=VALUE.", name)}
	}
	return fallback, nil
}

// typed reads a value from the command line as a type: a string as it is, all
// else as it would be written in the file.
func typed(p placed, given string, t cty.Type) (cty.Value, hcl.Diagnostics) {
	if t == cty.String || t == cty.DynamicPseudoType {
		return cty.StringVal(given), nil
	}
	v := cty.StringVal(given)
	if !t.IsPrimitiveType() {
		const name = "--var"
		if tooDeep(name, []byte(given)) != nil {
			return cty.DynamicVal, hcl.Diagnostics{complaint(p.block.DefRange(), "Wrong value for variable", "--var %s is nested too deeply.", p.block.Labels[0])}
		}
		expr, diags := hclsyntax.ParseExpression([]byte(given), name, hcl.InitialPos)
		if !diags.HasErrors() {
			v, diags = expr.Value(nil)
		}
		if diags.HasErrors() {
			return cty.DynamicVal, hcl.Diagnostics{complaint(p.block.DefRange(), "Wrong value for variable",
				"--var %s=%s cannot be read: %s", p.block.Labels[0], given, diags[0].Detail)}
		}
	}
	if t.IsTupleType() { // a default ["a", "b"] stands for any list
		if v.Type().IsTupleType() {
			return v, nil
		}
	} else if t.IsObjectType() {
		if v.Type().IsObjectType() {
			return v, nil
		}
	} else if v, err := convert.Convert(v, t); err == nil {
		return v, nil
	}
	return cty.DynamicVal, hcl.Diagnostics{complaint(p.block.DefRange(), "Wrong value for variable",
		"--var %s=%s must be a %s, as the default is.", p.block.Labels[0], given, typeName(t))}
}

func typeName(t cty.Type) string {
	switch {
	case t.IsTupleType():
		return "list"
	case t.IsObjectType():
		return "map"
	}
	return t.FriendlyName()
}

// references finds the names in one file that stand for nothing.
type references struct {
	*source
	names  []string             // of variables
	values map[string]cty.Value // of variables; what is used and not there is added
	others map[string]cty.Value // what else is used
	diags  hcl.Diagnostics
}

func (r *references) body(body *hclsyntax.Body) {
	for _, attr := range body.Attributes {
		r.expression(attr.Expr)
	}
	for _, b := range body.Blocks {
		r.body(b.Body)
	}
}

func (r *references) expression(e hclsyntax.Expression) {
	for _, t := range e.Variables() {
		r.traversal(t)
	}
	_ = hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok {
			r.call(call)
		}
		return nil
	})
}

func (r *references) traversal(t hcl.Traversal) {
	if t.RootName() != "var" {
		r.bareWord(t)
		return
	}
	if len(t) < 2 {
		return
	}
	step, ok := t[1].(hcl.TraverseAttr)
	if _, known := r.values[step.Name]; !ok || known {
		return
	}
	text := suggest(step.Name, r.names)
	if text == "" {
		text = ` Variables are made by variable "NAME" { default = VALUE }.`
	}
	r.diags = append(r.diags, complaint(step.SrcRange, "Unknown variable", "There is no variable %q.%s", step.Name, text))
	r.values[step.Name] = cty.DynamicVal
}

// bareWord reports a name that is no variable, most often a forgotten quote.
func (r *references) bareWord(t hcl.Traversal) {
	root := t.RootName()
	if _, known := r.others[root]; known {
		return
	}
	r.others[root] = cty.DynamicVal
	word := strings.TrimSpace(string(t.SourceRange().SliceBytes(r.text)))
	text := "A text is written in quotes: \"" + word + "\"."
	if slices.Contains(r.names, root) {
		text = "The variable is written var." + root + ", a text in quotes."
	}
	r.diags = append(r.diags, complaint(t.SourceRange(), "Unknown name", "%s stands for nothing. %s", word, text))
}

func (r *references) call(c *hclsyntax.FunctionCallExpr) {
	if _, known := r.ctx.Functions[c.Name]; known {
		return
	}
	names := slices.Sorted(maps.Keys(r.ctx.Functions))
	r.diags = append(r.diags, complaint(c.NameRange, "Unknown function", "There is no function %q.%s", c.Name, suggest(c.Name, names)))
	r.ctx.Functions[c.Name] = unknown()
}

// unknown is a function of anything whose value is not known.
func unknown() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "any", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true},
		Type:     function.StaticReturnType(cty.DynamicPseudoType),
		Impl:     func([]cty.Value, cty.Type) (cty.Value, error) { return cty.DynamicVal, nil },
	})
}
