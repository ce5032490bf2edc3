package exec

import (
	"bufio"
	"context"
	"log/slog"
	"strings"
)

// longestEntry is how much of a line of standard error is logged.
const longestEntry = 4 << 10

// logStderr logs what the process writes to its standard error, an entry a line.
func (c *process) logStderr() {
	lines := bufio.NewReaderSize(output{c, c.stderr}, longestEntry)
	for {
		line, more, err := lines.ReadLine()
		if err != nil {
			return
		}
		level, text := levelOf(string(line))
		for more && err == nil {
			_, more, err = lines.ReadLine()
		}
		if text != "" {
			c.program.log.Log(context.Background(), level, text, "program", c.program.name)
		}
	}
}

// levelOf takes the level off the start of a line: "warn: ...", "[WARNING] ..."
// or, as for systemd, "<4>...". A line without one is a warning, since that is
// what programs use standard error for.
func levelOf(line string) (slog.Level, string) {
	if len(line) > 2 && line[0] == '<' && line[2] == '>' && line[1] >= '0' && line[1] <= '7' {
		return [...]slog.Level{
			slog.LevelError, slog.LevelError, slog.LevelError, slog.LevelError,
			slog.LevelWarn, slog.LevelInfo, slog.LevelInfo, slog.LevelDebug,
		}[line[1]-'0'], strings.TrimSpace(line[3:])
	}
	name, rest, found := strings.Cut(line, ":")
	if bracketed, ok := strings.CutPrefix(line, "["); ok {
		name, rest, found = strings.Cut(bracketed, "]")
	}
	if found {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "debug", "trace":
			return slog.LevelDebug, strings.TrimSpace(rest)
		case "info", "notice":
			return slog.LevelInfo, strings.TrimSpace(rest)
		case "warn", "warning":
			return slog.LevelWarn, strings.TrimSpace(rest)
		case "error", "critical", "fatal", "panic":
			return slog.LevelError, strings.TrimSpace(rest)
		}
	}
	return slog.LevelWarn, strings.TrimRight(line, " \t\r")
}
