package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUserImport(t *testing.T) {
	r := start(t, "conf/jabberd.hcl", map[string]string{"isolation": "none"})
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, []byte("# two\nann@localhost pw-ann@localhost\nbob@localhost x y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2 accounts added, 0 were there already", "0 accounts added, 2 were there already"} {
		if out := r.must("user", "import", list); !strings.Contains(out, want) {
			t.Errorf("%q, want %q", out, want)
		}
	}
	if out := r.must("user", "list", "localhost"); out != "ann@localhost\nbob@localhost\n" {
		t.Errorf("accounts %q", out)
	}
	if out, err := r.jabberd("user", "add", "ann@localhots", "--password", "x"); err == nil || !strings.Contains(out, "no section for sessions has host localhots") {
		t.Errorf("an account that nobody can log in to: %v, %q", err, out)
	}
	if out, err := r.jabberd("user", "list", "localhots"); err == nil || !strings.Contains(out, "no section for sessions has host localhots") {
		t.Errorf("accounts of a host that is not there: %v, %q", err, out)
	}
	if out, err := r.jabberd("xdb", "get", "ann@localhost", "auth", "--section", "users"); err == nil || !strings.Contains(out, `no store has namespace "auth"`) {
		t.Errorf("asking a section that is no store: %v, %q", err, out)
	}
	if err := os.WriteFile(list, []byte("carl@localhost x\nnobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := r.jabberd("user", "import", list); err == nil || !strings.Contains(out, "no account is added: ") || !strings.Contains(out, "line 2: ") {
		t.Errorf("a list with a wrong line: %v, %q", err, out)
	}
	if err := os.WriteFile(list+"2", []byte("carl@localhost x\ncarl@localhots x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := r.jabberd("user", "import", list+"2"); err == nil || !strings.Contains(out, "line 2: carl@localhots: no section for sessions has host localhots") {
		t.Errorf("a list with a host that is not there: %v, %q", err, out)
	}
	if out := r.must("user", "list", "localhost"); strings.Contains(out, "carl") {
		t.Error("a list with a wrong line was imported in part")
	}
}

// TestWhatWasDone has commands say it that change something, or have nothing to
// show.
func TestWhatWasDone(t *testing.T) {
	r := start(t, "conf/jabberd.hcl", map[string]string{"isolation": "none"})
	for _, c := range []struct{ args, want string }{
		{"user add ann@localhost --password x", "ann@localhost is added\n"},
		{"user passwd ann@localhost --password y", "ann@localhost has another password now\n"},
		{"user remove ann@localhost", "ann@localhost is removed, with all that was stored for it\n"},
		{"dead", "no process has died with a packet\n"},
	} {
		if out := r.must(strings.Fields(c.args)...); !strings.HasSuffix(out, c.want) {
			t.Errorf("%s: %q, want %q", c.args, out, c.want)
		}
	}
}
