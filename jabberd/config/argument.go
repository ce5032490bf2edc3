package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/jabberii/server/jabberd/module"
)

// A decoding reads the arguments of one block, and gathers what is wrong.
type decoding struct {
	ctx     *hcl.EvalContext
	diags   hcl.Diagnostics
	unknown bool        // a value is not known, for a reason that was reported elsewhere
	secrets []hcl.Range // where secrets are written out
}

func (d *decoding) complain(at hcl.Range, summary, detail string, args ...any) {
	d.diags = append(d.diags, complaint(at, summary, detail, args...))
}

// arguments returns what stands in block b, called of, whose arguments are args,
// by name and ready to be JSON. What was left out is not there.
func (d *decoding) arguments(of string, b *block, args []module.Arg) map[string]any {
	body := d.known(of, b.Body, args)
	value, diags := hcldec.Decode(body, schema(args), d.ctx)
	d.diags = append(d.diags, diags...)
	return d.object(of, value, body, args, b.DefRange())
}

// known returns a body without what args do not have, which is reported. The
// label of a block becomes the argument that it is.
func (d *decoding) known(of string, body *hclsyntax.Body, args []module.Arg) *hclsyntax.Body {
	out := *body
	out.Attributes, out.Blocks = hclsyntax.Attributes{}, nil
	for name, attr := range body.Attributes {
		a := findArg(args, name)
		meant := a
		if a == nil {
			meant = findArg(args, nearest(name, argNames(args)))
		}
		if meant != nil && meant.Secret {
			d.secrets = append(d.secrets, literals(attr.Expr)...)
		}
		switch {
		case a == nil:
			d.complain(attr.NameRange, "Unknown argument", "%s has no argument %q.%s", of, name, suggest(name, argNames(args)))
		case isBlock(a):
			d.complain(attr.NameRange, "Not an argument", "%q is a block: write %s { ... } without \"=\".", name, name)
		default:
			out.Attributes[name] = attr
		}
	}
	for _, b := range body.Blocks {
		switch a := findArg(args, b.Type); {
		case a == nil:
			d.complain(b.TypeRange, "Unknown block", "%s has no block %q.%s", of, b.Type, suggest(b.Type, argNames(args)))
		case !isBlock(a):
			d.complain(b.TypeRange, "Not a block", "%q is an argument: write %s = VALUE.", b.Type, b.Type)
		case a.Type == module.TypeBlock && slices.ContainsFunc(out.Blocks, func(o *block) bool { return o.Type == b.Type }):
			d.complain(b.DefRange(), "Duplicate block", "There may be only one %q in %s.", b.Type, of)
		default:
			inner := *b
			inner.Body = d.known(b.Type, d.label(b, a.Label), labelled(a.Label, a.Args))
			inner.Labels, inner.LabelRanges = nil, nil
			out.Blocks = append(out.Blocks, &inner)
		}
	}
	return &out
}

// label returns the body of b with its label as the attribute "label". What
// the label means is "" if there may be none.
func (d *decoding) label(b *block, means string) *hclsyntax.Body {
	if len(b.Labels) == 0 {
		return b.Body
	}
	if means == "" {
		d.complain(b.LabelRanges[0], "Label not expected", "%s has no label: write %s { ... }.", b.Type, b.Type)
		return b.Body
	}
	if len(b.Labels) > 1 {
		d.complain(b.LabelRanges[1], "Too many labels", "%s has one label, the %s.", b.Type, means)
	}
	if written := b.Body.Attributes["label"]; written != nil {
		d.complain(written.NameRange, "Duplicate label", "The label %q stands before the braces already.", b.Labels[0])
		return b.Body
	}
	body, at := *b.Body, b.LabelRanges[0]
	body.Attributes = maps.Clone(b.Body.Attributes)
	body.Attributes["label"] = &hclsyntax.Attribute{Name: "label", NameRange: at, SrcRange: at,
		Expr: &hclsyntax.LiteralValueExpr{Val: cty.StringVal(b.Labels[0]), SrcRange: at}}
	return &body
}

// object returns the arguments in v, which hcldec made from body. at is the
// place for what is missing.
func (d *decoding) object(of string, v cty.Value, body *hclsyntax.Body, args []module.Arg, at hcl.Range) map[string]any {
	out := map[string]any{}
	for i := range args {
		a := &args[i]
		field := v.GetAttr(a.Name)
		if isBlock(a) {
			d.blocks(of, out, field, body, a, at)
			continue
		}
		attr := body.Attributes[a.Name]
		if attr == nil || field.IsNull() {
			if a.Required && (attr == nil || field.IsKnown()) {
				d.missing(of, a, at)
			}
			continue
		}
		if value, ok := d.value(a, field, attr.Expr.Range()); ok {
			out[a.Name] = value
		}
	}
	return out
}

