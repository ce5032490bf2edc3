package xdb_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
	"github.com/jabberii/server/xdb/memory"
)

type answers struct{ got *packet.Packet }

func (a *answers) Answer(_ context.Context, _, answer *packet.Packet) error {
	p := *answer
	a.got = &p
	return nil
}

// broken is a backend that fails.
type broken struct {
	xdb.Backend
	err error
}

func (b broken) Get(context.Context, string, string, []string, []xdb.Item) ([]xdb.Item, error) {
	return nil, b.err
}

func TestErrorsOfBackends(t *testing.T) {
	q := packet.Packet{Kind: packet.XDB, To: ann, Name: "get", Type: "get", NS: "n"}
	reject := packet.Refuse("forbidden", "not yours")
	for _, c := range []struct {
		name, want string
		err        error
		verdict    packet.Verdict
	}{
		{"refusal", "forbidden: not yours", reject, packet.Claim},
		{"failure", `get "n" of "ann@example.org": disk on fire`, errors.New("disk on fire"), packet.Claim},
		{"not mine", "", xdb.ErrPass, packet.Pass},
	} {
		v, err := xdb.Serve(&answers{}, broken{err: c.err}, "x").Handle(t.Context(), &q)
		if v != c.verdict || err == nil && c.want != "" || err != nil && err.Error() != c.want {
			t.Errorf("%s: got %v, %v", c.name, v, err)
		}
		if c.err == reject {
			if got, ok := err.(*packet.Reject); !ok || got != reject {
				t.Errorf("the refusal became %T", err)
			}
		}
	}
}

func TestAnswer(t *testing.T) {
	a := &answers{}
	h := xdb.Serve(a, memory.Open(1<<20), "memory")
	q := packet.Packet{Kind: packet.XDB, To: ann, From: "me", ID: "7", Name: "put", Type: "set", NS: "n", Body: []byte("<put key='k'/>")}
	if v, err := h.Handle(t.Context(), &q); v != packet.Claim || err != nil {
		t.Fatal(v, err)
	}
	if p := a.got; p.Kind != packet.XDB || p.To != "me" || p.From != ann || p.ID != "7" || p.Name != "put" || p.Type != "result" || p.NS != "n" {
		t.Errorf("got %+v", p)
	}
}

func TestExplain(t *testing.T) {
	h := xdb.Serve(&answers{}, memory.Open(1<<20), "memory")
	for _, c := range []struct {
		name, kind string
		verdict    packet.Verdict
		why        string
	}{
		{"get", "get", packet.Claim, "memory answers get"},
		{"get", "set", packet.Refuses, "bad-request"},
		{"verify", "get", packet.Pass, `xdb has no operation "verify"`},
	} {
		v, why := h.Explain(t.Context(), &packet.Packet{Kind: packet.XDB, To: ann, NS: "n", Name: c.name, Type: c.kind})
		if v != c.verdict || !strings.HasPrefix(why, c.why) {
			t.Errorf("%s %s: %v, %s", c.kind, c.name, v, why)
		}
	}
}

// Whatever is asked, nothing panics, and what is answered is well-formed.
func FuzzHandle(f *testing.F) {
	for _, seed := range []struct{ name, body string }{
		{"get", "<item key='k'/>"},
		{"get", ""},
		{"query", "<query after='a' before='b' start='2026-05-04T12:00:00Z' with='x' max='3' reverse='true' count='true' values='false'/>"},
		{"list", ""},
		{"owners", "<owners after='x' max='2'/>"},
		{"put", "<put key='k' with='bob@example.org'><a xmlns='urn:x'>&lt;</a></put>"},
		{"delete", "<delete key='k'/>"},
		{"append", "<append with='b'>x</append><append key='k'/>"},
		{"cas", "<put key='k' was='0000000000001'/>"},
		{"batch", "<put ns='n' key='k'><![CDATA[<]]></put><delete ns='m' key='k'/><done key='k' rev='0000000000002'/>"},
		{"drop", "<drop before='k'/>"},
	} {
		for _, copied := range []bool{false, true} {
			f.Add(seed.name, "n", ann, []byte(seed.body), copied)
		}
	}
	f.Fuzz(func(t *testing.T, name, ns, owner string, body []byte, copied bool) {
		a := &answers{}
		h := xdb.Serve(a, memory.Open(1<<20), "memory")
		for _, before := range []string{"<put key='k'>1</put><put key='l'>2</put>", string(body)} {
			for _, kind := range []string{"set", "get"} {
				p := packet.Packet{Kind: packet.XDB, To: owner, Name: name, Type: kind, NS: ns, Body: []byte(before)}
				if copied {
					p.Attrs = " replica='true'"
				}
				a.got = nil
				v, err := h.Handle(t.Context(), &p)
				if a.got == nil {
					if v == packet.Claim && err == nil {
						t.Fatalf("%s %s was claimed and not answered", kind, name)
					}
					continue
				}
				if err := xml.Check(a.got.Body, xml.Limits{Bytes: 8 << 20, Depth: 256}); err != nil {
					t.Fatalf("answered %q: %v", a.got.Body, err)
				}
			}
		}
	})
}

// What the client writes the server reads.
func FuzzValues(f *testing.F) {
	f.Add("k", "bob@example.org", []byte("<a>&amp;</a>"))
	f.Add("'<", "", []byte("</put><put key='x'>"))
	f.Fuzz(func(t *testing.T, key, with string, value []byte) {
		m := memory.Open(1 << 24)
		a := &answers{}
		tree := &loop{a, xdb.Serve(a, m, "memory")}
		s := xdb.New(tree, "me")
		change := []xdb.Change{{NS: "n", Key: key, With: with, Value: value}}
		if s.Batch(t.Context(), ann, change) != nil {
			return
		}
		items, err := m.Get(t.Context(), ann, "n", nil, nil)
		if err != nil || len(items) != 1 || items[0].Key != key || items[0].With != with || !bytes.Equal(items[0].Value, value) {
			t.Fatalf("put %q, %q, %q: got %q, %v", key, with, value, items, err)
		}
		it, found, err := s.Get(t.Context(), ann, "n", key)
		if err != nil || !found || it.Key != key || it.With != with || !bytes.Equal(it.Value, value) {
			t.Fatalf("put %q, %q, %q: got %q, %v", key, with, value, it, err)
		}
	})
}

type loop struct {
	answers *answers
	handler packet.Handler
}

func (l *loop) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	_, err := l.handler.Handle(ctx, q)
	return l.answers.got, err
}
