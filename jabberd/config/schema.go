package config

import (
	"slices"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/zclconf/go-cty/cty"

	"github.com/jabberii/server/jabberd/module"
)

// schema returns what hcldec needs to decode the body of a block that has args.
func schema(args []module.Arg) hcldec.ObjectSpec {
	s := hcldec.ObjectSpec{}
	for _, a := range args {
		switch a.Type {
		case module.TypeBlock:
			s[a.Name] = &hcldec.BlockSpec{TypeName: a.Name, Nested: schema(labelled(a.Label, a.Args))}
		case module.TypeBlocks:
			s[a.Name] = &hcldec.BlockTupleSpec{TypeName: a.Name, Nested: schema(labelled(a.Label, a.Args))}
		default:
			s[a.Name] = &hcldec.AttrSpec{Name: a.Name, Type: valueType(a.Type)}
		}
	}
	return s
}

func valueType(t module.Type) cty.Type {
	switch t {
	case module.TypeBool:
		return cty.Bool
	case module.TypeInt, module.TypeNumber:
		return cty.Number
	case module.TypeMap:
		return cty.Map(cty.String)
	case module.TypeStrings:
		return cty.DynamicPseudoType // a list, or one string, which is a list of one
	}
	return cty.String
}

// labelled returns args with the block's label among them, as the argument
// that it is for the module.
func labelled(label string, args []module.Arg) []module.Arg {
	if label == "" {
		return args
	}
	return append([]module.Arg{{Name: "label", Type: module.TypeString, Doc: label, Required: true}}, args...)
}

func findArg(args []module.Arg, name string) *module.Arg {
	i := slices.IndexFunc(args, func(a module.Arg) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return &args[i]
}

func argNames(args []module.Arg) []string {
	var names []string
	for _, a := range args {
		if a.Name != "label" {
			names = append(names, a.Name)
		}
	}
	return names
}

func isBlock(a *module.Arg) bool { return a.Type == module.TypeBlock || a.Type == module.TypeBlocks }
