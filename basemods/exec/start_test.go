package exec_test

import (
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jabberii/server/basemods/exec"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

// env is a section of some kinds.
type env struct {
	module.Env
	kinds []packet.Kind
}

func (e env) Kinds() []packet.Kind    { return e.kinds }
func (e env) Log() *slog.Logger       { return slog.New(slog.DiscardHandler) }
func (e env) Path(name string) string { return filepath.Join("/nowhere", name) }

func TestProgramsThatDoNotStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ args, err string }{
		"nowhere in PATH": {`{"command":["no-such-program"]}`, "no-such-program is in no folder of"},
		"own PATH":        {`{"command":["sh"],"env":{"PATH":"/nowhere"}}`, "sh is in no folder of /nowhere"},
		"no file":         {`{"command":["/nowhere/x"]}`, "start x: fork/exec /nowhere/x: no such file"},
		"no program":      {`{"command":["/dev/null"]}`, "permission denied"},
		"no folder":       {`{"command":["true"],"dir":"x"}`, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := exec.Module.New(env{kinds: module.On(packet.Normal)}, []byte(c.args))
			if err != nil {
				t.Fatal(err)
			}
			if err := h.(module.Starter).Start(t.Context()); err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %v, want ...%s...", err, c.err)
			}
			if err := h.(io.Closer).Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	normal, service := module.On(packet.Normal), module.On(packet.Normal, packet.Session)
	for args, c := range map[string]struct {
		kinds []packet.Kind
		path  string
	}{
		`{}`:                                            {normal, "command"},
		`{"command":[]}`:                                {normal, "command"},
		`{"command":["a\u0000"]}`:                       {normal, "command"},
		`{"command":["x"],"form":"yaml"}`:               {normal, "form"},
		`{"command":["x"]}`:                             {module.On(packet.XDB), "form"},
		`{"command":["x"],"form":"xml"}`:                {module.On(packet.Session), "form"},
		`{"command":["x"],"ping":"1s"}`:                 {normal, "ping"},
		`{"command":["x"],"window":0}`:                  {normal, "window"},
		`{"command":["x"],"backlog":0}`:                 {normal, "backlog"},
		`{"command":["x"],"limit":10}`:                  {normal, "limit"},
		`{"command":["x"],"env":{"A=B":"c"}}`:           {normal, "env"},
		`{"command":["x"],"restart":{"after":"0"}}`:     {normal, "restart.after"},
		`{"command":["x"],"restart":{"up_to":"500ms"}}`: {normal, "restart.up_to"},
		`{"command":["x"],"restart":{"times":-1}}`:      {normal, "restart.times"},
	} {
		_, err := exec.Module.New(env{kinds: c.kinds}, []byte(args))
		var bad *module.ArgError
		if !errors.As(err, &bad) || strings.Join(bad.Path, ".") != c.path {
			t.Errorf("%s: got %v, want an error at %s", args, err, c.path)
		}
	}
	for _, kinds := range [][]packet.Kind{normal, service, module.On(packet.XDB), module.On(packet.Log)} {
		if _, err := exec.Module.New(env{kinds: kinds}, []byte(`{"command":["x"],"form":"json"}`)); err != nil {
			t.Errorf("json for %v: %v", kinds, err)
		}
	}
}

func TestStandardErrorIsLogged(t *testing.T) {
	t.Parallel()
	const says = `printf '%s\n' 'plain' 'ERROR: e' 'debug: d' '[WARNING] w' '<6>i' '<3>three' '<9>nine' 'odd: x' '' "$(printf '%05000d' 7)" >&2; cat`
	h := sdktest.New(t, plan(t, map[string]any{"command": []string{"sh", "-c", says}}), true)
	for _, want := range []string{"warn plain", "error e", "debug d", "warn w", "info i", "error three", "warn &lt;9&gt;nine", "warn odd: x", "warn " + strings.Repeat("0", 4096)} {
		level, text, _ := strings.Cut(want, " ")
		if e := h.Logged(text); e.Type != level || string(e.Body) != text {
			t.Errorf("logged %s %.40s, want %.40s", e.Type, e.Body, want)
		}
	}
}

func TestLogEntries(t *testing.T) {
	t.Parallel()
	plan := sdktest.Plan{Modules: []module.Module{exec.Module}, Sections: []module.Section{
		sdktest.Section("alarm", packet.Log, sdktest.Host("example.org"),
			sdktest.Block("exec", `{"command":["sh","-c","while read -r line; do echo \"<message to='ann@example.org' from='example.org'>$line</message>\"; done"]}`)),
		sdktest.Sinks("example.org", packet.Normal),
	}}
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		h.Deliver(&packet.Packet{Kind: packet.Log, Host: "example.org", From: "c2s", Name: "entry", Type: "warn", Attrs: " module='c2s'", Body: []byte("a &lt; b")})
		if p := h.Next(); string(p.Body) != "<entry from='c2s' type='warn' host='example.org' module='c2s'>a &lt; b</entry>" {
			t.Errorf("sent %s", p.Body)
		}
	})
}

func TestReadme(t *testing.T) { configtest.Readme(t, exec.Module) }
