package file

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEscaped(t *testing.T) {
	for name, want := range map[string]string{
		"":                 "%",
		"ann":              "ann",
		"Ann":              "%41nn",
		".":                "%2E",
		"..":               "%2E%2E",
		".a.b.":            "%2Ea.b%2E",
		"a/b\\c":           "a%2Fb%5Cc",
		"jabber:iq:roster": "jabber%3Aiq%3Aroster",
		"ü":                "%C3%BC",
		"100%":             "100%25",
		"%":                "%25",
	} {
		if got := escaped(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

// Escaped names are short, safe and, the short ones, undone; no two are one,
// not even where upper and lower case are one.
func TestEscapedIsSafe(t *testing.T) {
	seen := map[string]string{}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-cA-C./%~ü]{0,3}`), rapid.StringN(0, -1, 400)).Draw(t, "name")
		s := escaped(name)
		if len(s) > longest || s == "" || s[0] == '.' || strings.ContainsAny(s, "/\\: \x00") {
			t.Fatalf("%q becomes %q", name, s)
		}
		for i := 0; i < len(s); i++ { // hex digits are the only upper case, and never lower
			if s[i] != '%' || i+2 >= len(s) || s[i+1] == '~' {
				continue
			}
			if hex := s[i+1 : i+3]; strings.ToUpper(hex) != hex {
				t.Fatalf("%q becomes %q", name, s)
			}
		}
		if other, there := seen[strings.ToLower(s)]; there && other != name {
			t.Fatalf("%q and %q become %q", name, other, s)
		}
		seen[strings.ToLower(s)] = name
		if back, whole := unescaped(s); whole != !strings.Contains(s, hashed) || whole && back != name {
			t.Fatalf("%q becomes %q, and then %q, %v", name, s, back, whole)
		}
	})
}

func TestOwners(t *testing.T) {
	for owner, want := range map[string]string{
		"ann@example.org": "ann", "example.org": "", "example.org/x@y": "/x@y", "ann@example.org/home/x": "ann/home/x", "": "",
	} {
		domain := "example.org"
		if owner == "" {
			domain = ""
		}
		if got := rest(owner); got != want {
			t.Errorf("%q without its domain is %q, want %q", owner, got, want)
		}
		if got := ownerOf(domain, rest(owner)); got != owner {
			t.Errorf("%q became %q", owner, got)
		}
	}
}
