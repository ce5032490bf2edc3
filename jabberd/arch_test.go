package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

const server = "github.com/jabberii/server/"

// Who may import whom, by folder: the longest entry that is the package's folder or
// above it holds. Packages of the standard library may always be imported, and so may
// packages below the folder itself. A name without a dot is a folder of ours.
var mayImport = map[string][]string{
	"jabberd/packet": {},
	"jabberd/module": {"jabberd/packet"},
	"jabberd/frame":  {"jabberd/packet", "google.golang.org/protobuf/encoding/protowire"},
	"jabberd/tree":   {"jabberd/packet", "jabberd/module", "jabberd/frame"},
	"jabberd/heap":   {},
	"jabberd/config": {"jabberd/packet", "jabberd/module", "plugins/sdk/confine", "github.com/hashicorp/hcl/v2", "github.com/zclconf/go-cty"},
	"jabberd/wire": {"jabberd/packet", "jabberd/module", "jabberd/frame", "jabberd/tree", "jabberd/heap", "plugins/sdk/confine",
		"google.golang.org/grpc", "google.golang.org/protobuf", "github.com/hashicorp/go-plugin", "github.com/hashicorp/go-hclog",
		"golang.org/x/sys"},
	"plugins/xmpp": {"golang.org/x", "github.com/miekg/dns", "github.com/xdg-go", "github.com/gobwas/ws"},
}

// The programs whose folders hold one package a module, and the folders there that are not theirs.
var (
	programs   = []string{"basemods", "xdb", "logmods", "plugins"}
	notModules = []string{"plugins/sdk", "plugins/xmpp", "plugins/builtin", "plugins/examples"}
)

// What modules never link: they see packets and their environment, nothing else.
var coreOnly = []string{"jabberd/tree", "jabberd/config", "jabberd/wire", "jabberd/server", "jabberd/cli"}

func TestImports(t *testing.T) {
	for _, pkg := range packages(t) {
		allowed, ok := allowedFor(pkg.folder)
		if !ok {
			continue
		}
		for _, imported := range pkg.Imports {
			if !isStandard(imported) && !within(trimServer(imported), allowed) {
				t.Errorf("%s imports %s; it may import the standard library%s", pkg.folder, trimServer(imported), list(allowed))
			}
		}
	}
}

func TestModulesDoNotLinkTheCore(t *testing.T) {
	for _, pkg := range packages(t) {
		if !isModule(pkg.folder) && !(within(pkg.folder, []string{"plugins/xmpp"})) {
			continue
		}
		for _, dep := range pkg.Deps {
			if within(trimServer(dep), coreOnly) {
				t.Errorf("%s links %s (go list -deps); a module sees packets and its environment only", pkg.folder, trimServer(dep))
			}
		}
	}
}

func TestProgramsAloneServe(t *testing.T) {
	for name, file := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") || path.Base(name) == "main.go" || within(path.Dir(name), []string{"plugins/sdk"}) {
			continue
		}
		for _, imported := range file.Imports {
			if imported.Path.Value == `"`+server+`plugins/sdk"` {
				t.Errorf("%s imports plugins/sdk, which is for main.go files", file.position(imported))
			}
		}
	}
}

func TestCoreLinksNoModule(t *testing.T) {
	for _, pkg := range packages(t) {
		if pkg.folder != "jabberd" {
			continue
		}
		for _, dep := range pkg.Deps {
			if isModule(trimServer(dep)) {
				t.Errorf("jabberd links the module %s (go list -deps); the core links none", trimServer(dep))
			}
		}
	}
}

// A plugin of a third party is a module of its own and has nothing but this.
func TestExamplesNeedOnlyTheSDK(t *testing.T) {
	allowed := []string{"plugins/sdk", "jabberd/packet", "jabberd/module"}
	for name, file := range goFiles(t) {
		if !within(name, []string{"plugins/examples"}) {
			continue
		}
		for _, imported := range file.Imports {
			what := strings.Trim(imported.Path.Value, `"`)
			if strings.HasPrefix(what, server) && !within(trimServer(what), allowed) {
				t.Errorf("%s imports %s; a third party has%s", name, trimServer(what), list(allowed))
			}
		}
	}
}

