package sm

import (
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
	"unsafe"
)

// Contacts do what a map of them does.
func TestContactsAsAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	draw := func() contact {
		c := contact{jid: strconv.Itoa(random.IntN(40)) + "@localhost", state: subscription(random.IntN(8)), listed: random.IntN(2) == 0}
		if random.IntN(2) == 0 {
			c.name, c.groups = "N"+strconv.Itoa(random.IntN(3)), []string{"Friends", "Work"}[:1+random.IntN(2)]
		}
		if random.IntN(4) == 0 {
			c.request = []byte("<status>please</status>")
		}
		return c
	}
	want := map[string]contact{}
	var read []contact
	for range 20 {
		c := draw()
		if _, twice := want[c.jid]; !twice {
			want[c.jid] = c
			read = append(read, c)
		}
	}
	k := newContacts(read)
	for step := range 300 {
		c := draw()
		if random.IntN(3) == 0 {
			k.remove(c.jid)
			delete(want, c.jid)
		} else {
			k.put(&c)
			want[c.jid] = c
		}
		got := map[string]contact{}
		for c := range k.all() {
			got[c.jid] = c
		}
		if k.len() != len(want) || !reflect.DeepEqual(got, want) {
			t.Fatalf("after %d steps: %v, want %v", step, got, want)
		}
		some := draw()
		known, ok := want[some.jid]
		if !ok {
			known = contact{jid: some.jid}
		}
		if got := k.get(some.jid); !reflect.DeepEqual(got, known) {
			t.Fatalf("get %s: %v, want %v", some.jid, got, known)
		}
	}
}

// What most contacts have is all that is kept of them, and contacts in the same
// groups share these.
func TestContactsAreSmall(t *testing.T) {
	if size := unsafe.Sizeof(entry{}); size > 8 {
		t.Errorf("an entry has %d bytes", size)
	}
	groups := func() []string { return []string{"Friends"} }
	k := newContacts([]contact{
		{jid: "c@localhost", state: both, listed: true},
		{jid: "a@localhost", state: both, listed: true, groups: groups()},
		{jid: "b@localhost", state: both, listed: true, groups: groups()},
	})
	if k.more[2] != nil {
		t.Error("a contact without name and groups has details")
	}
	if &k.more[0].groups[0] != &k.more[1].groups[0] {
		t.Error("the same groups are kept twice")
	}
	bare := func() []contact { return []contact{{jid: "a@localhost"}, {jid: "b@localhost"}, {jid: "c@localhost"}} }
	if k := newContacts(bare()); k.more != nil {
		t.Error("there is room for details, and there are none")
	}
	if allocs := testing.AllocsPerRun(10, func() { newContacts(bare()) }); allocs > 2 {
		t.Errorf("three contacts take %v allocations", allocs)
	}
}
