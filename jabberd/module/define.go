package module

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
)

// Define makes a Module from the struct C whose fields are the arguments.
//
// The tag json names an argument. Its other tags are doc, default (as it would
// be written in the file), required:"true", secret:"true", enum:"a,b", for the
// check of a configuration file:"certificate", needs:"module" and hosts:"module"
// (see [Arg]), and, on the field that holds the block's own label, label:"what it means"; a field
// tagged json:"-" is no argument. A field
// is a string, bool, int, int64, float64, Duration, Size, []string or
// map[string]string. A struct is a block, a pointer to a struct a block that
// may be left out (nil), and a slice of structs a block that may be repeated,
// where the field tagged json:"label" is its label. The fields of an embedded
// struct are fields of the struct around it.
//
// Define panics on a C that is none of this, since that is a mistake in the
// program and not in the configuration.
func Define[C any](name, doc string, kinds []packet.Kind, make func(Env, C) (packet.Handler, error)) Module {
	m := Module{Name: name, Doc: doc, Kinds: kinds}
	args, label := fields(name, reflect.TypeFor[C](), true)
	m.Args, m.Label = args, label
	m.New = func(env Env, raw []byte) (packet.Handler, error) {
		var c C
		if err := Decode(args, raw, &c); err != nil {
			return nil, err
		}
		return make(env, c)
	}
	return m
}

// fields returns the arguments that the fields of a struct are.
func fields(of string, t reflect.Type, top bool) (args []Arg, label string) {
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("module %s: arguments are a struct, not %s", of, t))
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			inner, _ := fields(of, f.Type, top)
			args = append(args, inner...)
			continue
		}
		if name == "-" {
			continue
		}
		if name == "label" {
			label = f.Tag.Get("label")
			continue
		}
		if name == "" || top && slices.Contains(reserved, name) {
			panic(fmt.Sprintf("module %s: field %s: %q cannot be the name of an argument", of, f.Name, name))
		}
		args = append(args, argument(of+"."+name, name, f))
	}
	return args, label
}

func argument(path, name string, f reflect.StructField) Arg {
	a := Arg{
		Name: name, Doc: f.Tag.Get("doc"), Default: f.Tag.Get("default"),
		Required: f.Tag.Get("required") == "true", Secret: f.Tag.Get("secret") == "true",
		File: File(f.Tag.Get("file")), Needs: f.Tag.Get("needs"), Hosts: f.Tag.Get("hosts"),
	}
	if e := f.Tag.Get("enum"); e != "" {
		a.Enum = strings.Split(e, ",")
	}
	a.Type = typeOf(f.Type)
	switch {
	case a.Type == "":
		panic(fmt.Sprintf("module %s: no argument has type %s", path, f.Type))
	case a.Type == TypeBlock || a.Type == TypeBlocks:
		t := f.Type
		a.Optional = t.Kind() == reflect.Pointer
		if t.Kind() != reflect.Struct {
			t = t.Elem()
		}
		a.Args, a.Label = fields(path, t, false)
	case a.Default != "":
		if _, err := a.value(); err != nil {
			panic(fmt.Sprintf("module %s: default: %v", path, err))
		}
	}
	return a
}

func typeOf(t reflect.Type) Type {
	switch t {
	case reflect.TypeFor[Duration]():
		return TypeDuration
	case reflect.TypeFor[Size]():
		return TypeSize
	case reflect.TypeFor[[]string]():
		return TypeStrings
	case reflect.TypeFor[map[string]string]():
		return TypeMap
	}
	switch t.Kind() {
	case reflect.String:
		return TypeString
	case reflect.Bool:
		return TypeBool
	case reflect.Int, reflect.Int64:
		return TypeInt
	case reflect.Float64:
		return TypeNumber
	case reflect.Struct:
		return TypeBlock
	case reflect.Pointer:
		if t.Elem().Kind() == reflect.Struct {
			return TypeBlock
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return TypeBlocks
		}
	}
	return ""
}

// value returns the default of a in the form that JSON has for it.
func (a *Arg) value() (any, error) {
	switch a.Type {
	case TypeBool:
		return strconv.ParseBool(a.Default)
	case TypeInt:
		return strconv.ParseInt(a.Default, 10, 64)
	case TypeNumber:
		return strconv.ParseFloat(a.Default, 64)
	case TypeDuration:
		_, err := ParseDuration(a.Default)
		return a.Default, err
	case TypeSize:
		_, err := ParseSize(a.Default)
		return a.Default, err
	case TypeStrings:
		return strings.Split(a.Default, ","), nil
	case TypeMap, TypeBlock, TypeBlocks:
		return nil, fmt.Errorf("a %s has no default", a.Type)
	}
	return a.Default, nil
}

