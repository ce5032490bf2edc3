package setting_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/setting"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// A tree is one xdb section that answers out of a table.
type tree struct {
	server *xdb.Server
	answer *packet.Packet
}

func (tr *tree) Answer(_ context.Context, _, answer *packet.Packet) error {
	a := *answer
	tr.answer = &a
	return nil
}

func (tr *tree) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	if v, err := tr.server.Handle(ctx, q); err != nil || v != packet.Claim {
		return nil, err
	}
	return tr.answer, nil
}

func store(t *testing.T, list []module.Setting) *xdb.Store {
	t.Helper()
	table := &setting.Table{}
	if list != nil {
		if err := table.Set(list, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	tr := &tree{}
	tr.server = xdb.Serve(tr, table, "the server")
	return xdb.New(tr, "test")
}

func settings() []module.Setting {
	return []module.Setting{
		{Key: "engine", Type: "engine", Args: json.RawMessage(`{"data_dir":"<d> & \"e\""}`), HCL: "engine {\n}\n"},
		{Key: "section/b", Order: 1, Type: "service", Label: "b", Kinds: module.On(packet.Normal, packet.Session), Hosts: []string{"b"},
			Chain: []module.Setting{{Type: "host", Label: "b", Place: "f:2"}}},
		{Key: "section/a", Order: 2, Type: "xdb", Label: "a"},
	}
}

func TestRead(t *testing.T) {
	list, err := setting.Read(t.Context(), store(t, settings()))
	if err != nil || len(list) != 3 {
		t.Fatal(err, list)
	}
	list[0].Args = json.RawMessage(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(list[0].Args)))
	if want := settings(); !reflect.DeepEqual(list, want) {
		t.Errorf("got  %+v\nwant %+v", list, want)
	}
	if list, err := setting.Read(t.Context(), store(t, nil)); err != nil || list != nil {
		t.Errorf("of none: %v %v", list, err)
	}
}

func TestReadByPages(t *testing.T) {
	var long []module.Setting
	for i := range 1234 {
		long = append(long, module.Setting{Key: fmt.Sprintf("section/%d", i), Order: i, Type: "log", HCL: strings.Repeat("x", 4000)})
	}
	s := store(t, long)
	list, err := setting.Read(t.Context(), s)
	if err != nil || !reflect.DeepEqual(list, long) {
		t.Errorf("%v, %d settings", err, len(list))
	}
	if _, err := s.GetAll(t.Context(), packet.ServerHost, setting.NS); err == nil {
		t.Error("4 MB in one answer")
	}
}

func TestGet(t *testing.T) {
	s := store(t, settings())
	if got, found, err := setting.Get(t.Context(), s, "section/a"); err != nil || !found || got.Label != "a" || got.Order != 2 {
		t.Errorf("%+v %v %v", got, found, err)
	}
	if _, found, err := setting.Get(t.Context(), s, "section/c"); err != nil || found {
		t.Errorf("%v %v", found, err)
	}
}

func TestTheTableAnswersAsStorage(t *testing.T) {
	s, ctx := store(t, settings()), t.Context()
	if names, err := s.Namespaces(ctx, packet.ServerHost); err != nil || !slices.Equal(names, []string{"config"}) {
		t.Errorf("namespaces %q, %v", names, err)
	}
	for ns, want := range map[string]int{"": 1, setting.NS: 1, "roster": 0} {
		if owners, more, err := s.Owners(ctx, packet.ServerHost, ns, "", 10); err != nil || len(owners) != want || more {
			t.Errorf("owners in %q: %q, %v", ns, owners, err)
		}
	}
	for _, c := range []struct {
		query xdb.Query
		want  string
	}{
		{xdb.Query{}, "engine section/a section/b"},
		{xdb.Query{Before: "section/b", Reverse: true}, "section/a engine"},
		{xdb.Query{After: "engine", Max: 1}, "section/a"},
	} {
		page, err := s.Keys(ctx, packet.ServerHost, setting.NS, c.query)
		var keys []string
		for _, it := range page.Items {
			keys = append(keys, it.Key)
		}
		if got := strings.Join(keys, " "); err != nil || got != c.want || len(page.Items[0].Value) != 0 {
			t.Errorf("%+v: %q, %v", c.query, got, err)
		}
	}
	page, err := s.Query(ctx, packet.ServerHost, setting.NS, xdb.Query{After: "engine", Max: 1, Count: true, Reverse: true})
	if err != nil || page.Count != 3 || !page.More || page.Items[0].Key != "section/b" {
		t.Errorf("%+v, %v", page, err)
	}
	if page, err := s.Query(ctx, "example.org", setting.NS, xdb.Query{}); err != nil || len(page.Items) != 0 {
		t.Errorf("of another owner: %+v, %v", page, err)
	}
	var reject *packet.Reject
	if _, err := s.Put(ctx, packet.ServerHost, setting.NS, "engine", nil); !errors.As(err, &reject) || reject.Condition != "not-allowed" {
		t.Errorf("put: %v", err)
	}
	if err := s.Drop(ctx, packet.ServerHost, setting.NS, ""); !errors.As(err, &reject) || reject.Condition != "not-allowed" {
		t.Errorf("drop: %v", err)
	}
}
