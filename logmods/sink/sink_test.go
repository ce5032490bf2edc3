package sink_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/logmods/sink"
	"github.com/jabberii/server/plugins/sdk/entry"
)

// disk is a writer that can be full, and counts calls.
type disk struct {
	bytes.Buffer
	full  bool
	calls int
}

func (d *disk) Write(b []byte) (int, error) {
	d.calls++
	if d.full {
		return 0, errors.New("no space left")
	}
	return d.Buffer.Write(b)
}

func line(text string) *packet.Packet {
	return &packet.Packet{Kind: packet.Log, Name: entry.Formatted, Body: entry.Body(text)}
}

func TestWrittenIsClaimed(t *testing.T) {
	d := new(disk)
	s := sink.New("disk", slog.New(slog.DiscardHandler), sink.Lines(d))
	for _, text := range []string{"a", "b < c", strings.Repeat("x", entry.MaxText), "d"} {
		if v, err := s.Handle(t.Context(), line(text)); v != packet.Claim || err != nil {
			t.Errorf("got %v, %v", v, err)
		}
	}
	if want := "a\nb < c\n" + strings.Repeat("x", entry.MaxText) + "\nd\n"; d.String() != want || d.calls != 4 {
		t.Errorf("%d writes of %q", d.calls, d.String())
	}
}

func TestFailuresAreReportedOnceAndCounted(t *testing.T) {
	var log bytes.Buffer
	d := &disk{full: true}
	s := sink.New("disk", slog.New(slog.NewTextHandler(&log, nil)), sink.Lines(d))
	for range 5 {
		if v, err := s.Handle(t.Context(), line("x")); v != packet.Pass || err != nil {
			t.Errorf("got %v, %v, want pass", v, err)
		}
	}
	if v, why := s.Explain(t.Context(), line("x")); v != packet.Pass || !strings.Contains(why, "cannot") {
		t.Errorf("explained as %v, %s", v, why)
	}
	d.full = false
	if v, _ := s.Handle(t.Context(), line("y")); v != packet.Claim {
		t.Errorf("got %v, want claim", v)
	}
	if v, why := s.Explain(t.Context(), line("x")); v != packet.Claim || why != "writes to disk" {
		t.Errorf("explained as %v, %s", v, why)
	}
	reports := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(reports) != 2 || !strings.Contains(reports[0], "no space left") || !strings.Contains(reports[1], "not_written=5") {
		t.Errorf("reports:\n%s", log.String())
	}
}
