package c2s_test

import (
	"context"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/xdb/memory"
)

const inTheClear = `{"listen":["127.0.0.1:0"],"starttls":"optional"}`

var challengeIn = regexp.MustCompile(`<challenge[^>]*>([^<]*)<`)

// salt is what the server says is that of an account.
func salt(t *testing.T, address, username string) string {
	t.Helper()
	out := raw(t, address, "<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"+
		"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>"+
		base64.StdEncoding.EncodeToString([]byte("n,,n="+username+",r=nonce"))+"</auth></stream:stream>")
	found := challengeIn.FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no challenge in %s", out)
	}
	text, err := base64.StdEncoding.DecodeString(found[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), ",") {
		if s, ok := strings.CutPrefix(part, "s="); ok {
			return s
		}
	}
	t.Fatalf("no salt in %s", text)
	return ""
}

// An account that does not exist has the same salt whichever process is asked:
// what it is made of is in storage.
func TestDecoysAreTheSameInAllProcesses(t *testing.T) {
	two := plan(inTheClear)
	two.Sections = append(two.Sections, sdktest.Section("other", packet.Session, sdktest.Block("c2s", inTheClear)))
	sdktest.Both(t, two, func(t *testing.T, h *sdktest.Harness) {
		addresses := []string{listening(h), listening(h)}
		first := salt(t, addresses[0], "nobody")
		for _, address := range addresses {
			if again := salt(t, address, "nobody"); again != first {
				t.Errorf("the salt is %s, and then %s", first, again)
			}
			if other := salt(t, address, "noone"); other == first {
				t.Error("two accounts have one salt")
			}
		}
		it, found, err := xdb.New(asker{h}, "test").Get(context.Background(), domain, "sasl", "decoys")
		if err != nil || !found {
			t.Fatalf("nothing is in storage: %v", err)
		}
		secret, err := base64.StdEncoding.DecodeString(string(it.Value))
		if err != nil {
			t.Fatal(err)
		}
		keys := sasl.Decoy(secret, sasl.SHA256, "nobody", sasl.MinIterations)
		if want := base64.StdEncoding.EncodeToString(keys.Salt); first != want {
			t.Errorf("the salt is %s; by what is in storage it should be %s", first, want)
		}
	})
}

// Where storage takes no secret, clients log in all the same.
func TestDecoysWithoutStorage(t *testing.T) {
	p := plan(inTheClear)
	p.Modules = append(p.Modules, module.Define("readonly", "", module.On(packet.XDB), func(env module.Env, _ struct{}) (packet.Handler, error) {
		backend := xdb.Serve(env, memory.Open(1<<20), "memory")
		return packet.HandlerFunc(func(ctx context.Context, q *packet.Packet) (packet.Verdict, error) {
			if q.Type == "set" && q.NS != "auth" {
				return packet.Claim, packet.Refuse("not-allowed", "")
			}
			return backend.Handle(ctx, q)
		}), nil
	}))
	p.Sections[len(p.Sections)-1] = sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("readonly", "{}"))
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		if first, again := salt(t, address, "nobody"), salt(t, address, "nobody"); first != again {
			t.Errorf("the salt is %s, and then %s", first, again)
		}
		h.Logged("not in storage")
		withAccount(t, h)
		if real := salt(t, address, "ann"); real == "" {
			t.Error("an account has no salt")
		}
	})
}
