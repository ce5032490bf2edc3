package entry_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/entry"
)

func at(attrs, text string) *packet.Packet {
	return &packet.Packet{
		Kind: packet.Log, Type: "warn", Host: "example.org", From: "c2s", Name: entry.Name,
		Attrs: " time='2026-03-01T12:30:00.25Z'" + attrs, Body: entry.Body(text),
	}
}

func TestLayout(t *testing.T) {
	for name, c := range map[string]struct {
		layout string
		entry  *packet.Packet
		want   string
	}{
		"default":             {entry.DefaultLayout, at(" module='c2s' place='a.hcl:12'", "bad <x/> & co"), "2026-03-01T12:30:00Z warn example.org c2s: bad <x/> & co module=c2s place=a.hcl:12"},
		"percent":             {"100%% %s", at("", "x"), "100% x"},
		"one field":           {"%{module}/%{none}", at(" module='c2s'", "x"), "c2s/-"},
		"quoted field":        {"%a", at(" a='x y' b='' c='q&quot;' d='k=v'", "x"), ` a="x y" b="" c="q\"" d="k=v"`},
		"time is no field":    {"%{time}", at("", "x"), "-"},
		"no host":             {"%h", &packet.Packet{Kind: packet.Log}, "-"},
		"host of the writer":  {"%h", &packet.Packet{Kind: packet.Log, From: "example.org"}, "example.org"},
		"of a section":        {"%h", &packet.Packet{Kind: packet.Log, From: "bot"}, "-"},
		"of a local host":     {"%h", &packet.Packet{Kind: packet.Log, From: "localhost"}, "localhost"},
		"of an address":       {"%h", &packet.Packet{Kind: packet.Log, From: "ann@intern/x"}, "intern"},
		"no second line":      {"%s", at("", "a\nfake"), `a\nfake`},
		"no terminal":         {"%s", at("", "a\u009b31m\u007f"), `a\x9b31m\x7f`},
		"no turn of reading":  {"%s", at("", "a\u202eb\u2028"), `a\u202eb\u2028`},
		"no fake in a field":  {"%a", at(" a='x&#xA;y'", ""), ` a="x\ny"`},
		"letters of any kind": {"%s", at("", "grüße 你好 🙂"), "grüße 你好 🙂"},
		"attributes are none": {"%s%a", &packet.Packet{Attrs: " a='<'", Body: []byte("x")}, "x"},
		"text only":           {"plain", at("", "x"), "plain"},
		"nothing":             {"", at("", "x"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			y, err := entry.NewLayout(c.layout, time.RFC3339, true)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(y.Append(nil, c.entry)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestLayoutRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"%":     "begins nothing",
		"x%":    "begins nothing",
		"%q":    "%q, which is none",
		"%é":    "%é, which is none",
		"%{":    "without a name",
		"%{}":   "without a name",
		"%{abc": "without a name",
	} {
		if _, err := entry.NewLayout(in, time.RFC3339, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want ...%s...", in, err, want)
		}
	}
}

func TestJSON(t *testing.T) {
	y, err := entry.NewLayout("", time.RFC3339Nano, true)
	if err != nil {
		t.Fatal(err)
	}
	line := y.AppendJSON(nil, at(" level='x' module='m&amp;m' module_='2'", "a <b/>\n"))
	const want = `{"level":"warn","time":"2026-03-01T12:30:00.25Z","host":"example.org","from":"c2s","message":"a <b/>\n","level_":"x","module":"m&m","module_":"2"}`
	if string(line) != want || !json.Valid(line) {
		t.Errorf("got  %s\nwant %s", line, want)
	}
}

func TestLine(t *testing.T) {
	p := at("", "done\n")
	p.Name = entry.Formatted
	if got := string(entry.AppendLine(nil, p)); got != `done\n` {
		t.Errorf("got %q", got)
	}
	now := time.Now()
	p = &packet.Packet{Kind: packet.Log, Name: entry.Name, Type: "info", From: "x", Attrs: " time='yesterday'", Body: []byte("y")}
	when, word, _ := strings.Cut(string(entry.AppendLine(nil, p)), " ")
	if got, err := time.Parse(time.RFC3339, when); err != nil || now.Sub(got) > 2*time.Second || word != "info - x: y time=yesterday" {
		t.Errorf("got %s, %s (%v)", when, word, err)
	}
}

func TestTextIsCut(t *testing.T) {
	p := &packet.Packet{Body: []byte(strings.Repeat("&amp;", entry.MaxText))}
	if got := entry.Text(p); len(got) > entry.MaxText || !strings.HasPrefix(got, "&&&") {
		t.Errorf("got %d bytes: %.10s", len(got), got)
	}
}

func TestLevel(t *testing.T) {
	for name, want := range map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "WARN": slog.LevelWarn, "warning": slog.LevelWarn,
		"error": slog.LevelError, "notice": slog.LevelInfo, "": slog.LevelInfo,
	} {
		if got := entry.Level(name); got != want {
			t.Errorf("%q is %v, want %v", name, got, want)
		}
	}
}
