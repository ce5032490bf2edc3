package main

import (
	"regexp"
	"testing"

	"github.com/jabberii/server/jabberd/module"
)

// secretive are names of arguments whose values nobody is to be shown.
var secretive = regexp.MustCompile(`secret|passw|token|credential|(^|_)(env|dsn)$`)

// TestSecretsAreMarked looks for arguments that are named like secrets and would
// be shown with the configuration.
func TestSecretsAreMarked(t *testing.T) {
	marked := 0
	for _, m := range modules() {
		for _, uses := range append(m.Services, m) {
			marked += checkSecrets(t, uses.Name, uses.Args)
		}
	}
	if marked < 3 {
		t.Errorf("%d secrets in all modules", marked)
	}
}

func checkSecrets(t *testing.T, of string, args []module.Arg) (marked int) {
	for _, a := range args {
		name := of + "." + a.Name
		if secretive.MatchString(a.Name) && !a.Secret && len(a.Args) == 0 {
			t.Errorf("%s is not marked as a secret", name)
		}
		if a.Secret {
			marked++
		}
		marked += checkSecrets(t, name, a.Args)
	}
	return marked
}
