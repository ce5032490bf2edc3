package config_test

import (
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/config"
)

func TestFormat(t *testing.T) {
	for name, c := range map[string][2]string{
		"empty":    {"", ""},
		"newlines": {"\n\n\n", ""},
		"indents": {"log \"l\" {\nfile { path=\"x\" }\n      format {\ntext  = \"a\"\nrewrite \"b\" {}\n}\n}",
			"log \"l\" {\n  file { path = \"x\" }\n  format {\n    text = \"a\"\n    rewrite \"b\" {}\n  }\n}\n"},
		"aligns":        {"a {\n  b = 1 # one\n  long = 2 # two\n}\n", "a {\n  b    = 1 # one\n  long = 2 # two\n}\n"},
		"empty lines":   {"\n\na {}\n\n\n\n# c\n\n\nb {\n\n\n  x = 1\n\n\n}\n\n\n", "a {}\n\n# c\n\nb {\n\n  x = 1\n\n}\n"},
		"comments":      {"# a\n// b\n/* c\n\n\n*/\na {} # d\n\n\n# e", "# a\n// b\n/* c\n\n\n*/\na {} # d\n\n# e\n"},
		"heredoc":       {"a {\n  b = <<E\n x\n\n\n\n  y\nE\n\n\n  c = 1\n}\n", "a {\n  b = <<E\n x\n\n\n\n  y\nE\n\n  c = 1\n}\n"},
		"windows":       {"a {\r\nb=1\r\n}\r\n", "a {\n  b = 1\n}\n"},
		"twice windows": {"a {} # b\r\r\n# c\r", "a {} # b\n# c\n"},
		"texts":         {"a {\n  b = \"x   =    ${ var.y }\"\n}\n", "a {\n  b = \"x   =    ${var.y}\"\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, diags := config.Format("main.hcl", []byte(c[0]))
			if diags.HasErrors() || string(got) != c[1] {
				t.Fatalf("%v\ngot  %q\nwant %q", diags, got, c[1])
			}
			if again, _, _ := config.Format("main.hcl", got); string(again) != string(got) {
				t.Errorf("formatted again\n%q", again)
			}
		})
	}
}

func TestFormatLeavesErrors(t *testing.T) {
	out, f, diags := config.Format("main.hcl", []byte("a {\n  b =\n}\n"))
	var text strings.Builder
	if err := f.Print(&text, diags, false); err != nil || out != nil || !strings.Contains(text.String(), "main.hcl:2:") {
		t.Errorf("%q, %v, %s", out, err, text.String())
	}
}
