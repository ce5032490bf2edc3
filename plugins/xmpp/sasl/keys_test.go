package sasl_test

import (
	"testing"

	"github.com/jabberii/server/plugins/xmpp/sasl"
)

func TestKeysText(t *testing.T) {
	for _, h := range []sasl.Hash{sasl.SHA1, sasl.SHA256, sasl.SHA512} {
		keys, err := sasl.NewKeys(h, "pencil", sasl.NewSalt(), iterations)
		if err != nil {
			t.Fatal(err)
		}
		text, err := keys.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var read sasl.Keys
		if err := read.UnmarshalText(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !read.Verify("pencil") || read.Verify("pencil ") || read.Verify("") {
			t.Fatalf("%s: does not verify as it should", text)
		}
	}
}

func TestKeysTextRefused(t *testing.T) {
	const salt, key = "QSXCR+Q6sek8bf92", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
	cases := map[string]string{
		"empty":                "",
		"another scheme":       "CRAM-MD5$4096:" + salt + "$" + key + ":" + key,
		"a mechanism":          "SCRAM-SHA-1-PLUS$4096:" + salt + "$" + key + ":" + key,
		"no iterations":        "SCRAM-SHA-1$:" + salt + "$" + key + ":" + key,
		"too many iterations":  "SCRAM-SHA-1$999999999:" + salt + "$" + key + ":" + key,
		"zero iterations":      "SCRAM-SHA-1$0:" + salt + "$" + key + ":" + key,
		"no salt":              "SCRAM-SHA-1$4096$" + key + ":" + key,
		"bad base64":           "SCRAM-SHA-1$4096:" + salt + "$" + key + ":???",
		"keys of another hash": "SCRAM-SHA-256$4096:" + salt + "$" + key + ":" + key,
		"one key":              "SCRAM-SHA-1$4096:" + salt + "$" + key,
		"line end":             "SCRAM-SHA-1$4096:" + salt + "$" + key + ":" + key + "\n",
	}
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			var keys sasl.Keys
			if err := keys.UnmarshalText([]byte(text)); err == nil {
				t.Fatalf("taken: %+v", keys)
			}
		})
	}
}

func TestPreparePassword(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"as it is", "I am a password", "I am a password"},
		{"soft hyphen goes", "I\u00adX", "IX"},
		{"compatibility form", "\u00aa", "a"},
		{"roman nine", "\u2168", "IX"},
		{"space that is not ASCII", "a\u00a0b", "a b"},
		{"decomposed", "e\u0301", "\u00e9"},
		{"younger than Unicode 3.2", "\U0001f600", "\U0001f600"},
		{"bell", "a\u0007b", ""},
		{"empty", "", ""},
		{"not UTF-8", "a\xff", ""},
		{"replacement character is a character", "a\ufffd", "a\ufffd"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := sasl.PreparePassword(c.in)
			if got != c.want || (err == nil) != (c.want != "") {
				t.Fatalf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestNewKeysRefused(t *testing.T) {
	cases := []struct {
		name       string
		hash       sasl.Hash
		password   string
		salt       []byte
		iterations int
	}{
		{"hash", "MD5", "pencil", sasl.NewSalt(), 4096},
		{"password", sasl.SHA256, "", sasl.NewSalt(), 4096},
		{"salt", sasl.SHA256, "pencil", nil, 4096},
		{"no iterations", sasl.SHA256, "pencil", sasl.NewSalt(), 0},
		{"too many iterations", sasl.SHA256, "pencil", sasl.NewSalt(), sasl.MaxIterations + 1},
	}
	for _, c := range cases {
		if k, err := sasl.NewKeys(c.hash, c.password, c.salt, c.iterations); err == nil {
			t.Errorf("%s: made %+v", c.name, k)
		}
	}
}

func BenchmarkNewKeys(b *testing.B) {
	salt := sasl.NewSalt()
	for b.Loop() {
		if _, err := sasl.NewKeys(sasl.SHA256, "pencil", salt, 4096); err != nil {
			b.Fatal(err)
		}
	}
}
