package hosts_test

import (
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/sdk/hosts"
)

func TestPrepare(t *testing.T) {
	for in, want := range map[string]string{
		"Example.ORG":          "example.org",
		"example.org.":         "example.org",
		"*.Example.org":        "*.example.org",
		"*":                    "*",
		"xn--bcher-kva.de":     "bücher.de",
		"*.xn--bcher-kva.de":   "*.bücher.de",
		"127.0.0.1":            "127.0.0.1",
		"[::1]":                "[::1]",
		"localhost":            "localhost",
		"conference.localhost": "conference.localhost",
	} {
		if got, err := hosts.Prepare(in); err != nil || got != want {
			t.Errorf("%q is %q, %v, want %q", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"":                "is no host",
		"*.":              "is no host",
		"**":              "has a *",
		"*example.org":    "has a *",
		"a.*.example.org": "has a *",
		"*.*":             "has a *",
		"ann@example.org": "is no host",
		"a b":             "is no host",
		"*.127.0.0.1":     "below an IP",
		"*.[::1]":         "below an IP",
	} {
		if got, err := hosts.Prepare(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %q, %v, want an error with %q", in, got, err, want)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name, host string
		want       bool
	}{
		{"example.org", "example.org", true},
		{"example.org", "a.example.org", false},
		{"*.example.org", "a.example.org", true},
		{"*.example.org", "b.a.example.org", true},
		{"*.example.org", "example.org", false},
		{"*.example.org", "badexample.org", false},
		{"*.example.org", ".example.org", false},
		{"*", "", true},
		{"*", "example.org", true},
		{"example.org", "", false},
	} {
		if got := hosts.Match(c.name, c.host); got != c.want {
			t.Errorf("%q matches %q: %v, want %v", c.name, c.host, got, c.want)
		}
	}
	if !hosts.MatchAny([]string{"a", "*.b"}, "x.b") || hosts.MatchAny(nil, "x.b") {
		t.Error("MatchAny does not ask each")
	}
}
