package certs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/sdk/certs"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

func TestAuthoritiesAreReadAgain(t *testing.T) {
	p := newPlace(t)
	file := filepath.Join(p.dir, "ca.pem")
	a := certs.NewAuthorities(p, "ca.pem")
	if err := a.Start(t.Context()); err == nil {
		t.Fatal("a file that is not there is taken at the start")
	}
	copyTo(t, p.dir, sdktest.NewAuthority(t).File, "ca.pem")
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := a.Pool()
	for _, step := range []struct {
		name    string
		change  func() error
		said    string
		changes bool
	}{
		{"nonsense", func() error { return os.WriteFile(file, []byte("no certificate"), 0o600) }, "there is no certificate in it; those that were read before stay", false},
		{"no file", func() error { return os.Remove(file) }, "no such file or directory; those that were read before stay", false},
		{"another", func() error { copyTo(t, p.dir, sdktest.NewAuthority(t).File, "ca.pem"); return nil }, "read new authorities", true},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		certs.AgeAuthorities(a)
		a.Pool()
		late := time.After(30 * time.Second)
		for !strings.Contains(p.said(), step.said) {
			select {
			case <-p.written:
			case <-late:
				t.Fatalf("%s: %q is not said:\n%s", step.name, step.said, p.said())
			}
		}
		if got := a.Pool(); got == nil || got.Equal(first) == step.changes {
			t.Errorf("%s: another pool, want that %v", step.name, step.changes)
		}
	}
}
