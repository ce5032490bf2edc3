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
	if out, err := r.jabberd("xdb", "get", "ann@localhost", "auth", "--section", "users"); err == nil || !strings.Contains(out, `no store has namespace "auth"`) {
		t.Errorf("asking a section that is no store: %v, %q", err, out)
	}
	if err := os.WriteFile(list, []byte("carl@localhost x\nnobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := r.jabberd("user", "import", list); err == nil || !strings.Contains(out, "line 2: ") {
		t.Errorf("a list with a wrong line: %v, %q", err, out)
	}
	if out := r.must("user", "list", "localhost"); strings.Contains(out, "carl") {
		t.Error("a list with a wrong line was imported in part")
	}
}
