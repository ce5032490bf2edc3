package entry

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jabberii/server/jabberd/packet"
)

// DefaultLayout is that of entries that nobody has formatted.
const DefaultLayout = "%t %l %h %f: %s%a"

// A Layout makes a line of an entry. It is immutable and may be used by many
// goroutines.
type Layout struct {
	parts []part
	time  string // a layout of the package time
	utc   bool
}

// A part is a verb, or text if the verb is 0.
type part struct {
	verb byte
	text string // or the name of a field, of the verb '{'
}

// NewLayout reads a layout: text with the verbs
//
//	%t time   %l level   %h host    %f writer (from)
//	%s text   %a fields, each as name=value after a space
//	%{name}   one field  %%  a percent sign
//
// An empty value is written as "-", but for %s and %a. Times are in the form
// of timeLayout, a layout of the package time, and in UTC if that is asked for.
func NewLayout(text, timeLayout string, utc bool) (*Layout, error) {
	y := &Layout{time: timeLayout, utc: utc}
	for text != "" {
		before, after, found := strings.Cut(text, "%")
		if before != "" {
			y.parts = append(y.parts, part{text: before})
		}
		if !found {
			break
		}
		if after == "" {
			return nil, fmt.Errorf("ends with a %% that begins nothing; write %%%% for a percent sign")
		}
		p := part{verb: after[0]}
		text = after[1:]
		switch p.verb {
		case 't', 'l', 'h', 'f', 's', 'a':
		case '%':
			p = part{text: "%"}
		case '{':
			if p.text, text, found = strings.Cut(text, "}"); !found || p.text == "" {
				return nil, fmt.Errorf("has %%{ without a name and }")
			}
		default:
			r, _ := utf8.DecodeRuneInString(after)
			return nil, fmt.Errorf("has %%%c, which is none of %%t %%l %%h %%f %%s %%a %%{field} %%%%", r)
		}
		y.parts = append(y.parts, p)
	}
	return y, nil
}

// Append appends the line of an entry, without an end of line. Control
// characters are escaped as in Go, so that nobody who chooses a text can fake
// another entry or speak to a terminal.
func (y *Layout) Append(dst []byte, p *packet.Packet) []byte {
	when, fields := Time(p)
	for _, part := range y.parts {
		switch part.verb {
		case 0:
			dst = append(dst, part.text...)
		case 't':
			dst = y.appendTime(dst, when)
		case 'l':
			dst = appendOrDash(dst, p.Type)
		case 'h':
			dst = appendOrDash(dst, Host(p))
		case 'f':
			dst = appendOrDash(dst, p.From)
		case 's':
			dst = appendClean(dst, Text(p))
		case 'a':
			for _, f := range fields {
				dst = appendField(append(dst, ' '), f)
			}
		case '{':
			dst = appendOrDash(dst, valueOf(fields, part.text))
		}
	}
	return dst
}

func (y *Layout) appendTime(dst []byte, t time.Time) []byte {
	if y.utc {
		t = t.UTC()
	}
	return t.AppendFormat(dst, y.time)
}

// plain is DefaultLayout. It never changes.
var plain, _ = NewLayout(DefaultLayout, time.RFC3339, false)

// AppendLine appends an entry as one line, without an end of line: its text if
// it was formatted, else in [DefaultLayout].
func AppendLine(dst []byte, p *packet.Packet) []byte { return plain.AppendLine(dst, p) }

// AppendLine appends an entry as one line, without an end of line: its text if
// it was formatted, else in this layout.
func (y *Layout) AppendLine(dst []byte, p *packet.Packet) []byte {
	if p.Name == Formatted {
		return appendClean(dst, Text(p))
	}
	return y.Append(dst, p)
}

func valueOf(fields []Field, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func appendOrDash(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '-')
	}
	return appendClean(dst, s)
}

// appendField appends name=value, quoted if somebody who reads it by machine
// could be mistaken otherwise.
func appendField(dst []byte, f Field) []byte {
	dst = append(dst, f.Name...)
	dst = append(dst, '=')
	if f.Value != "" && !strings.ContainsFunc(f.Value, func(r rune) bool {
		return r <= ' ' || r == '"' || r == '=' || r == '\\' || !unicode.IsPrint(r)
	}) {
		return append(dst, f.Value...)
	}
	return appendQuoted(dst, f.Value)
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		if r == '"' || r == '\\' {
			dst = append(dst, '\\')
		}
		dst = appendRune(dst, r)
	}
	return append(dst, '"')
}

func appendClean(dst []byte, s string) []byte {
	for _, r := range s {
		dst = appendRune(dst, r)
	}
	return dst
}

// appendRune appends a character, escaped if it is a control character or one
// that changes the direction of the text around it.
func appendRune(dst []byte, r rune) []byte {
	switch {
	case r == '\n':
		return append(dst, `\n`...)
	case r == '\r':
		return append(dst, `\r`...)
	case r == '\t':
		return append(dst, `\t`...)
	case r < ' ' || r >= 0x7f && r < 0xa0:
		return fmt.Appendf(dst, `\x%02x`, r)
	case unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
		return fmt.Appendf(dst, `\u%04x`, r)
	}
	return utf8.AppendRune(dst, r)
}
