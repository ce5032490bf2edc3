// Package sink is the end of a log chain: it hands entries to something that
// writes them, claims those that were written, and keeps count of those that
// were not.
package sink

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/entry"
)

// A Sink is a handler for entries. An entry that was written is claimed. One
// that could not be written is passed on, so that the next link of the chain
// is the fallback, and the server's stderr the last one. The first of several
// failures is reported, and how many there were when it is over.
type Sink struct {
	where string
	log   *slog.Logger
	write func(ctx context.Context, p *packet.Packet) error

	mu   sync.Mutex
	lost atomic.Uint64 // entries in a row
}

// New returns a sink. where says in reports what is written to ("file
// /var/log/x.log"). write writes one entry; it is called by one goroutine at a
// time, and p is valid until it returns.
func New(where string, log *slog.Logger, write func(ctx context.Context, p *packet.Packet) error) *Sink {
	return &Sink{where: where, log: log, write: write}
}

// Lines returns a function for [New] that writes each entry as one line, in
// one call of Write.
func Lines(w io.Writer) func(context.Context, *packet.Packet) error {
	var line []byte
	return func(_ context.Context, p *packet.Packet) error {
		line = append(entry.AppendLine(line[:0], p), '\n')
		_, err := w.Write(line)
		if cap(line) > entry.MaxText {
			line = nil
		}
		return err
	}
}

// Handle writes an entry. Its error is always nil.
func (s *Sink) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.write(ctx, p); err != nil {
		if s.lost.Add(1) == 1 {
			s.log.Error("log entries cannot be written and are passed on", "target", s.where, "error", err)
		}
		return packet.Pass, nil
	}
	if lost := s.lost.Swap(0); lost > 0 {
		s.log.Warn("log entries are written again", "target", s.where, "not_written", lost)
	}
	return packet.Claim, nil
}

// Explain says where an entry would be written.
func (s *Sink) Explain(context.Context, *packet.Packet) (packet.Verdict, string) {
	if s.lost.Load() > 0 {
		return packet.Pass, "cannot write to " + s.where + " now"
	}
	return packet.Claim, "writes to " + s.where
}
