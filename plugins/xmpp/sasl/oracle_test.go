package sasl_test

import (
	"context"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/xdg-go/scram"
)

var oracles = []struct {
	mechanism string
	hash      sasl.Hash
	generator scram.HashGeneratorFcn
	plus      bool
}{
	{sasl.ScramSHA1, sasl.SHA1, scram.SHA1, false},
	{sasl.ScramSHA256, sasl.SHA256, scram.SHA256, false},
	{sasl.ScramSHA512, sasl.SHA512, scram.SHA512, false},
	{sasl.ScramSHA1Plus, sasl.SHA1, scram.SHA1, true},
	{sasl.ScramSHA256Plus, sasl.SHA256, scram.SHA256, true},
	{sasl.ScramSHA512Plus, sasl.SHA512, scram.SHA512, true},
}

const oraclePassword = "p\u00e9ncil\u2168"

var oracleBinding = scram.ChannelBinding{Type: scram.ChannelBindingTLSExporter, Data: exporter.Data}

func TestOurClientTheirServer(t *testing.T) {
	auth := accounts(t, oraclePassword)
	for _, o := range oracles {
		t.Run(o.mechanism, func(t *testing.T) {
			theirs, err := o.generator.NewServer(func(name string) (scram.StoredCredentials, error) {
				k, err := auth.Keys(context.Background(), name, o.hash)
				return scram.StoredCredentials{
					KeyFactors: scram.KeyFactors{Salt: string(k.Salt), Iters: k.Iterations},
					StoredKey:  k.StoredKey, ServerKey: k.ServerKey,
				}, err
			})
			if err != nil {
				t.Fatal(err)
			}
			server := theirs.NewConversation()
			if o.plus {
				server = theirs.NewConversationWithChannelBindingRequired(oracleBinding)
			}
			credentials := juliet()
			credentials.Password = oraclePassword
			client, err := sasl.NewClient(credentials, []string{o.mechanism})
			if err != nil {
				t.Fatal(err)
			}
			var challenge []byte
			done := false
			for !done {
				response, _, err := client.Step(challenge)
				if err != nil {
					t.Fatal(err)
				}
				text, err := server.Step(string(response))
				if err != nil {
					t.Fatal(err)
				}
				challenge, done = []byte(text), server.Done()
			}
			if _, done, err := client.Step(challenge); !done || err != nil || !server.Valid() {
				t.Fatalf("client: done %v, error %v; server: valid %v", done, err, server.Valid())
			}
		})
	}
}

func TestTheirClientOurServer(t *testing.T) {
	auth := accounts(t, oraclePassword)
	for _, o := range oracles {
		t.Run(o.mechanism, func(t *testing.T) {
			theirs, err := o.generator.NewClient("juliet", oraclePassword, "")
			if err != nil {
				t.Fatal(err)
			}
			client := theirs.NewConversation()
			if o.plus {
				client = theirs.NewConversationWithChannelBinding(oracleBinding)
			}
			server, err := auth.Start(o.mechanism, secure)
			if err != nil {
				t.Fatal(err)
			}
			text, err := client.Step("")
			for done := false; !done && err == nil; {
				var challenge []byte
				if challenge, done, err = server.Step(context.Background(), []byte(text)); err == nil {
					text, err = client.Step(string(challenge))
				}
			}
			if err != nil || !client.Valid() || server.Username() != "juliet" {
				t.Fatalf("error %v, client valid %v, username %q", err, client.Valid(), server.Username())
			}
		})
	}
}
