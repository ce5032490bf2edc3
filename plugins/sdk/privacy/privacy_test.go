package privacy_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	stored "github.com/jabberii/server/plugins/sdk/privacy"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/privacy"
	"github.com/jabberii/server/xdb/memory"
)

const ann = "ann@example.org"

func TestLists(t *testing.T) {
	plan := sdktest.Plan{Modules: []module.Module{memory.Module}, Sections: []module.Section{
		sdktest.Section("store", packet.XDB, sdktest.Host("*"), sdktest.Block("memory", `{}`)),
	}}
	store := xdb.New(sdktest.New(t, plan, false).Env(), "test")
	var before privacy.Lists
	step := func(what string, now privacy.Lists) {
		t.Helper()
		if err := stored.Write(t.Context(), store, ann, before, now); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, err := stored.Read(t.Context(), store, ann)
		if err != nil || !reflect.DeepEqual(got, now) {
			t.Errorf("%s: read %+v, %v, want %+v", what, got, err, now)
		}
		list, err := stored.Default(t.Context(), store, ann)
		if want := now.Find(now.Default); err != nil || !reflect.DeepEqual(list, want) {
			t.Errorf("%s: the default list is %+v, %v, want %+v", what, list, err, want)
		}
		before = now
	}
	rule := privacy.Rule{Match: privacy.Group, Value: "<&", Deny: true, Order: 4, Stanzas: privacy.IQ}
	step("nothing", before)
	blocked, err := before.Block([]string{"eve@example.org"})
	if err != nil {
		t.Fatal(err)
	}
	step("blocked", blocked)
	two := blocked.With(privacy.List{Name: "a 'b'", Rules: []privacy.Rule{rule}})
	step("another list", two)
	two.Default = "a 'b'"
	step("another default", two)
	step("one less", two.Without("blocked"))
	step("none", privacy.Lists{})
	if left, err := store.Namespaces(t.Context(), ann); err != nil || len(left) > 0 {
		t.Errorf("storage has %q left, %v", left, err)
	}
	if _, err := store.Put(t.Context(), ann, stored.NS, "list x", []byte("<list xmlns='jabber:iq:privacy' name='x'><item/></list>")); err != nil {
		t.Fatal(err)
	}
	if _, err := stored.Read(t.Context(), store, ann); err == nil || !strings.Contains(err.Error(), `privacy list "list x"`) {
		t.Errorf("a broken list: %v", err)
	}
}
