package frame_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/jabberii/server/jabberd/frame"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/wire/plugin"
)

// tape keeps what it receives.
type tape struct{ records []any }

func (t *tape) OnWalk(r *frame.Walk)         { t.records = append(t.records, *r) }
func (t *tape) OnSettle(r *frame.Settlement) { t.records = append(t.records, *r) }
func (t *tape) OnHost(r *frame.HostChange)   { t.records = append(t.records, *r) }
func (t *tape) OnExplain(r *frame.Explain)   { t.records = append(t.records, *r) }
func (t *tape) OnCommit(r *frame.Commit) {
	c := *r
	c.Stops = append([]frame.Stop(nil), r.Stops...)
	c.Deliveries = append([]frame.Delivery(nil), r.Deliveries...)
	t.records = append(t.records, c)
}

func encode(b []byte, record any) []byte {
	switch r := record.(type) {
	case frame.Walk:
		return frame.AppendWalk(b, &r)
	case frame.Commit:
		return frame.AppendCommit(b, &r)
	case frame.Settlement:
		return frame.AppendSettlement(b, &r)
	case frame.HostChange:
		return frame.AppendHost(b, &r)
	case frame.Explain:
		return frame.AppendExplain(b, &r)
	}
	panic("no record")
}

// some draws a record that a process may send.
func some(t *rapid.T) any {
	var r any
	switch rapid.IntRange(1, 5).Draw(t, "record") {
	case 1:
		r = rapid.Make[frame.Walk]().Draw(t, "walk")
	case 2:
		r = rapid.Make[frame.Commit]().Draw(t, "commit")
	case 3:
		r = rapid.Make[frame.Settlement]().Draw(t, "settlement")
	case 4:
		r = rapid.Make[frame.HostChange]().Draw(t, "host")
	default:
		r = rapid.Make[frame.Explain]().Draw(t, "explain")
	}
	return sane(reflect.ValueOf(r)).Interface()
}

// sane returns v with empty slices nil and enumerations within their values.
func sane(v reflect.Value) reflect.Value {
	w := reflect.New(v.Type()).Elem()
	w.Set(v)
	switch {
	case v.Type() == reflect.TypeFor[packet.Kind]():
		w.SetUint(v.Uint() % uint64(packet.NumKinds))
	case v.Type() == reflect.TypeFor[packet.Verdict](), v.Type() == reflect.TypeFor[packet.Result]():
		w.SetUint(v.Uint() % 3)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			w.Field(i).Set(sane(v.Field(i)))
		}
	case v.Kind() == reflect.Slice && v.Len() == 0:
		w.SetZero()
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			w.Index(i).Set(sane(v.Index(i)))
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(sane(v.Elem()))
		w.Set(p)
	}
	return w
}

func TestFramesAreThoseOfTheGeneratedCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var records []any
		var ours []byte
		want := &plugin.Frame{}
		for range rapid.IntRange(0, 4).Draw(t, "records") {
			r := some(t)
			records, ours = append(records, r), encode(ours, r)
			want.Records = append(want.Records, message(r))
		}
		theirs, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, theirs) {
			t.Fatalf("encoded as\n%s\nthe generated code has\n%s", hex.Dump(ours), hex.Dump(theirs))
		}
		var back tape
		if err := new(frame.Decoder).Decode(theirs, &back); err != nil {
			t.Fatal(err)
		}
		if len(records)+len(back.records) > 0 && !reflect.DeepEqual(back.records, records) {
			t.Fatalf("decoded as\n%+v\nwas\n%+v", back.records, records)
		}
	})
}

func TestLongRecordsHaveTheirLength(t *testing.T) {
	for _, n := range []int{0, 100, 127, 128, 16000, 16383, 16384, 1 << 21, 1<<21 + 9} {
		w := frame.Walk{ID: 1, Packet: packet.Packet{Body: bytes.Repeat([]byte("x"), n)}}
		var theirs plugin.Frame
		if err := proto.Unmarshal(frame.AppendWalk(nil, &w), &theirs); err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if got := len(theirs.Records[0].GetWalk().GetPacket().GetBody()); got != n {
			t.Errorf("%d bytes came back as %d", n, got)
		}
	}
}

func TestAStringThatIsNotUTF8(t *testing.T) {
	h := frame.HostChange{ID: 7, Host: "a\xffb"}
	var back tape
	if err := new(frame.Decoder).Decode(frame.AppendHost(nil, &h), &back); err != nil {
		t.Fatal(err)
	}
	if got := back.records[0].(frame.HostChange).Host; got != "a\uFFFDb" {
		t.Errorf("sent as %q", got)
	}
	damaged := bytes.Replace(frame.AppendHost(nil, &frame.HostChange{Host: "a?b"}), []byte("?"), []byte("\xff"), 1)
	if err := new(frame.Decoder).Decode(damaged, &back); !errors.Is(err, frame.ErrDamaged) || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("received: %v", err)
	}
}

