package bosh

import (
	"bytes"
	"strconv"
	"time"

	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// recoverable answers a request that the client has sent again meanwhile.
var recoverable = []byte("<body xmlns='" + NS + "' type='error'/>")

// response is the response to a request. The first one says what the session is.
func (s *Session) response(q *request, payload []byte) []byte {
	attrs := s.acknowledgement(q)
	if !s.begun {
		s.begun = true
		attrs = s.description(attrs)
	}
	return body(attrs, payload)
}

// final is a response that ends the session.
func (s *Session) final(condition Condition, payload []byte) []byte {
	var attrs []byte
	if !s.begun {
		s.begun = true
		attrs = s.description(attrs)
	}
	return terminated(attrs, condition, payload)
}

// description are the attributes of the first response.
func (s *Session) description(dst []byte) []byte {
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
	c := s.server.config
	for _, a := range []struct{ name, value string }{
		{"sid", s.sid}, {"wait", seconds(s.wait)}, {"hold", strconv.Itoa(s.hold)}, {"requests", strconv.Itoa(s.requests)},
		{"inactivity", seconds(c.Inactivity)}, {"polling", seconds(c.Polling)}, {"maxpause", seconds(c.MaxPause)},
		{"ver", s.version}, {"from", s.to}, {"xmlns:xmpp", nsXMPP}, {"xmpp:version", "1.0"}, {"xmpp:restartlogic", "true"},
		{"xmlns:stream", ns.Stream},
	} {
		if a.value == "0" && (a.name == "polling" || a.name == "maxpause") {
			continue // not limited, not offered
		}
		dst = xml.AppendAttr(dst, a.name, a.value)
	}
	return dst
}

// acknowledgement says which requests have come, to a client that wants to know
// and where it is not the one that is answered (XEP-0124, 9.2).
func (s *Session) acknowledgement(q *request) []byte {
	if !s.acks || q.rid == s.rid && s.begun {
		return nil
	}
	return xml.AppendAttr(nil, "ack", strconv.FormatInt(s.rid, 10))
}

// terminated is a response that ends a session, or says that there is none.
func terminated(attrs []byte, condition Condition, payload []byte) []byte {
	attrs = xml.AppendAttr(attrs, "type", "terminate")
	if condition != "" {
		attrs = xml.AppendAttr(attrs, "condition", string(condition))
	}
	return body(attrs, payload)
}

// streamSpace declares the prefix of what stands for the stream: for features and errors,
// it has to be declared on the element body itself (XEP-0206 section 2).
const streamSpace = " xmlns:stream='" + ns.Stream + "'"

// body is the element body.
func body(attrs, payload []byte) []byte {
	b := append([]byte("<body xmlns='"+NS+"'"), attrs...)
	if bytes.Contains(payload, []byte("<stream:")) && !bytes.Contains(attrs, []byte(streamSpace)) {
		b = append(b, streamSpace...)
	}
	if len(payload) == 0 {
		return append(b, "/>"...)
	}
	return append(append(append(b, '>'), payload...), "</body>"...)
}
