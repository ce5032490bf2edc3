package entry

import (
	"bytes"
	"encoding/json"

	"github.com/jabberii/server/jabberd/packet"
)

// AppendJSON appends an entry as one JSON object without an end of line, with
// the keys level, time, host, from and message that zerolog's readers know,
// and the fields behind them. A field that has the name of one of these, or of
// a field before it, has an underscore after its name. Of the layout it takes
// the form of times.
func (y *Layout) AppendJSON(dst []byte, p *packet.Packet) []byte {
	when, fields := Time(p)
	dst = append(dst, `{"level":`...)
	dst = appendString(dst, p.Type)
	dst = append(dst, `,"time":`...)
	dst = appendString(dst, string(y.appendTime(nil, when)))
	for _, f := range []Field{{"host", Host(p)}, {"from", p.From}} {
		if f.Value != "" {
			dst = appendMember(dst, f)
		}
	}
	dst = appendMember(dst, Field{"message", Text(p)})
	taken := map[string]bool{"level": true, "time": true, "host": true, "from": true, "message": true}
	for _, f := range fields {
		for taken[f.Name] {
			f.Name += "_"
		}
		taken[f.Name] = true
		dst = appendMember(dst, f)
	}
	return append(dst, '}')
}

func appendMember(dst []byte, f Field) []byte {
	dst = append(dst, ',')
	dst = appendString(dst, f.Name)
	dst = append(dst, ':')
	return appendString(dst, f.Value)
}

// appendString appends a JSON string. Encoding a string into memory cannot fail.
func appendString(dst []byte, s string) []byte {
	b := bytes.NewBuffer(dst)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false) // entries quote XML, and people read them
	_ = e.Encode(s)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
