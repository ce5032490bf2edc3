package config_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hashicorp/hcl/v2"

	"github.com/jabberii/server/jabberd/config"
)

// FuzzConfig reads any text as a configuration. Nothing may panic, every
// complaint can be printed, and what is right can be made, shown and formatted.
func FuzzConfig(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range cases {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			if file.Name == "main.hcl" {
				f.Add(file.Data)
			}
		}
	}
	modules := catalog()
	main := filepath.Join(f.TempDir(), "main.hcl") // not f.Chdir: findings are kept in the working folder
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(main, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, diags := config.Load(main, map[string]string{"host": "x", "n": "5", "list": "[1]"}, modules)
		made := c.Make(context.Background(), modules)
		diags = append(diags, c.Check(made)...)
		if err := c.Print(io.Discard, diags, true); err != nil {
			t.Fatal(err)
		}
		if err := c.PrintJSON(io.Discard, diags); err != nil {
			t.Fatal(err)
		}
		for _, d := range diags {
			if d.Subject != nil && (d.Subject.Start.Line < 1 || d.Subject.Start.Column < 1 || d.Summary == "" || d.Detail == "") {
				t.Errorf("complaint without a place: %v", d)
			}
		}
		if !diags.HasErrors() {
			if err := c.PrintTree(io.Discard, made, true); err != nil {
				t.Fatal(err)
			}
			for _, s := range c.Settings(made) {
				if _, diags := hclsyntax.ParseConfig([]byte(s.HCL), "", hcl.InitialPos); diags.HasErrors() {
					t.Errorf("%v in %s", diags, s.HCL)
				}
			}
		}
		fuzzFormat(t, text)
	})
}

// fuzzFormat checks that formatting changes no token and has an end.
func fuzzFormat(t *testing.T, text []byte) {
	out, _, diags := config.Format("main.hcl", text)
	if diags.HasErrors() {
		return
	}
	again, _, diags := config.Format("main.hcl", out)
	if diags.HasErrors() || !bytes.Equal(again, out) {
		t.Errorf("%v: %q becomes %q, and then %q", diags, text, out, again)
	}
	if got, want := tokens(out), tokens(text); !bytes.Equal(got, want) {
		t.Errorf("%q becomes %q", want, got)
	}
}

// tokens returns the tokens of a text other than newlines.
func tokens(text []byte) []byte {
	var out bytes.Buffer
	list, _ := hclsyntax.LexConfig(regexp.MustCompile(`\r+\n`).ReplaceAll(text, []byte("\n")), "", hcl.InitialPos)
	for _, t := range list {
		if t.Type != hclsyntax.TokenNewline {
			out.Write(bytes.TrimSpace(t.Bytes))
			out.WriteByte(' ')
		}
	}
	return out.Bytes()
}
