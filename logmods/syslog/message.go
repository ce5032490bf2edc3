package syslog

import (
	"bytes"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/entry"
)

// maxMessage is what a daemon has to accept at least, by RFC 5425 section
// 4.3.1, if it is any good, and what one datagram on any network holds safely.
const maxMessage = 8192

// A form is how messages look.
type form struct {
	local     bool
	facility  int
	host, tag string
}

// message returns an entry as a message, cut at maxMessage.
func (f form) message(p *packet.Packet) []byte {
	when, _ := entry.Time(p)
	b := append(make([]byte, 0, 256), '<')
	b = strconv.AppendInt(b, int64(f.facility*8+severity(p.Type)), 10)
	b = append(b, '>')
	if f.local {
		b = when.Local().AppendFormat(b, time.Stamp)
		b = append(append(append(b, ' '), f.tag...), '[')
		b = append(strconv.AppendInt(b, int64(os.Getpid()), 10), "]: "...)
	} else {
		b = append(b, "1 "...)
		b = when.AppendFormat(b, "2006-01-02T15:04:05.000000Z07:00")
		b = append(append(append(b, ' '), f.host...), ' ')
		b = append(append(b, f.tag...), ' ')
		b = append(strconv.AppendInt(b, int64(os.Getpid()), 10), " - - "...) // no BOM, which the RFC allows and readers prefer
	}
	return cut(content.AppendLine(b, p))
}

// content is the text of an entry that nobody has formatted: time and level
// are said already. It never changes.
var content, _ = entry.NewLayout("%f: %s%a", time.RFC3339, false)

// cut shortens a message between two characters.
func cut(b []byte) []byte {
	if len(b) <= maxMessage {
		return b
	}
	b = b[:maxMessage-len("...")]
	for len(b) > 0 && !utf8.Valid(b[bytes.LastIndexByte(b, ' ')+1:]) {
		b = b[:len(b)-1]
	}
	return append(b, "..."...)
}

// severity returns the severity of a level, RFC 5424 section 6.2.1.
func severity(level string) int {
	switch {
	case level == "notice":
		return 5
	case level == "alert":
		return 1
	}
	switch l := entry.Level(level); {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

// facility returns the number of a facility.
func facility(name string) int {
	if n, ok := strings.CutPrefix(name, "local"); ok && len(n) == 1 {
		return 16 + int(n[0]-'0')
	}
	return slices.Index([]string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"}, name)
}

// printable reports whether a name may stand in the head of a message.
func printable(s string, most int) bool {
	return s != "" && len(s) <= most && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}
