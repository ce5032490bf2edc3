package entry_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/entry"
)

// Whatever is in an entry, it is one line that no terminal obeys, and one JSON
// object.
func FuzzLine(f *testing.F) {
	f.Add("%t %l %h %f: %s%a", "warn", "a\nb", " x='1&#xA;' y='\x1b[31m'", "c2s")
	f.Add("%{x}%%%", "", "\u202e", " time='2026-03-01T12:30:00Z' a='b' a_='c' a='d'", "")
	f.Add("%s", "\xff", "\x00\x9b&amp;&#x1b;", " xmlns:a='b' a:c='d'", "\r")
	f.Fuzz(func(t *testing.T, layout, level, body, attrs, from string) {
		y, err := entry.NewLayout(layout, time.RFC3339Nano, true)
		if err != nil {
			return
		}
		p := &packet.Packet{Kind: packet.Log, Type: level, Body: []byte(body), Attrs: attrs, From: from, Host: from}
		line := string(y.Append(nil, p))
		if !strings.ContainsFunc(layout, unicode.IsControl) && strings.ContainsFunc(line, unicode.IsControl) {
			t.Errorf("%q has control characters", line)
		}
		object := y.AppendJSON(nil, p)
		var members map[string]string
		if err := json.Unmarshal(object, &members); err != nil || strings.Contains(string(object), "\n") {
			t.Errorf("%q: %v", object, err)
		}
		if n := len(entry.Fields(p)); strings.Contains(attrs, " time=") && n > 0 && len(members) < n {
			t.Errorf("%q has %d fields", object, n)
		}
	})
}