// blocks puts the blocks of one name that stand in body into out.
func (d *decoding) blocks(of string, out map[string]any, v cty.Value, body *hclsyntax.Body, a *module.Arg, at hcl.Range) {
	args := labelled(a.Label, a.Args)
	var list []any
	for _, b := range body.Blocks {
		if b.Type != a.Name {
			continue
		}
		inner := v
		if a.Type == module.TypeBlocks {
			inner = v.Index(cty.NumberIntVal(int64(len(list))))
		}
		list = append(list, d.object(b.Type, inner, b.Body, args, b.DefRange()))
	}
	switch {
	case len(list) > 0 && a.Type == module.TypeBlocks:
		out[a.Name] = list
	case len(list) > 0:
		out[a.Name] = list[0]
	case a.Required:
		d.missing(of, a, at)
	case a.Type == module.TypeBlock && !a.Optional:
		d.missingInside(of, a, at)
	}
}

// missingInside reports what is required in a block that has its defaults when
// it is left out.
func (d *decoding) missingInside(of string, a *module.Arg, at hcl.Range) {
	for i := range a.Args {
		inner := &a.Args[i]
		if inner.Required {
			d.complain(at, "Missing argument", "%s needs a block %s { } with %s.%s", of, a.Name, inner.Name, doc(inner.Doc))
		}
	}
}

func (d *decoding) missing(of string, a *module.Arg, at hcl.Range) {
	switch {
	case a.Name == "label":
		d.complain(at, "Missing label", "%s needs a label, the %s: %s \"...\" { }.", of, a.Doc, of)
	case isBlock(a):
		d.complain(at, "Missing block", "%s needs a block %s { }.%s", of, a.Name, doc(a.Doc))
	default:
		d.complain(at, "Missing argument", "%s needs %s = VALUE.%s", of, a.Name, doc(a.Doc))
	}
}

// doc returns what an argument is for, with a space before it.
func doc(text string) string {
	if text == "" {
		return ""
	}
	return " " + sentence(text)
}

// value returns the value of an argument as JSON wants it, and false if there
// is none because it is wrong, which has been reported.
func (d *decoding) value(a *module.Arg, v cty.Value, at hcl.Range) (any, bool) {
	if !v.IsWhollyKnown() {
		d.unknown = true
		return nil, false
	}
	var value any
	var err error
	switch a.Type {
	case module.TypeBool:
		return v.True(), true
	case module.TypeInt:
		value, err = integer(v.AsBigFloat())
	case module.TypeNumber:
		value, err = number(v.AsBigFloat())
	case module.TypeStrings:
		value, err = texts(v)
	case module.TypeMap:
		value, err = withoutNull(v)
	case module.TypeDuration:
		value = v.AsString()
		_, err = module.ParseDuration(v.AsString())
	case module.TypeSize:
		value = v.AsString()
		_, err = module.ParseSize(v.AsString())
	default:
		value = v.AsString()
	}
	if err == nil && len(a.Enum) > 0 && !slices.Contains(a.Enum, fmt.Sprint(value)) {
		err = fmt.Errorf("%q is none of the values that %s may have.%s", fmt.Sprint(value), a.Name, suggest(fmt.Sprint(value), a.Enum))
	}
	if err != nil {
		text := sentence(err.Error())
		if a.Secret {
			text = fmt.Sprintf("%s must be a %s.", a.Name, a.Type)
		}
		d.complain(at, "Wrong value", "%s", text)
	}
	return value, err == nil
}

func integer(f *big.Float) (int64, error) {
	if i, accuracy := f.Int64(); f.IsInt() && accuracy == big.Exact {
		return i, nil
	}
	return 0, fmt.Errorf("a whole number is needed, not %s", f.Text('g', 12))
}

func number(f *big.Float) (float64, error) {
	n, _ := f.Float64()
	if _, err := json.Marshal(n); err != nil {
		return 0, fmt.Errorf("the number %s is too large", f.Text('g', 12))
	}
	return n, nil
}

// texts returns a list of strings. One string is a list of one.
func texts(v cty.Value) (json.RawMessage, error) {
	if v.Type().IsPrimitiveType() {
		v = cty.TupleVal([]cty.Value{v})
	}
	list, err := convert.Convert(v, cty.List(cty.String))
	if err != nil {
		return nil, fmt.Errorf(`a list of texts is needed, like ["a", "b"]`)
	}
	return withoutNull(list)
}

// withoutNull returns a list or map of strings that are all there.
func withoutNull(v cty.Value) (json.RawMessage, error) {
	for _, e := range v.Elements() {
		if e.IsNull() {
			return nil, fmt.Errorf("a value in it is null; leave it out")
		}
	}
	return ctyjson.Marshal(v, v.Type())
}

// nthBlock returns the block of a type with a number among its kind, or nil.
func nthBlock(body *hclsyntax.Body, name string, n int) *block {
	for _, b := range body.Blocks {
		if b.Type == name {
			if n == 0 {
				return b
			}
			n--
		}
	}
	return nil
}

// isFile reports whether a label is the path of a file rather than a name.
func isFile(label string) bool {
	return strings.Contains(label, "/") || strings.HasSuffix(label, ".so")
}
