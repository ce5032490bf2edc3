package acme

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapTo makes what certmagic writes its log to. Of it, what went wrong is a
// warning and the rest is for who looks for a mistake: what an admin wants to
// know is said by this package.
func zapTo(log *slog.Logger) *zap.Logger { return zap.New(logCore{log, nil}) }

type logCore struct {
	log    *slog.Logger
	fields []zapcore.Field
}

func levelOf(l zapcore.Level) slog.Level {
	if l >= zapcore.WarnLevel {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

func (c logCore) Enabled(l zapcore.Level) bool {
	return c.log.Enabled(context.Background(), levelOf(l))
}

func (c logCore) With(fields []zapcore.Field) zapcore.Core {
	return logCore{c.log, slices.Concat(c.fields, fields)}
}

func (c logCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, f := range slices.Concat(c.fields, fields) {
		f.AddTo(values)
	}
	var attrs []slog.Attr
	for name, v := range values.Fields {
		attrs = append(attrs, slog.String(name, fmt.Sprint(v)))
	}
	slices.SortFunc(attrs, func(a, b slog.Attr) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	c.log.LogAttrs(context.Background(), levelOf(e.Level), e.Message, attrs...)
	return nil
}

func (logCore) Sync() error { return nil }
