package config

import (
	"encoding/json"
	"iter"
	"strconv"

	"github.com/jabberii/server/jabberd/module"
)

// A givenArg is an argument of a link that has a value, from the file or by default.
type givenArg struct {
	arg   *module.Arg
	value any        // as JSON has it
	path  []string   // as in module.ArgError
	block []givenArg // the block in which it stands
}

// given lists the arguments of a link that have values, those of blocks behind their
// blocks.
func given(t linkTrace, link *module.Link) []givenArg {
	full, err := module.Complete(t.uses.Args, link.Args)
	var values map[string]any
	if err != nil || json.Unmarshal(full, &values) != nil {
		return nil // reported already
	}
	return givenIn(t.uses.Args, values, nil)
}

func givenIn(args []module.Arg, values map[string]any, path []string) (list []givenArg) {
	for i := range args {
		if v, ok := values[args[i].Name]; ok && v != nil {
			list = append(list, givenArg{arg: &args[i], value: v, path: append(path[:len(path):len(path)], args[i].Name)})
		}
	}
	own := list
	for i := range own {
		own[i].block = own
	}
	for _, a := range own {
		switch v := a.value.(type) {
		case map[string]any:
			list = append(list, givenIn(a.arg.Args, v, a.path)...)
		case []any:
			for i, x := range v {
				if inner, ok := x.(map[string]any); ok {
					list = append(list, givenIn(a.arg.Args, inner, append(a.path[:len(a.path):len(a.path)], strconv.Itoa(i)))...)
				}
			}
		}
	}
	return list
}

// text is the value of a string, or the first of a list; "" if there is none.
func (a givenArg) text() string {
	for text := range a.texts() {
		return text
	}
	return ""
}

// texts are the values of a string or a list of strings, with their paths.
func (a givenArg) texts() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		switch v := a.value.(type) {
		case string:
			yield(v, a.path)
		case []any:
			for i, x := range v {
				if s, ok := x.(string); ok && !yield(s, append(a.path[:len(a.path):len(a.path)], strconv.Itoa(i))) {
					return
				}
			}
		}
	}
}

// beside returns what is given in the same block and is found by is.
func (a givenArg) beside(is func(*module.Arg) bool) (givenArg, bool) {
	for _, b := range a.block {
		if is(b.arg) {
			return b, true
		}
	}
	return givenArg{}, false
}