// Decode reads arguments from a JSON object into *c, the struct that args was
// made from, filling in defaults. What is wrong is reported as *ArgError. An
// empty raw is an empty object.
func Decode(args []Arg, raw []byte, c any) error {
	full, err := Complete(args, raw)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(full, c); err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	return nil
}

// Complete checks the arguments in a JSON object and returns them with the
// defaults of those that were left out. What is wrong is reported as *ArgError.
// An empty raw is an empty object.
func Complete(args []Arg, raw []byte) ([]byte, error) {
	object := map[string]any{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, fmt.Errorf("arguments are no JSON object: %w", err)
		}
	}
	if err := complete(args, object, nil); err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

// complete checks an object of arguments and fills in what was left out.
func complete(args []Arg, object map[string]any, path []string) error {
	for name := range object {
		if name != "label" && !slices.ContainsFunc(args, func(a Arg) bool { return a.Name == name }) {
			return &ArgError{Path: append(path, name), Text: "there is no such argument"}
		}
	}
	for i := range args {
		a := &args[i]
		here := append(slices.Clip(path), a.Name)
		v, given := object[a.Name]
		if given && v == nil {
			delete(object, a.Name)
			given = false
		}
		if !given && a.Required {
			return &ArgError{Path: here, Text: "is required"}
		}
		if err := a.complete(object, v, given, here); err != nil {
			return err
		}
	}
	return nil
}

func (a *Arg) complete(object map[string]any, v any, given bool, path []string) error {
	switch {
	case a.Type == TypeBlock && given:
		inner, ok := v.(map[string]any)
		if !ok {
			return &ArgError{Path: path, Text: "is a block"}
		}
		return complete(a.Args, inner, path)
	case a.Type == TypeBlock && a.Optional:
		return nil
	case a.Type == TypeBlock:
		inner := map[string]any{}
		object[a.Name] = inner
		return complete(a.Args, inner, path)
	case a.Type == TypeBlocks:
		list, ok := v.([]any)
		if !ok && given {
			return &ArgError{Path: path, Text: "is a list of blocks"}
		}
		for i, e := range list {
			at := append(slices.Clip(path), strconv.Itoa(i))
			inner, ok := e.(map[string]any)
			if !ok {
				return &ArgError{Path: at, Text: "is a block"}
			}
			if err := complete(a.Args, inner, at); err != nil {
				return err
			}
		}
		return nil
	case given:
		return a.check(v, path)
	case a.Default != "":
		d, err := a.value()
		object[a.Name] = d
		return err
	}
	return nil
}

// check reports a value that is not of a's type or not among its values.
func (a *Arg) check(v any, path []string) error {
	var err error
	ok := true
	switch a.Type {
	case TypeString:
		_, ok = v.(string)
	case TypeBool:
		_, ok = v.(bool)
	case TypeInt, TypeNumber:
		n, is := v.(float64)
		ok = is && (a.Type == TypeNumber || n == float64(int64(n)))
	case TypeDuration:
		s, is := v.(string)
		if ok = is; ok {
			_, err = ParseDuration(s)
		}
	case TypeSize:
		switch s := v.(type) {
		case string:
			_, err = ParseSize(s)
		case float64:
			ok = s >= 0 && s == float64(int64(s))
		default:
			ok = false
		}
	case TypeStrings:
		list, is := v.([]any)
		ok = is && !slices.ContainsFunc(list, func(e any) bool { _, s := e.(string); return !s })
	case TypeMap:
		m, is := v.(map[string]any)
		ok = is
		for _, e := range m {
			_, s := e.(string)
			ok = ok && s
		}
	}
	switch {
	case !ok:
		return &ArgError{Path: path, Text: fmt.Sprintf("must be a %s", a.Type)}
	case err != nil:
		return &ArgError{Path: path, Text: err.Error()}
	case len(a.Enum) > 0 && !slices.Contains(a.Enum, fmt.Sprint(v)):
		return &ArgError{Path: path, Text: fmt.Sprintf("is %q, not one of %s", v, strings.Join(a.Enum, ", "))}
	}
	return nil
}
