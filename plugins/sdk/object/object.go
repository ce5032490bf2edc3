// Package object builds Go shared objects for a program that loads them, and
// says why one does not fit it.
//
// The standard library's package plugin takes a shared object only if it was
// built with the toolchain and the flags of the program, and if every package
// that both have was built from the same sources at the same paths. What it
// says otherwise is "different version of package", and that only after the
// object's code is in the process. A [Build] makes one that fits; [Fits] compares
// what the linker has recorded in both before anything is loaded.
package object

import (
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
)

// A Difference is something that a shared object and the program have to have
// in common, and have not.
type Difference struct {
	What   string // "toolchain", a build setting such as -trimpath, or the path of a module
	Found  string // in the shared object; "" is nothing
	Needed string // by the program; "" is nothing
}

// A MismatchError says that a shared object does not fit a program.
type MismatchError struct {
	Path        string // of the shared object
	Differences []Difference
}

// Error says what differs, what was found, what is needed and what to do.
func (e *MismatchError) Error() string {
	var list, modules []string
	rebuild := false
	for _, d := range e.Differences {
		list = append(list, d.String())
		if d.module() {
			modules = append(modules, d.What+"@"+d.Needed)
		} else {
			rebuild = true
		}
	}
	var advice []string
	if len(modules) > 0 {
		advice = append(advice, "in its module run: go get "+strings.Join(modules, " "))
	}
	if rebuild || len(modules) > 0 {
		advice = append(advice, "build it with: jabberd plugin build")
	}
	return fmt.Sprintf("%s does not fit this program: %s; %s", e.Path, strings.Join(list, "; "), strings.Join(advice, ", then "))
}

func (d Difference) module() bool { return strings.Contains(d.What, ".") }

// String returns the difference in words.
func (d Difference) String() string {
	switch {
	case d.What == "toolchain":
		return fmt.Sprintf("it was built with %s, this program with %s", d.Found, d.Needed)
	case d.module():
		return fmt.Sprintf("it has %s %s, this program %s", d.What, d.Found, d.Needed)
	case d.Found == "":
		return fmt.Sprintf("it was built without %s=%s, this program with it", d.What, d.Needed)
	case d.Needed == "":
		return fmt.Sprintf("it was built with %s=%s, this program without", d.What, d.Found)
	}
	return fmt.Sprintf("it was built with %s=%s, this program with %[1]s=%s", d.What, d.Found, d.Needed)
}

// Fits returns nil if the file path is a shared object that a program may
// load, as far as the linker has recorded it, and a [*MismatchError] if it is
// another's. What it cannot see is whether (devel) sources are the same: that
// the Go runtime finds out.
func Fits(program *debug.BuildInfo, path string) error {
	object, err := buildinfo.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s is no Go shared object: %w", path, err)
	}
	if mode := settings(object)["-buildmode"]; mode != "plugin" {
		return fmt.Errorf("%s is no shared object of -buildmode=plugin but of -buildmode=%s; a program is configured with plugin \"NAME\" { path = ... }", path, mode)
	}
	if list := Differences(program, object); len(list) > 0 {
		return &MismatchError{Path: path, Differences: list}
	}
	return nil
}

// Differences compares what a program and a shared object were built with: the
// toolchain, the settings that change code, and the version of each module that
// both have. They are sorted.
func Differences(program, object *debug.BuildInfo) []Difference {
	var list []Difference
	if program.GoVersion != object.GoVersion {
		list = append(list, Difference{"toolchain", object.GoVersion, program.GoVersion})
	}
	need, have := settings(program), settings(object)
	for _, name := range names(need, have) {
		if matters(name) && need[name] != have[name] {
			list = append(list, Difference{name, have[name], need[name]})
		}
	}
	need, have = versions(program), versions(object)
	for _, path := range names(need, have) {
		n, inProgram := need[path]
		h, inObject := have[path]
		unknown := path == program.Main.Path && (n == devel || h == devel || path == object.Main.Path)
		if inProgram && inObject && n != h && !unknown {
			list = append(list, Difference{path, h, n})
		}
	}
	return list
}

// devel is the version of a module that is a folder.
const devel = "(devel)"

// matters reports whether a build setting has to be the same: those that
// change the code or the paths in it, and not what only the linker reads.
func matters(name string) bool {
	switch name {
	case "-compiler", "-race", "-msan", "-asan", "-trimpath", "-tags", "-gcflags", "-asmflags", "-pgo", "CGO_ENABLED":
		return true
	}
	return strings.HasPrefix(name, "GO") // GOARCH, GOAMD64, GOEXPERIMENT ...
}

func settings(b *debug.BuildInfo) map[string]string {
	set := map[string]string{}
	for _, s := range b.Settings {
		set[s.Key] = s.Value
	}
	return set
}

// versions returns the version of each module in a build.
func versions(b *debug.BuildInfo) map[string]string {
	set := map[string]string{}
	for _, m := range append(slices.Clone(b.Deps), &b.Main) {
		set[m.Path] = version(m)
	}
	delete(set, "")
	return set
}

func version(m *debug.Module) string {
	r := m.Replace
	switch {
	case r != nil && r.Version != "":
		return r.Path + "@" + r.Version
	case r != nil, m.Version == "":
		return devel
	}
	return m.Version
}

// names lists the keys of both maps, sorted.
func names(a, b map[string]string) []string {
	var list []string
	for _, m := range []map[string]string{a, b} {
		for name := range m {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
