package sasl_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/sasl"
)

func TestChoice(t *testing.T) {
	all := []string{
		"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
		"ANONYMOUS", "EXTERNAL", "OAUTHBEARER",
	}
	cases := []struct {
		name    string
		change  func(*sasl.Credentials)
		offered []string
		want    string // empty: none
	}{
		{"the strongest", func(*sasl.Credentials) {}, all, "SCRAM-SHA-256-PLUS"},
		{"no binding to use", func(c *sasl.Credentials) { c.Bindings = nil }, all, "SCRAM-SHA-256"},
		{"only plain", func(*sasl.Credentials) {}, []string{"PLAIN"}, "PLAIN"},
		{"only plain, in the clear", func(c *sasl.Credentials) { c.Secure = false }, []string{"PLAIN"}, ""},
		{
			"plain in the clear on request",
			func(c *sasl.Credentials) { c.Secure, c.Mechanisms = false, []string{"PLAIN"} },
			[]string{"PLAIN"}, "PLAIN",
		},
		{"own order", func(c *sasl.Credentials) { c.Mechanisms = []string{"EXTERNAL", "PLAIN"} }, all, "EXTERNAL"},
		{"nothing known", func(*sasl.Credentials) {}, []string{"OAUTHBEARER"}, ""},
		{"nothing offered", func(*sasl.Credentials) {}, nil, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			credentials := juliet()
			c.change(&credentials)
			client, err := sasl.NewClient(credentials, c.offered)
			if c.want == "" {
				if !errors.Is(err, sasl.ErrNoMechanism) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || client.Mechanism() != c.want {
				t.Fatalf("got %v, %v; want %s", client, err, c.want)
			}
		})
	}
}

func TestChannelBindingFlag(t *testing.T) {
	bindings := []sasl.Binding{exporter}
	cases := []struct {
		name       string
		bindings   []sasl.Binding
		offered    string
		mechanisms string
		want       string
	}{
		{"bound", bindings, "SCRAM-SHA-1-PLUS SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "p=tls-exporter,,"},
		{"server cannot", bindings, "SCRAM-SHA-1", "SCRAM-SHA-1", "y,,"},
		{"client cannot", nil, "SCRAM-SHA-1-PLUS SCRAM-SHA-1", "SCRAM-SHA-1", "n,,"},
		{"client will not", bindings, "SCRAM-SHA-1-PLUS SCRAM-SHA-1", "SCRAM-SHA-1", "n,,"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			credentials := juliet()
			credentials.Bindings = c.bindings
			credentials.Mechanisms = strings.Fields(c.mechanisms)
			client, err := sasl.NewClient(credentials, strings.Fields(c.offered))
			if err != nil {
				t.Fatal(err)
			}
			first, _, err := client.Step(nil)
			if err != nil || !strings.HasPrefix(string(first), c.want+"n=juliet,r=") {
				t.Fatalf("got %q, %v", first, err)
			}
		})
	}
}

// A server that is not the one, or works to make the password cheap to guess.
func TestClientDistrusts(t *testing.T) {
	cases := []struct {
		name      string
		challenge func(nonce string) string
	}{
		{"another nonce", func(string) string { return "r=abc,s=QSXCR+Q6sek8bf92,i=4096" }},
		{"nonce not extended", func(n string) string { return "r=" + n + ",s=QSXCR+Q6sek8bf92,i=4096" }},
		{"few iterations", func(n string) string { return "r=" + n + "x,s=QSXCR+Q6sek8bf92,i=4095" }},
		{"endless iterations", func(n string) string { return "r=" + n + "x,s=QSXCR+Q6sek8bf92,i=2000000000" }},
		{"negative iterations", func(n string) string { return "r=" + n + "x,s=QSXCR+Q6sek8bf92,i=-4096" }},
		{"no salt", func(n string) string { return "r=" + n + "x,s=,i=4096" }},
		{"mandatory extension", func(n string) string { return "m=x,r=" + n + "x,s=QSXCR+Q6sek8bf92,i=4096" }},
		{"nothing", func(string) string { return "" }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			client, err := sasl.NewClient(juliet(), []string{sasl.ScramSHA256})
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := client.Step(nil)
			_, nonce, _ := strings.Cut(string(first), "r=")
			if out, done, err := client.Step([]byte(c.challenge(nonce))); err == nil {
				t.Fatalf("answered %q, done %v", out, done)
			}
			if _, _, err := client.Step(nil); err == nil {
				t.Fatal("goes on after an error")
			}
		})
	}
}

func TestClientWantsTheServersProof(t *testing.T) {
	for _, last := range []string{"", "v=", "v=AAAA", "e=other-error", "x=1"} {
		client, err := sasl.NewClient(juliet(), []string{sasl.ScramSHA256})
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := client.Step(nil)
		_, nonce, _ := strings.Cut(string(first), "r=")
		if _, done, err := client.Step([]byte("r=" + nonce + "x,s=QSXCR+Q6sek8bf92,i=4096")); done || err != nil {
			t.Fatalf("done %v, error %v", done, err)
		}
		_, _, err = client.Step([]byte(last))
		if last == "e=other-error" {
			if !errors.Is(err, sasl.NotAuthorized) {
				t.Errorf("%q: %v", last, err)
			}
			continue
		}
		if !errors.Is(err, sasl.ErrServer) {
			t.Errorf("%q: %v", last, err)
		}
	}
}
