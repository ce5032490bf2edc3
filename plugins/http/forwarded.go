package http

import (
	"net/http"
	"net/netip"
	"strings"
)

// forwarded reads the header Forwarded (RFC 7239). What is not right in it is a hop that
// says nothing: what comes before was then not seen by a proxy of ours.
func forwarded(h http.Header) (hops []hop) {
	text := strings.Join(h.Values("Forwarded"), ",")
	if strings.TrimSpace(text) == "" {
		return nil
	}
	for element := range splitQuoted(text, ',') {
		var one hop
		for pair := range splitQuoted(element, ';') {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			switch strings.ToLower(name) {
			case "for":
				one.from = node(unquote(value))
			case "proto":
				one.proto = unquote(value)
			}
		}
		hops = append(hops, one)
	}
	return hops
}

// splitQuoted yields the parts of a list between separators that are outside of
// quoted strings.
func splitQuoted(text string, separator byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, begin := false, 0
		for i := 0; i < len(text); i++ {
			switch {
			case quoted && text[i] == '\\':
				i++
			case text[i] == '"':
				quoted = !quoted
			case text[i] == separator && !quoted:
				if !yield(text[begin:i]) {
					return
				}
				begin = i + 1
			}
		}
		yield(text[begin:])
	}
}

// unquote returns the value of a token or a quoted string.
func unquote(value string) string {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return value
	}
	var b strings.Builder
	for i := 1; i < len(value)-1; i++ {
		if value[i] == '\\' && i < len(value)-2 {
			i++
		}
		b.WriteByte(value[i])
	}
	return b.String()
}

// node is the address in a node of RFC 7239, section 6: 192.0.2.1, 192.0.2.1:80,
// [2001:db8::1] or [2001:db8::1]:80. Of one that hides itself ("unknown", "_name")
// nothing is known.
func node(text string) string {
	if at, err := netip.ParseAddrPort(text); err == nil {
		return at.Addr().String()
	}
	if rest, ok := strings.CutPrefix(text, "["); ok {
		text, _, _ = strings.Cut(rest, "]")
	} else if host, _, ok := strings.Cut(text, ":"); ok && strings.Count(text, ":") == 1 {
		text = host // with a port that hides itself
	}
	return text
}

// forwardedBy is the value of Forwarded that says who has asked us.
func forwardedBy(client netip.Addr, proto, host string) string {
	from := client.String()
	if client.Is6() {
		from = `"[` + from + `]"`
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	return "for=" + from + `;host="` + quote.Replace(host) + `";proto=` + proto
}