func TestDamagedFrames(t *testing.T) {
	kind, _ := proto.Marshal(&plugin.Frame{Records: []*plugin.Record{{Record: &plugin.Record_Walk{Walk: &plugin.Walk{Packet: &plugin.Packet{Kind: 9}}}}}})
	link, _ := proto.Marshal(&plugin.Frame{Records: []*plugin.Record{{Record: &plugin.Record_Walk{Walk: &plugin.Walk{Link: 1 << 16}}}}})
	for name, damaged := range map[string][]byte{
		"cut in a key":       {0x8a},
		"cut in a length":    {0x0a, 0x80},
		"longer than itself": {0x0a, 5, 1},
		"field 0":            {0x02, 0},
		"a group's end":      {0x0c},
		"unknown kind":       kind,
		"a link too far":     link,
	} {
		var back tape
		if err := new(frame.Decoder).Decode(damaged, &back); !errors.Is(err, frame.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if len(back.records) != 0 {
			t.Errorf("%s: received %+v", name, back.records)
		}
	}
}

func TestLaterFieldsAreSkipped(t *testing.T) {
	// A record of kind 9, and a host change with fields 6 (text) and 7 (a number).
	later := []byte{0x0a, 3, 0x4a, 1, 'x', 0x0a, 9, 0x22, 7, 0x08, 5, 0x32, 1, 'x', 0x38, 1}
	var back tape
	if err := new(frame.Decoder).Decode(later, &back); err != nil {
		t.Fatal(err)
	}
	if want := []any{frame.HostChange{ID: 5}}; !reflect.DeepEqual(back.records, want) {
		t.Errorf("got %+v, want %+v", back.records, want)
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	w, c := letter(), verdict()
	b := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { b = frame.AppendCommit(frame.AppendWalk(b[:0], w), c) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	var d frame.Decoder
	var count counter
	if n := testing.AllocsPerRun(100, func() { _ = d.Decode(b, &count) }); n != 0 {
		t.Errorf("decoding: %v allocations", n)
	}
}

// FuzzFrame: no bytes make the decoder panic, and what it takes the generated
// code takes too, as the same records.
func FuzzFrame(f *testing.F) {
	f.Add(frame.AppendWalk(nil, letter()))
	f.Add(frame.AppendCommit(nil, verdict()))
	f.Add(frame.AppendExplain(nil, &frame.Explain{ID: 1, Steps: []frame.Step{{Module: "c2s", Why: "x", Asked: true}}}))
	f.Add(frame.AppendSettlement(frame.AppendHost(nil, &frame.HostChange{Host: "*"}), &frame.Settlement{Num: 1, Reason: packet.Refuse("gone", "")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours tape
		if err := new(frame.Decoder).Decode(data, &ours); err != nil {
			return
		}
		var theirs plugin.Frame
		if err := proto.Unmarshal(data, &theirs); err != nil {
			t.Fatalf("the generated code refuses it: %v", err)
		}
		i := 0
		for _, r := range theirs.Records {
			if r.Record == nil {
				continue
			}
			if want := message(ours.records[i]); !proto.Equal(clean(r), want) {
				t.Errorf("record %d is %v, the generated code has %v", i, want, r)
			}
			i++
		}
		if i != len(ours.records) {
			t.Errorf("%d records, the generated code has %d", len(ours.records), i)
		}
	})
}

// clean returns r without unknown fields and without tokens that name nobody,
// in the way that our encoder writes it.
func clean(r *plugin.Record) *plugin.Record {
	var back tape
	b, _ := proto.Marshal(&plugin.Frame{Records: []*plugin.Record{r}})
	_ = new(frame.Decoder).Decode(b, &back)
	var f plugin.Frame
	_ = proto.Unmarshal(encode(nil, back.records[0]), &f)
	return f.Records[0]
}

func letter() *frame.Walk {
	return &frame.Walk{ID: 123456, Origin: 1 << 60, Num: 123456, Settled: 123400, Section: 3, Timeout: 30 * time.Second, Packet: packet.Packet{
		Kind: packet.Normal, To: "ann@example.org/phone", From: "bob@example.org/desk", Name: "message", Type: "chat", ID: "a1b2c3",
		Body: []byte("<body>" + strings.Repeat("hello ", 30) + "</body><active xmlns='http://jabber.org/protocol/chatstates'/>"),
	}}
}

func verdict() *frame.Commit {
	return &frame.Commit{Stops: []frame.Stop{{Walk: 123456, Link: 1, Verdict: packet.Claim}}, Settled: 99}
}

type counter struct{ records int }

func (c *counter) OnWalk(*frame.Walk)         { c.records++ }
func (c *counter) OnCommit(*frame.Commit)     { c.records++ }
func (c *counter) OnSettle(*frame.Settlement) { c.records++ }
func (c *counter) OnHost(*frame.HostChange)   { c.records++ }
func (c *counter) OnExplain(*frame.Explain)   { c.records++ }

func BenchmarkEncodeWalk(b *testing.B) {
	w, buf := letter(), make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = frame.AppendWalk(buf[:0], w)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodeWalk(b *testing.B) {
	one := frame.AppendWalk(nil, letter())
	var d frame.Decoder
	var c counter
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Decode(one, &c); err != nil {
			b.Fatal(err)
		}
	}
}
