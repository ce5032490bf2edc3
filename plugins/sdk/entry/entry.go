// Package entry reads and writes log entries, the packets of kind log.
//
// An entry is a packet: its Type is the level, From the writer (a section or a
// process), Host the host that the writer worked for, Body the text, escaped as
// XML, and Attrs the fields. The field "time" in RFC 3339 says when it was
// written, as the server's own loggers have it; without it that is when somebody
// asks.
//
// The modules of a log chain work on entries as they come, and the last one
// writes a [Line]. What that looks like is up to the module format, which
// replaces the text by the line and renames the packet, so that nobody adds a
// time to what has one already.
package entry

import (
	"log/slog"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// The names of the packets that a log chain sees.
const (
	Name      = "entry" // as it was written
	Formatted = "line"  // its text is the whole line
)

// Event is the field that an entry has which tells of an event: something that
// programs wait for, whatever its text says.
const Event = "event"

// The events that the server itself tells of.
const (
	Authenticated  = "session.authenticated" // somebody has logged in; fields account, client
	Refused        = "session.refused"       // somebody has not been let in; fields account, mechanism, client, reason, and why and omitted if there is something to say
	SessionCreated = "session.created"       // a resource is bound; field session
	SessionClosed  = "session.closed"        // a session is over, not only its connection; field session
	Message        = "message"               // a stanza, as the module events tells of it
	Presence       = "presence"
	IQ             = "iq"
	ModuleLoaded   = "module.loaded"   // a block of the configuration is there; fields module, label, place, section
	ModuleUnloaded = "module.unloaded" // it is about to end, as the server is
	ModuleError    = "module.error"    // it has failed, or its process died
)

// MaxText is how much of a text is read, in bytes; a writer that has more to
// say is cut short.
const MaxText = 64 << 10

// A Field is one of the named values of an entry.
type Field struct{ Name, Value string }

// Text returns the text of an entry as it was meant, without the escapes.
func Text(p *packet.Packet) string {
	body := p.Body
	if len(body) > MaxText {
		body = body[:MaxText]
	}
	return string(xml.AppendUnescaped(nil, body))
}

// Body returns a text as the body of an entry, or of any element.
func Body[T ~string | ~[]byte](text T) []byte {
	return xml.AppendText(make([]byte, 0, len(text)+16), text)
}

// Fields returns the fields of an entry in their order. What is no attribute
// ends them.
func Fields(p *packet.Packet) []Field {
	if p.Attrs == "" {
		return nil
	}
	tag := make([]byte, 0, len(p.Attrs)+len("<x/>"))
	tag = append(append(append(tag, "<x"...), p.Attrs...), "/>"...)
	t, err := xml.NewScanner(xml.Limits{}).Document(tag)
	if err != nil {
		return nil
	}
	fields := make([]Field, 0, len(t.Attrs))
	for _, a := range t.Attrs {
		fields = append(fields, Field{Name: string(a.Name), Value: string(a.Value)})
	}
	return fields
}

// Value returns a field of an entry, "" if it has none of the name.
func Value(p *packet.Packet, name string) string {
	if !strings.Contains(p.Attrs, " "+name+"=") {
		return ""
	}
	for _, f := range Fields(p) {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Host returns the host that an entry is about, "" if it is the server itself: a writer
// whose name has no dot is a section or a process, not a host, but for localhost.
func Host(p *packet.Packet) string {
	host := p.Branch()
	if p.Host == "" && host == p.From && !strings.Contains(host, ".") && host != "localhost" {
		return ""
	}
	return host
}

// WithField returns the attributes of an entry with one more.
func WithField(attrs, name, value string) string {
	return string(xml.AppendAttr([]byte(attrs), name, value))
}

// Time returns when an entry was written, and its fields without the time.
func Time(p *packet.Packet) (time.Time, []Field) {
	fields := Fields(p)
	for i, f := range fields {
		if f.Name != "time" {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, f.Value)
		if err != nil {
			break
		}
		return t, append(fields[:i:i], fields[i+1:]...)
	}
	return time.Now(), fields
}

// Level returns the level with a name. A name that is no level ("notice", or
// whatever else a program writes) is an info.
func Level(name string) slog.Level {
	switch strings.ToLower(name) {
	case "debug":
		return slog.LevelDebug
	case "warn", "warning":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	}
	return slog.LevelInfo
}
