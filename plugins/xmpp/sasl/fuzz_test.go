package sasl_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// FuzzServer feeds a server two messages of its own making: whatever they are, the
// server does not panic, fails with a Failure, and never lets anybody in.
func FuzzServer(f *testing.F) {
	auth := accounts(f, "pencil")
	all := auth.Offer(secure)
	f.Add(uint8(0), []byte("p=tls-exporter,,n=juliet,r=abc"), []byte("c=biws,r=abc,p=AAAA"))
	f.Add(uint8(3), []byte("n,a=romeo,n=juliet,r=abc,x=y"), []byte("c=biws,r=@,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="))
	f.Add(uint8(5), []byte("y,,n=ju=2Cliet,r=abc"), []byte("c=eSws,r=@,x=,p="))
	f.Add(uint8(6), []byte("juliet\x00juliet\x00pen"), []byte{})
	f.Fuzz(func(t *testing.T, which uint8, first, second []byte) {
		mechanism := all[int(which)%len(all)]
		if strings.Contains(string(first), "pencil") {
			t.Skip("it guessed")
		}
		server, err := auth.Start(mechanism, secure)
		if err != nil {
			t.Fatal(err)
		}
		challenge, done, err := server.Step(context.Background(), first)
		if err == nil && !done {
			// The fuzzer cannot guess the nonce: it may write @ for it.
			nonce, _, _ := strings.Cut(strings.TrimPrefix(string(challenge), "r="), ",")
			second = []byte(strings.ReplaceAll(string(second), "@", nonce))
			_, done, err = server.Step(context.Background(), second)
		}
		var failure *sasl.Failure
		if err != nil && !errors.As(err, &failure) {
			t.Fatalf("not a Failure: %v", err)
		}
		if done && err == nil || server.Username() != "" {
			t.Fatalf("%s let %q in with %q, %q", mechanism, server.Username(), first, second)
		}
	})
}

// FuzzClient feeds a client two messages: it does not panic, and never believes
// a server that does not know the password.
func FuzzClient(f *testing.F) {
	f.Add([]byte("r=@x,s=QSXCR+Q6sek8bf92,i=4096"), []byte("v=rmF9pqV8S7suAoZWja4dJRkFsKQ="))
	f.Add([]byte("r=@x,s=QSXCR+Q6sek8bf92,i=99999999999"), []byte("e=unknown-user"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		client, err := sasl.NewClient(juliet(), []string{sasl.ScramSHA1})
		if err != nil {
			t.Fatal(err)
		}
		response, _, err := client.Step(nil)
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.LastIndex(string(first), ",i="); i < 0 || len(first)-i > len(",i=4096") {
			return // it would only keep the machine busy
		}
		_, nonce, _ := strings.Cut(string(response), "r=")
		challenge := []byte(strings.ReplaceAll(string(first), "@", nonce))
		if _, done, err := client.Step(challenge); err != nil || done {
			if done && err == nil {
				t.Fatal("done without the server's proof")
			}
			return
		}
		if _, done, err := client.Step(second); done && err == nil {
			t.Fatalf("believed %q", second)
		}
	})
}

func FuzzKeysText(f *testing.F) {
	f.Add("SCRAM-SHA-1$4096:QSXCR+Q6sek8bf92$AAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Fuzz(func(t *testing.T, text string) {
		var k sasl.Keys
		if k.UnmarshalText([]byte(text)) != nil {
			return
		}
		again, err := k.MarshalText()
		if err != nil {
			t.Fatalf("read %q, but cannot write it: %v", text, err)
		}
		var back sasl.Keys
		if err := back.UnmarshalText(again); err != nil {
			t.Fatalf("wrote %q, but cannot read it: %v", again, err)
		}
	})
}