func TestModuleFolders(t *testing.T) {
	folders := map[string]bool{}
	for name, file := range goFiles(t) {
		if folder := path.Dir(name); isModule(folder) && !strings.HasSuffix(name, "_test.go") && definesModule(file.File) {
			folders[folder] = true
		}
	}
	for folder := range folders {
		if strings.Count(folder, "/") != 1 {
			t.Errorf("%s defines a module; modules are one folder below a program", folder)
		}
		name := path.Base(folder)
		for _, file := range []string{name + ".go", name + "_test.go", "README.md"} {
			if _, err := os.Stat(filepath.Join(root(t), folder, file)); err != nil {
				t.Errorf("%s has no %s; a module's folder has NAME.go, NAME_test.go and README.md", folder, file)
			}
		}
	}
}

// A field of a log entry with a name that entries have themselves comes out with an
// underscore behind it, which nobody expects who reads the log.
func TestFieldsOfEntriesAreFree(t *testing.T) {
	writers := []string{"Debug", "Info", "Warn", "Error", "With", "say"}
	taken := []string{`"time"`, `"from"`, `"to"`, `"type"`, `"id"`, `"xmlns"`}
	for name, file := range goFiles(t) {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/testdata/") {
			continue
		}
		ast.Inspect(file.File, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			writer, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains(writers, writer.Sel.Name) {
				return true
			}
			for i, arg := range call.Args {
				field, ok := arg.(*ast.BasicLit)
				if ok && (i > 0 || writer.Sel.Name == "With") && slices.Contains(taken, field.Value) {
					t.Errorf("%s: a field %s of a log entry; take a name that entries do not have, such as sender, receiver, address", file.position(field), field.Value)
				}
			}
			return true
		})
	}
}

func TestFileNames(t *testing.T) {
	unnamed := []string{"types", "utils", "util", "helpers", "helper", "common", "interface", "interfaces", "misc"}
	for name := range goFiles(t) {
		stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(name), ".go"), "_test")
		if slices.Contains(unnamed, stem) {
			t.Errorf("%s is named for nothing; name a file for the thing in it", name)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	const most = 700
	for name, file := range goFiles(t) {
		lines := file.lines
		if !ast.IsGenerated(file.File) && !strings.HasSuffix(name, "_test.go") && lines > most {
			t.Errorf("%s has %d lines; over %d a file is more than one idea", name, lines, most)
		}
	}
}

func TestNoInit(t *testing.T) {
	for name, file := range goFiles(t) {
		if ast.IsGenerated(file.File) || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init(); nothing registers itself, main lists what there is", file.position(f))
			}
		}
	}
}

func TestExportedNames(t *testing.T) {
	vague := []string{"Manager", "Util", "Utils", "Common", "Helper", "Helpers", "Impl"}
	for name, file := range goFiles(t) {
		if ast.IsGenerated(file.File) || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, ident := range declared(file.File) {
			if !ident.IsExported() {
				continue
			}
			for _, word := range words(ident.Name) {
				if slices.Contains(vague, word) {
					t.Errorf("%s: %s; %q says nothing about what it is", file.position(ident), ident.Name, word)
				}
			}
		}
	}
}

// What the rules above stand on.

func TestWithin(t *testing.T) {
	tests := []struct {
		folder string
		in     []string
		want   bool
	}{
		{"jabberd/tree", []string{"jabberd/tree"}, true},
		{"jabberd/tree/host", []string{"jabberd/tree"}, true},
		{"jabberd/treetop", []string{"jabberd/tree"}, false},
		{"jabberd", []string{"jabberd/tree"}, false},
	}
	for _, test := range tests {
		if got := within(test.folder, test.in); got != test.want {
			t.Errorf("within(%q, %q) = %v", test.folder, test.in, got)
		}
	}
	if !isModule("basemods/load") || isModule("basemods") || isModule("plugins/sdk/xdb") || isModule("jabberd/tree") {
		t.Error("isModule takes basemods/load for no module, or something else for one")
	}
	if got := words("HTTPSessionManagerID"); !slices.Equal(got, []string{"HTTP", "Session", "Manager", "ID"}) {
		t.Errorf("words: %q", got)
	}
	if got := words("Utility"); !slices.Equal(got, []string{"Utility"}) {
		t.Errorf("words: %q", got)
	}
}

