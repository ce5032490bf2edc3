package sasl

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
)

// The examples of RFC 5802 part 5 and RFC 7677 part 3.
var vectors = []struct {
	mechanism     string
	salt          string
	serverNonce   string
	clientNonce   string
	final         string
	signature     string
	serverMessage string
}{
	{
		mechanism:     ScramSHA1,
		clientNonce:   "fyko+d2lbbFgONRv9qkxdawL",
		serverNonce:   "3rfcNHYJY1ZVvWVs7j",
		salt:          "QSXCR+Q6sek8bf92",
		serverMessage: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
		final:         "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
		signature:     "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
	},
	{
		mechanism:     ScramSHA256,
		clientNonce:   "rOprNGfwEbeRWgbNEkqO",
		serverNonce:   "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
		salt:          "W22ZaJ0SNY7soEsUEjb6gQ==",
		serverMessage: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0," +
			"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		signature: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
	},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.mechanism, func(t *testing.T) {
			hash, _, _ := scramMechanism(v.mechanism)
			salt, err := base64.StdEncoding.DecodeString(v.salt)
			if err != nil {
				t.Fatal(err)
			}
			keys, err := NewKeys(hash, "pencil", salt, 4096)
			if err != nil {
				t.Fatal(err)
			}
			client, server := vectorPair(t, hash, keys, v.clientNonce, v.serverNonce)

			first, _, err := client.Step(nil)
			expect(t, "client first", first, "n,,n=user,r="+v.clientNonce, err)
			challenge, _, err := server.Step(context.Background(), first)
			expect(t, "server first", challenge, v.serverMessage, err)
			final, done, err := client.Step(challenge)
			expect(t, "client final", final, v.final, err)
			if done {
				t.Fatal("client is done before it has the server's proof")
			}
			signature, done, err := server.Step(context.Background(), final)
			expect(t, "server final", signature, v.signature, err)
			if !done || server.Username() != "user" {
				t.Fatalf("server: done %v, username %q", done, server.Username())
			}
			if _, done, err = client.Step(signature); err != nil || !done {
				t.Fatalf("client: done %v, error %v", done, err)
			}
		})
	}
}

// vectorPair is a client and a server with the nonces of an example.
func vectorPair(t *testing.T, hash Hash, keys Keys, clientNonce, serverNonce string) (*Client, *Server) {
	t.Helper()
	c := &scramClient{
		hash: hash, password: "pencil", minIterations: 4096, header: "n,,",
		bare: "n=user,r=" + clientNonce, nonce: clientNonce,
	}
	auth := &Authenticator{
		Secret: []byte("0123456789abcdef"),
		Keys:   func(context.Context, string, Hash) (Keys, error) { return keys, nil },
	}
	s := &Server{auth: auth, mechanism: "SCRAM-" + string(hash)}
	x := &scramServer{Server: s, hash: hash, nonce: serverNonce}
	s.next = x.first
	return &Client{mechanism: s.mechanism, next: c.first}, s
}

func expect(t *testing.T, what string, got []byte, want string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if string(got) != want {
		t.Fatalf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func TestNoncesDiffer(t *testing.T) {
	a, b := newNonce(), newNonce()
	if a == b || len(a) != 24 || strings.ContainsRune(a, ',') {
		t.Fatalf("nonces %q and %q", a, b)
	}
}
