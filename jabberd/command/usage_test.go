package command_test

import (
	"strings"
	"testing"
)

func TestWrongCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		"user list":      "accepts 1 arg(s), received 0; write jabberd user list DOMAIN",
		"fmt":            "; write jabberd fmt FILE...",
		"status now":     "; write jabberd status",
		"user ad a@b.c":  `unknown command "ad" for "jabberd user"; jabberd user --help lists them`,
		"xdb drop":       `unknown command "drop" for "jabberd xdb"`,
		"modules nobody": `there is no module "nobody"; jabberd modules lists them, with --config FILE`,
	} {
		if out, err := jabberd(strings.Fields(line)...); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v, %s, want %s", line, err, out, want)
		}
	}
	if out, err := jabberd("user"); err != nil || !strings.Contains(out, "remove ") {
		t.Errorf("without a command: %v, %s", err, out)
	}
}