// A listed package is what go list says of one, and its folder.
type listed struct {
	ImportPath string
	Name       string
	Imports    []string
	Deps       []string
	Error      *struct{ Err string }
	folder     string
}

// packages lists the packages of this module, those that do not build included.
func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Name,Imports,Deps,Error", "./...")
	cmd.Dir = root(t)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var pkgs []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg listed
		err := decoder.Decode(&pkg)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if strings.HasPrefix(pkg.ImportPath, server) {
			pkg.folder = trimServer(pkg.ImportPath)
			pkgs = append(pkgs, pkg)
		}
	}
	if len(pkgs) == 0 {
		t.Fatal("go list finds no packages")
	}
	return pkgs
}

// A source is a parsed Go file.
type source struct {
	*ast.File
	fset  *token.FileSet
	lines int
}

func (s source) position(node ast.Node) string {
	p := s.fset.Position(node.Pos())
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// goFiles parses every Go file of the repository, by its path from the root.
func goFiles(t *testing.T) map[string]source {
	t.Helper()
	files := map[string]source{}
	fset := token.NewFileSet()
	err := fs.WalkDir(os.DirFS(root(t)), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a file that another program has just removed
			}
			return err
		}
		if entry.IsDir() {
			base := entry.Name()
			if base == "bin" || base == "data" || base == "testdata" || base == "node_modules" || (len(base) > 1 && strings.ContainsAny(base[:1], "._")) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root(t), name))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files[name] = source{file, fset, bytes.Count(text, []byte("\n"))}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// declared lists the names that a file declares at package level, and fields and methods.
func declared(file *ast.File) []*ast.Ident {
	var names []*ast.Ident
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			names = append(names, decl.Name)
		case *ast.GenDecl:
			ast.Inspect(decl, func(node ast.Node) bool {
				switch node := node.(type) {
				case *ast.TypeSpec:
					names = append(names, node.Name)
				case *ast.ValueSpec:
					names = append(names, node.Names...)
				case *ast.Field:
					names = append(names, node.Names...)
				}
				return true
			})
		}
	}
	return names
}

// words splits a name where its words begin: HTTPServer is HTTP and Server.
func words(name string) []string {
	var out []string
	runes := []rune(name)
	begin := 0
	for i := 1; i < len(runes); i++ {
		lower := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if unicode.IsUpper(runes[i]) && (!unicode.IsUpper(runes[i-1]) || lower) {
			out = append(out, string(runes[begin:i]))
			begin = i
		}
	}
	return append(out, string(runes[begin:]))
}

// allowedFor returns what the packages of a folder may import, and whether there is a rule.
func allowedFor(folder string) ([]string, bool) {
	for at := folder; at != "."; at = path.Dir(at) {
		if allowed, ok := mayImport[at]; ok {
			return append([]string{at}, allowed...), true
		}
	}
	return nil, false
}

func isModule(folder string) bool {
	return slices.ContainsFunc(programs, func(program string) bool {
		return strings.HasPrefix(folder, program+"/")
	}) && !within(folder, notModules)
}

// within reports whether a folder is one of those listed, or below one.
func within(folder string, in []string) bool {
	return slices.ContainsFunc(in, func(top string) bool {
		return folder == top || strings.HasPrefix(folder, top+"/")
	})
}

func isStandard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}

func trimServer(importPath string) string { return strings.TrimPrefix(importPath, server) }

func list(allowed []string) string {
	if len(allowed) == 0 {
		return " only"
	}
	return ", " + strings.Join(allowed, ", ")
}

// definesModule reports whether a file calls module.Define, or has a variable Module.
func definesModule(file *ast.File) bool {
	defines := false
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.ValueSpec:
			for _, name := range node.Names {
				defines = defines || name.Name == "Module"
			}
		case *ast.SelectorExpr:
			x, ok := node.X.(*ast.Ident)
			defines = defines || ok && x.Name == "module" && node.Sel.Name == "Define"
		}
		return !defines
	})
	return defines
}

// root is the top of the repository; go test runs in the package's folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
