package jid_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jabberii/server/plugins/xmpp/jid"
)

// FuzzJID: an address that is accepted is prepared, once and for all, whichever
// way it is made, and its parts keep to their limits.
func FuzzJID(f *testing.F) {
	for _, s := range []string{
		"juliet@example.com/balcony", "JULIET@EXAMPLE.COM./B", "a.example/b@c", "[::1]/x", "a@127.0.0.1",
		"fu\u00dfball@b\u00fccher.example/\u265a", "\u03a3\u03c2@xn--fuball-cta.example", "\uff41\uff20@\uff42\uff0ec/\u3000",
		"\u05e9\u05dc\u05d5\u05dd@\u05e9\u05dc\u05d5\u05dd.example", "\u0130@\u0130.example", "e\u0301\u200d@b/\ufb01", "@", "/", "a@/",
	} {
		f.Add(s)
	}
	cache := jid.NewCache(16)
	f.Fuzz(func(t *testing.T, s string) {
		j, err := jid.Parse(s)
		cached, cachedErr := cache.ParseBytes([]byte(s))
		if cached != j || (err == nil) != (cachedErr == nil) {
			t.Fatalf("%q is %q, %v, from the cache %q, %v", s, j, err, cached, cachedErr)
		}
		if err != nil {
			if !j.IsZero() || err.Error() == "" {
				t.Fatalf("%q is %q and %v", s, j, err)
			}
			return
		}
		checkForms(t, j)
		for _, part := range []string{j.Local(), j.Domain(), j.Resource()} {
			if len(part) > jid.MaxPart || !utf8.ValidString(part) {
				t.Fatalf("%q has the part %q", s, part)
			}
		}
		if strings.ContainsAny(j.Local(), `"&'/:<>@ `) || strings.ContainsAny(j.Domain(), "@/ ") || j.Domain() == "" {
			t.Fatalf("%q is %q", s, j)
		}
		if strings.ContainsAny(j.Domain(), "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") {
			t.Fatalf("%q has the domain %q", s, j.Domain())
		}
	})
}
