package module_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

type tls struct {
	Cert string `json:"cert" required:"true"`
	Min  string `json:"min" default:"1.2" enum:"1.2,1.3"`
}

type args struct {
	Name    string            `json:"label" label:"what it is called"`
	Listen  []string          `json:"listen" default:":5222,:5223" doc:"Addresses."`
	TTL     module.Duration   `json:"ttl" default:"10m"`
	Size    module.Size       `json:"size" default:"1MiB"`
	Max     int               `json:"max" default:"7"`
	On      bool              `json:"on" default:"true"`
	Env     map[string]string `json:"env"`
	Secret  string            `json:"secret" secret:"true"`
	TLS     *tls              `json:"tls"`
	Limits  limits            `json:"limits"`
	Rewrite []rewrite         `json:"rewrite"`
}

type limits struct {
	Rate float64 `json:"rate" default:"2.5"`
}

type rewrite struct {
	From string `json:"label" label:"host"`
	To   string `json:"to" required:"true"`
}

func define(got *args) module.Module {
	return module.Define("thing", "Does things.", module.On(packet.Normal), func(_ module.Env, a args) (packet.Handler, error) {
		*got = a
		return nil, nil
	})
}

func TestDefineFillsInDefaults(t *testing.T) {
	var a args
	m := define(&a)
	if _, err := m.New(nil, []byte(`{"label":"x","rewrite":[{"label":"a","to":"b"}],"ttl":"1d","size":512}`)); err != nil {
		t.Fatal(err)
	}
	if a.Name != "x" || strings.Join(a.Listen, " ") != ":5222 :5223" || a.TTL.Std() != 24*time.Hour || a.Size != 512 ||
		a.Max != 7 || !a.On || a.TLS != nil || a.Limits.Rate != 2.5 || len(a.Rewrite) != 1 || a.Rewrite[0] != (rewrite{"a", "b"}) {
		t.Errorf("got %+v", a)
	}
	if m.Label != "what it is called" || len(m.Args) != 10 {
		t.Errorf("label %q, %d arguments", m.Label, len(m.Args))
	}
}

