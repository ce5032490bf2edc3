package configtest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// A recorder notes the errors of a test instead of failing it.
type recorder struct {
	*testing.T
	errors []string
}

func (r *recorder) Helper()           {}
func (r *recorder) Error(args ...any) { r.errors = append(r.errors, fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

type args struct {
	Path string `json:"path" required:"true" doc:"Where | to."`
	Mode string `json:"mode" default:"a" enum:"a,b"`
	Auth *struct {
		Secret string `json:"secret" secret:"true"`
	} `json:"auth"`
	Rule []struct {
		From string `json:"label" label:"host"`
		To   string `json:"to"`
	} `json:"rule" doc:"What goes\nwhere."`
}

func writer() module.Module {
	m := module.Define("writer", "Writes entries. It does it well.", module.On(packet.Log), func(_ module.Env, a args) (packet.Handler, error) {
		if a.Path == "/" {
			return nil, module.BadArg("path", "not there")
		}
		return packet.HandlerFunc(nil), nil
	})
	m.Claims = module.ClaimsAll
	return m
}

const reference = `<!-- reference -->

For log sections. It claims every packet; blocks behind it are never asked.

| argument | type | default | |
|---|---|---|---|
| ` + "`path` | string | required | Where \\| to. |\n| `mode` | string | `a` | One of `a`, `b`. |\n| `auth` | block | absent |  |\n| `auth.secret` | string |  | A secret: never shown. |\n" +
	"| `rule` | block, repeated, labelled with the host |  | What goes where. |\n| `rule.to` | string |  |  |\n" + `
<!-- end of reference -->
`

func fence(body string) string {
	return "\n```hcl\nlog \"l\" {\n  host \"*\" {}\n  " + body + "\n}\n```\n"
}

func TestReadme(t *testing.T) {
	good := fence(`writer { path = env("CONFIGTEST_PATH") }`)
	for name, c := range map[string]struct{ readme, want string }{
		"right":          {"# writer\n" + reference + good, ""},
		"stale":          {"<!-- reference -->\nold\n<!-- end of reference -->\n" + good, "is stale"},
		"no reference":   {good, "no place for the reference"},
		"not closed":     {"<!-- reference -->\n" + good, "no place for the reference"},
		"no example":     {reference, "no example"},
		"wrong argument": {reference + good + fence(`writer { pfad = "x" }`), "README.md:"},
		"line":           {fence(`writer { pfad = "x" }`) + reference, "README.md:5:12"},
		"refused":        {reference + fence(`writer { path = "/" }`), "path: not there"},
		"warning":        {reference + "\n```hcl\nlog \"l\" {\n  writer { path = \"x\" }\n}\n```\n", "Never reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			t.Setenv("UPDATE", "")
			if err := os.WriteFile("README.md", []byte(c.readme), 0o644); err != nil {
				t.Fatal(err)
			}
			r := &recorder{T: t}
			configtest.Readme(r, writer())
			got := strings.Join(r.errors, "\n")
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestUpdateWritesTheReference(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("UPDATE", "1")
	good := fence(`writer { path = "x" }`)
	if err := os.WriteFile("README.md", []byte("# writer\n<!-- reference -->\nold\n<!-- end of reference -->\n"+good), 0o644); err != nil {
		t.Fatal(err)
	}
	configtest.Readme(t, writer())
	got, err := os.ReadFile("README.md")
	if want := "# writer\n" + reference + good; err != nil || string(got) != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, got, want)
	}
}

func TestReadmeOfService(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("README.md", []byte(reference+fence(`load "writer" { path = "x" }`)), 0o644); err != nil {
		t.Fatal(err)
	}
	configtest.ReadmeOfService(t, writer())
}
