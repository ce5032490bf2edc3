package sessions_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/sdk/sessions"
)

func TestJSON(t *testing.T) {
	x := sessions.Session{JID: "ann@example.org/desk", Available: true, Queue: 3, Idle: 56250 * time.Millisecond}
	text, err := json.Marshal([]sessions.Session{x})
	const want = `[{"jid":"ann@example.org/desk","available":true,"priority":0,"connected":false,"managed":false,"queue":3,"idle_seconds":56.25}]`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v\nwant %s", text, err, want)
	}
	var again []sessions.Session
	if err := json.Unmarshal(text, &again); err != nil || len(again) != 1 || again[0] != x {
		t.Errorf("read again: %+v, %v", again, err)
	}
}
