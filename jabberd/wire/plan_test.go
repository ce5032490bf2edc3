package wire

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/jabberii/server/jabberd/frame"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
)

// full returns a T in which no field is zero, so that a field which does not
// cross is missed.
func full[T any]() T {
	var v T
	fill(reflect.ValueOf(&v).Elem(), 2)
	return v
}

func fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x" + v.Type().Name())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(77)
	case reflect.Uint8:
		v.SetUint(uint64(packet.Log))
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(78)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct && depth == 0 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), depth-1)
		}
	}
}

func cross[T any, M any, P interface {
	*M
	proto.Message
}](t *testing.T, name string, send func(T) P, take func(P) T) {
	t.Helper()
	want := full[T]()
	b, err := proto.Marshal(send(want))
	if err != nil {
		t.Fatal(err)
	}
	var m P = new(M)
	if err := proto.Unmarshal(b, m); err != nil {
		t.Fatal(err)
	}
	if got := take(m); !reflect.DeepEqual(got, want) {
		t.Errorf("%s crosses as\n%+v\nwas\n%+v", name, got, want)
	}
}

func TestPlanCrosses(t *testing.T) {
	cross(t, "module", sendModule, takeModule)
	cross(t, "section", sendSection, takeSection)
	cross(t, "made", sendMade, takeMade)
	cross(t, "error", sendError, takeError)
}

func TestWithin(t *testing.T) {
	sections := []module.Section{{Chain: make([]module.Link, 2)}, {}}
	for name, c := range map[string]struct {
		made  tree.Made
		wrong []tree.LinkError
		ok    bool
	}{
		"nothing":           {ok: true},
		"all in":            {tree.Made{Hosts: []tree.HostChange{{Section: 1}}, Passive: []tree.LinkRef{{Section: 0, Link: 1}}}, nil, true},
		"host elsewhere":    {made: tree.Made{Hosts: []tree.HostChange{{Section: 2}}}},
		"passive elsewhere": {made: tree.Made{Passive: []tree.LinkRef{{Section: 0, Link: 2}}}},
		"watcher elsewhere": {made: tree.Made{Watchers: []tree.LinkRef{{Section: 9}}}},
		"error elsewhere":   {wrong: []tree.LinkError{{LinkRef: tree.LinkRef{Section: 0, Link: 3}}}},
	} {
		if err := within(sections, c.made, c.wrong); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLinkTakesTheFramesInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newLink(nil)
		var sent, got []uint64
		n := uint64(0)
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "take") && len(sent) > len(got) {
				got = append(got, taken(t, l)...)
				continue
			}
			n++
			sent = append(sent, n)
			l.Walk(&tree.Walk{ID: n, Packet: packet.Packet{Body: make([]byte, rapid.SampledFrom([]int{0, 10, frameSize}).Draw(t, "size"))}})
		}
		l.Close()
		for len(got) < len(sent) {
			got = append(got, taken(t, l)...)
		}
		if _, err := l.take(); err != errClosed || !reflect.DeepEqual(got, sent) {
			t.Fatalf("sent %v, took %v, %v", sent, got, err)
		}
	})
}

func taken(t *rapid.T, l *Link) []uint64 {
	l.FlushSoon()
	data, err := l.take()
	l.sent()
	if err != nil {
		t.Fatal(err)
	}
	var back walkIDs
	if err := new(frame.Decoder).Decode(append([]byte(nil), *data...), &back); err != nil {
		t.Fatal(err)
	}
	l.free.Put(data)
	return back.ids
}

// walkIDs keeps the IDs of walks.
type walkIDs struct {
	counter
	ids []uint64
}

func (w *walkIDs) OnWalk(r *frame.Walk) { w.ids = append(w.ids, r.ID) }
