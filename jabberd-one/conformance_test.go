package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/command"
	"github.com/jabberii/server/jabberd/module"
)

// Where the repository has what it claims.
const (
	conformance = "../docs/conformance.md"
	doap        = "../docs/jabberd.doap"
)

// cited is how conformance.md names a test: its folder and its name.
var cited = regexp.MustCompile("`([a-z0-9/-]+) (Test[A-Za-z0-9_]+)`")

// TestConformanceNamesTests has every test that conformance.md names, and a test
// for every row that doesn't say in words why it has none.
func TestConformanceNamesTests(t *testing.T) {
	count := 0
	for i, line := range lines(t) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		tests := cited.FindAllStringSubmatch(line, -1)
		for _, c := range tests {
			count++
			if !has(t, filepath.Join("..", c[1]), c[2]) {
				t.Errorf("%s:%d: there is no test %s in %s", conformance, i+1, c[2], c[1])
			}
		}
		cells := strings.Split(strings.Trim(line, "| "), "|")
		if last := strings.TrimSpace(cells[len(cells)-1]); last == "" {
			t.Errorf("%s:%d: no test, and nothing said of why", conformance, i+1)
		}
	}
	if count < 50 {
		t.Errorf("%s names %d tests", conformance, count)
	}
}

// TestConformanceHasEveryXEP has a row in conformance.md for each extension that a
// module declares, with the version that it declares, and for no other.
func TestConformanceHasEveryXEP(t *testing.T) {
	row := regexp.MustCompile(`^\| (XEP-\d{4}) [^|]*\| ([^|]*) \|`)
	listed := map[string]string{}
	for _, line := range lines(t) {
		if m := row.FindStringSubmatch(line); m != nil {
			listed[m[1]] = strings.TrimSpace(m[2])
		}
	}
	for _, s := range module.Standards(modules()) {
		if version, there := listed[s.ID()]; !there || version != s.Version {
			t.Errorf("%s %s of %v is %q in %s", s.ID(), s.Version, s.Modules, version, conformance)
		}
		delete(listed, s.ID())
	}
	for id := range listed {
		t.Errorf("%s is in %s, but no module declares it", id, conformance)
	}
}

// TestDOAP has the DOAP file up to date; UPDATE=1 writes it.
func TestDOAP(t *testing.T) {
	var want bytes.Buffer
	cmd := command.Root(modules())
	cmd.SetArgs([]string{"modules", "--doap"})
	cmd.SetOut(&want)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(doap, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(doap)
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what jabberd modules --doap writes (%v); make docs writes it", doap, err)
	}
}

func lines(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(conformance)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// has reports whether a folder has a test.
func has(t *testing.T, folder, test string) bool {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == test {
				return true
			}
		}
	}
	return false
}
