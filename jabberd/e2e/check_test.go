package e2e_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestFilesThatAreMissing has check and run say where the file names what is not there.
func TestFilesThatAreMissing(t *testing.T) {
	const engine = "engine {\n  data_dir  = %q\n  isolation = %q\n}\n"
	cases := []struct{ name, text, place, why string }{
		{"certificate", `session "c2s" {
  load "c2s" {
    listen = []
    tls {
      listen = ["127.0.0.1:0"]
      certificate "localhost" { cert = "company.crt" }
    }
  }
}
`, `main.hcl:10:40, in session "c2s"`, "tls.certificate.0.cert: there is no file %s/company.crt.\n"},
		{"program", `xdb "accounts" {
  host "*" {}
  exec {
    command = ["no-such-program"]
    form    = "json"
  }
}
`, `main.hcl:8:15, in xdb "accounts"`, "command: no-such-program is in no folder of PATH"},
	}
	everyIsolation(t, func(t *testing.T, vars map[string]string) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				dir := t.TempDir()
				file := configure(t, dir, fmt.Sprintf(engine, dir, vars["isolation"])+c.text)
				for _, command := range []string{"check", "run"} {
					cmd := exec.Command(filepath.Join(binaries(t), "jabberd"), command, file)
					cmd.Dir = "../.."
					out, err := cmd.CombinedOutput()
					for _, want := range []string{c.place, strings.ReplaceAll(c.why, "%s", dir), "\n1 error\n"} {
						if err == nil || !strings.Contains(string(out), want) {
							t.Errorf("%s: no %q in %v\n%s", command, want, err, out)
						}
					}
				}
			})
		}
	})
}
