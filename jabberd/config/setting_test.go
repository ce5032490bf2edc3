package config_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/config"
	"github.com/jabberii/server/jabberd/module"
)

const secrets = `
variable "secret" { default = "hunter2" }
plugin "p" {
  path = "/bin/p"
  env  = { TOKEN = "hunter2" }
}
process "q" {
  env          = { KEY = var.secret }
  memory_limit = "64MiB"
}
service "s" {
  timeout = "10s"
  host { label = "s${1}" }
  accept {
    listen  = "a:1"
    secret  = env("TEST_SECRET")
    process = "q"
    timeout = "5s"
  }
  uplink {}
}
session "c2s" {
  load "c2s" {
    tls {
      cert = "c.pem"
      key  = file("key.pem")
    }
  }
}
xdb "x" {
  host "*" {}
  cache {
    redis { url = "redis://:${var.secret}@localhost" }
  }
}
log "f" {
  observe = true
  host "*" {}
  host "x.org" {}
  format {
    rewrite "a" { to = "$${b}" }
    rewrite "c" { to = "d" }
  }
  file { path = "log" }
}
`

// settings reads text and returns the settings that come of it.
func settings(t *testing.T, text string) (*config.File, []module.Setting) {
	t.Helper()
	write(t, "main.hcl", text)
	modules := catalog()
	f, diags := config.Load("main.hcl", nil, modules)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return f, f.Settings(f.Make(context.Background(), modules))
}

func TestSettings(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("TEST_SECRET", "hunter2 of the environment")
	write(t, "key.pem", "hunter2 of a file")
	f, list := settings(t, secrets)
	raw, err := json.Marshal(list)
	if err != nil || bytes.Contains(raw, []byte("hunter2")) || !bytes.Contains(raw, []byte("c.pem")) {
		t.Errorf("%v %s", err, raw)
	}
	if plain, _ := json.Marshal(f); bytes.Count(plain, []byte("hunter2")) != 5 {
		t.Errorf("the file itself was masked: %s", plain)
	}
	var keys []string
	for i, s := range list {
		if keys = append(keys, s.Key); s.Order != i {
			t.Errorf("%s is number %d, not %d", s.Key, s.Order, i)
		}
	}
	if want := []string{"engine", "plugin/p", "process/q", "section/s", "section/c2s", "section/x", "section/f"}; !slices.Equal(keys, want) {
		t.Errorf("keys %q", keys)
	}
	for _, c := range []struct{ key, hcl, args, hosts string }{
		{"plugin/p", "# main.hcl:3\nplugin \"p\" {\n  path = \"/bin/p\"\n  env = {\n    TOKEN = \"***\"\n  }\n}\n", `{"env":{"TOKEN":"***"},"path":"/bin/p"}`, ""},
		{"section/s", `# main.hcl:11
service "s" {
  timeout = "10s"
  # main.hcl:13
  host "s1" {}
  # main.hcl:14
  accept {
    process = "q"
    timeout = "5s"
    listen  = "a:1"
    secret  = "***"
  }
  uplink {}
}
`, `{"timeout":"10s"}`, "s1"},
		{"section/f", `# main.hcl:36
log "f" {
  observe = true
  # main.hcl:38
  host "*" {}
  # main.hcl:39
  host "x.org" {}
  # main.hcl:40
  format {
    rewrite "a" {
      to = "$${b}"
    }
    rewrite "c" {
      to = "d"
    }
  }
  # main.hcl:44
  file {
    path = "log"
  }
}
`, `{"observe":true}`, "* x.org"},
	} {
		s := list[slices.Index(keys, c.key)]
		if s.HCL != c.hcl || string(s.Args) != c.args || strings.Join(s.Hosts, " ") != c.hosts {
			t.Errorf("%s: %s, %q\n%s", s.Key, s.Args, s.Hosts, s.HCL)
		}
	}
	if s := list[3]; len(s.Chain) != 3 || s.Chain[1].Type != "accept" || s.Chain[1].Place != "main.hcl:14" ||
		string(s.Chain[1].Args) != `{"listen":"a:1","process":"q","secret":"***","timeout":"5s"}` || s.Chain[2].Type != "uplink" {
		t.Errorf("%+v", s.Chain)
	}
}

// TestSettingsAreAConfiguration reads the canonical form again: but for places it
// is what it was made from.
func TestSettingsAreAConfiguration(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("TEST_SECRET", "***--")
	write(t, "key.pem", "x")
	_, list := settings(t, secrets)
	var text strings.Builder
	for _, s := range list {
		text.WriteString(strings.ReplaceAll(s.HCL, `"***"`, `"***--"`) + "\n")
	}
	if out, _, diags := config.Format("", []byte(text.String())); diags.HasErrors() || string(out) != strings.TrimSuffix(text.String(), "\n") {
		t.Errorf("%v, its layout would be\n%s", diags, out)
	}
	_, again := settings(t, text.String())
	for i := range again {
		for _, s := range [][]module.Setting{list, again} {
			s[i].Place, s[i].HCL = "", strings.Join(slices.DeleteFunc(strings.Split(s[i].HCL, "\n"), isComment), "\n")
			for n := range s[i].Chain {
				s[i].Chain[n].Place = ""
			}
		}
		a, _ := json.Marshal(list[i])
		if b, _ := json.Marshal(again[i]); !bytes.Equal(a, b) {
			t.Errorf("%s\nbecomes\n%s", a, b)
		}
	}
}

func isComment(line string) bool { return strings.Contains(line, "# main.hcl") }