// What another language is given is what a Go module decodes.
func TestComplete(t *testing.T) {
	m := define(new(args))
	for _, test := range []struct{ name, raw, want string }{
		{"nothing", ``, `{"limits":{"rate":2.5},"listen":[":5222",":5223"],"max":7,"on":true,"size":"1MiB","ttl":"10m"}`},
		{"what is given stays", `{"label":"x","ttl":"1d","size":512,"on":false,"listen":["a"],"limits":{"rate":1},"max":0}`,
			`{"label":"x","limits":{"rate":1},"listen":["a"],"max":0,"on":false,"size":512,"ttl":"1d"}`},
		{"inside of blocks", `{"tls":{"cert":"c"},"rewrite":[{"label":"a","to":"b"}],"limits":{}}`,
			`{"limits":{"rate":2.5},"listen":[":5222",":5223"],"max":7,"on":true,"rewrite":[{"label":"a","to":"b"}],"size":"1MiB","tls":{"cert":"c","min":"1.2"},"ttl":"10m"}`},
		{"twice", `{"limits":{"rate":2.5},"listen":[":5222",":5223"],"max":7,"on":true,"size":"1MiB","ttl":"10m"}`,
			`{"limits":{"rate":2.5},"listen":[":5222",":5223"],"max":7,"on":true,"size":"1MiB","ttl":"10m"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := module.Complete(m.Args, []byte(test.raw))
			if err != nil || string(got) != test.want {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
	for name, raw := range map[string]string{"no object": `[]`, "no such argument": `{"x":1}`, "required": `{"tls":{}}`, "wrong type": `{"max":"7"}`} {
		if got, err := module.Complete(m.Args, []byte(raw)); err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestNewReportsTheArgument(t *testing.T) {
	for name, c := range map[string]struct{ in, path, text string }{
		"unknown":         {`{"lisen":1}`, "lisen", "no such argument"},
		"type":            {`{"max":"many"}`, "max", "must be a int"},
		"fraction":        {`{"max":1.5}`, "max", "must be a int"},
		"duration":        {`{"ttl":"5 minutes"}`, "ttl", "is no duration"},
		"negative":        {`{"ttl":"-5m"}`, "ttl", "is no duration"},
		"size":            {`{"size":"5 apples"}`, "size", "is no size"},
		"list":            {`{"listen":[1]}`, "listen", "must be a list(string)"},
		"in a block":      {`{"tls":{}}`, "tls.cert", "is required"},
		"enum":            {`{"tls":{"cert":"x","min":"1.1"}}`, "tls.min", "not one of 1.2, 1.3"},
		"in a list":       {`{"rewrite":[{"to":"x"},{}]}`, "rewrite.1.to", "is required"},
		"block is a list": {`{"limits":[]}`, "limits", "is a block"},
	} {
		t.Run(name, func(t *testing.T) {
			var a args
			_, err := define(&a).New(nil, []byte(c.in))
			var bad *module.ArgError
			if !errors.As(err, &bad) || strings.Join(bad.Path, ".") != c.path || !strings.Contains(bad.Text, c.text) {
				t.Errorf("got %v, want %s: ...%s", err, c.path, c.text)
			}
		})
	}
}

func TestDefineRefusesReservedNames(t *testing.T) {
	defer func() {
		if got := recover(); got == nil || !strings.Contains(got.(string), "process") {
			t.Errorf("got %v", got)
		}
	}()
	type bad struct {
		P string `json:"process"`
	}
	module.Define("bad", "", nil, func(module.Env, bad) (packet.Handler, error) { return nil, nil })
}

func TestUnits(t *testing.T) {
	for in, want := range map[string]string{"1h30m": "1h30m0s", "7d": "7d", "2w": "14d", "1d12h": "36h0m0s", "0": "0s", "250ms": "250ms", "0.5d": "12h0m0s"} {
		if d, err := module.ParseDuration(in); err != nil || d.String() != want {
			t.Errorf("duration %q is %v, %v, want %s", in, d, err, want)
		}
	}
	for in, want := range map[string]string{"64MiB": "64MiB", "10kB": "10000", "1.5K": "1536", "2048": "2KiB", "0": "0", "1 GiB": "1GiB"} {
		if z, err := module.ParseSize(in); err != nil || z.String() != want {
			t.Errorf("size %q is %v, %v, want %s", in, z, err, want)
		}
	}
	for _, in := range []string{"", "d", "-1d", "1", "1e300d", "5 minutes", "1d-2h"} {
		if d, err := module.ParseDuration(in); err == nil {
			t.Errorf("duration %q is %v", in, d)
		}
	}
	for _, in := range []string{"", "B", "-1", "NaN", "1e300GB", "Inf", "1PB"} {
		if z, err := module.ParseSize(in); err == nil {
			t.Errorf("size %q is %v", in, z)
		}
	}
}

func TestCheckRefusesBrokenDescriptions(t *testing.T) {
	good := module.Module{Name: "m", Kinds: module.On(packet.Log), Args: []module.Arg{
		{Name: "a", Type: module.TypeDuration, Default: "10m"},
		{Name: "b", Type: module.TypeBlocks, Label: "name", Args: []module.Arg{{Name: "c", Type: module.TypeMap}}},
	}}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	with := func(args ...module.Arg) module.Module { m := good; m.Args = args; return m }
	deep := module.Arg{Name: "x", Type: module.TypeBlock}
	for range 20 {
		deep = module.Arg{Name: "x", Type: module.TypeBlock, Args: []module.Arg{deep}}
	}
	for text, m := range map[string]module.Module{
		`module "a b"`:             {Name: "a b", Kinds: good.Kinds},
		"the name is the server's": {Name: "uplink", Kinds: good.Kinds},
		"no kind of section":       {Name: "m"},
		"no kind 9":                {Name: "m", Kinds: module.On(9)},
		`claims is "many"`:         {Name: "m", Kinds: good.Kinds, Claims: "many"},
		`argument ""`:              with(module.Arg{Type: module.TypeInt}),
		"argument timeout: the":    with(module.Arg{Name: "timeout", Type: module.TypeDuration}),
		"a is there twice":         with(good.Args[0], good.Args[0]),
		`no type "list"`:           with(module.Arg{Name: "a", Type: "list"}),
		"is no duration":           with(module.Arg{Name: "a", Type: module.TypeDuration, Default: "soon"}),
		"argument b: argument c":   with(module.Arg{Name: "b", Type: module.TypeBlock, Args: []module.Arg{{Name: "c"}}}),
		"16 deep":                  with(deep),
		"module m: module s":       {Name: "m", Kinds: good.Kinds, Services: []module.Module{{Name: "s"}}},
		"services of its own":      {Name: "m", Kinds: good.Kinds, Services: []module.Module{{Name: "s", Kinds: good.Kinds, Services: []module.Module{good}}}},
	} {
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want ...%s", err, text)
		}
	}
}

// A description crosses to other processes, in whatever language, as JSON.
func TestModuleIsData(t *testing.T) {
	var a args
	raw, err := json.Marshal(define(&a))
	if err != nil || !strings.Contains(string(raw), `"kinds":["normal"]`) {
		t.Fatalf("%v %s", err, raw)
	}
	var m module.Module
	if err := json.Unmarshal(raw, &m); err != nil || m.Check() != nil || m.Kinds[0] != packet.Normal || len(m.Args) != 10 {
		t.Errorf("%v %v %+v", err, m.Check(), m)
	}
	if err := json.Unmarshal([]byte(`{"kinds":["news"]}`), &m); err == nil || !strings.Contains(err.Error(), `no kind "news"`) {
		t.Errorf("got %v", err)
	}
}

func TestCheckListen(t *testing.T) {
	for address, ok := range map[string]bool{
		":5222": true, "127.0.0.1:0": true, "[::1]:5222": true, "xmpp.example.org:5222": true,
		"5222": false, "": false, "localhost": false, "localhost:99999": false, "localhost:-1": false, "::1:5222": false, ":nonsense": false,
	} {
		err := module.CheckListen("tls.listen", []string{":0", address})
		var bad *module.ArgError
		if errors.As(err, &bad) == ok || bad != nil && strings.Join(bad.Path, ".") != "tls.listen.1" {
			t.Errorf("%q: %v", address, err)
		}
	}
}
