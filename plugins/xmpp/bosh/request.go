package bosh

import (
	"errors"
	"strconv"
	"time"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A request is one of a client: the element body, its attributes in fields.
type request struct {
	answer chan []byte // takes one response

	sid, to, from, lang, version, ver string
	key, newKey                       string
	rid, ack                          int64
	wait, pause                       time.Duration
	hold                              int
	begins, restarts, pauses          bool
	terminates                        bool
	body                              []byte // its elements
	some                              bool   // there are any
	arrived                           time.Time
}

const (
	maxRID   = 1 << 53
	maxCount = 1 << 20 // of seconds, and of requests
)

var errRequest = errors.New("bosh: not a request")

// parse reads a request.
func parse(text []byte, limits xml.Limits) (*request, error) {
	limits.Bytes += 4 << 10
	if limits.Depth == 0 {
		limits.Depth = xml.DefaultDepth
	}
	limits.Depth++
	t, err := xml.NewScanner(limits).Document(text)
	if err != nil {
		return nil, err
	}
	if t.Name != "body" || t.NS != NS {
		return nil, errRequest
	}
	q := &request{
		answer: make(chan []byte, 1), arrived: time.Now(),
		sid: string(t.Attr("sid")), to: string(t.To), from: string(t.From), lang: t.Lang, version: stream.Version,
		key: string(t.Attr("key")), newKey: string(t.Attr("newkey")), ver: string(t.Attr("ver")), terminates: t.Type == "terminate", body: t.Body,
	}
	q.begins = q.sid == ""
	for _, a := range t.Attrs {
		switch {
		case a.NS != nsXMPP:
		case string(a.Name) == "version":
			q.version = string(a.Value)
		case string(a.Name) == "restart":
			q.restarts = string(a.Value) == "true" || string(a.Value) == "1"
		}
	}
	var bad error
	number := func(name string, without, most int64) int64 {
		text := t.Attr(name)
		if text == nil {
			return without
		}
		n, err := strconv.ParseInt(string(text), 10, 64)
		if err != nil || n < 0 || n > most {
			bad = errRequest
		}
		return n
	}
	q.rid, q.ack = number("rid", -1, maxRID), number("ack", 0, maxRID)
	q.wait = time.Duration(number("wait", 60, maxCount)) * time.Second
	q.hold = int(number("hold", 1, maxCount))
	q.pause = time.Duration(number("pause", 0, maxCount)) * time.Second
	q.pauses = t.Attr("pause") != nil
	if q.rid < 0 || bad != nil {
		return nil, errRequest
	}
	_, q.some = xml.First(q.body, ns.Client)
	return q, nil
}

// empty reports whether a request says nothing but that it is there.
func (q *request) empty() bool {
	return !q.some && !q.begins && !q.restarts && !q.pauses && !q.terminates
}

// header is the token for the header of a stream that a request begins.
func (q *request) header() *xml.Token {
	t := &xml.Token{
		Kind: xml.Open, Name: "stream", NS: ns.Stream, Default: ns.Client, To: []byte(q.to), From: []byte(q.from), Lang: q.lang,
	}
	for _, a := range []struct{ name, value string }{{"to", q.to}, {"from", q.from}, {"version", q.version}} {
		if a.value != "" {
			t.Attrs = append(t.Attrs, xml.Attr{Name: []byte(a.name), Value: []byte(a.value)})
		}
	}
	return t
}
