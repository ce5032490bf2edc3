package xml

import "bytes"

// declaration returns the length of the XML declaration at the start of b, 0 if
// there is none.
func declaration(b []byte) (n int, err error) {
	const start, longest = "<?xml", 256
	switch {
	case foreign(b):
		return 0, encoding(0, "bytes that are not UTF-8")
	case len(b) == 1 && b[0] == 0: // may become foreign
		return 0, errShort
	}
	have := b[:min(len(b), len(start))]
	if string(have) != start[:len(have)] {
		return 0, nil
	}
	end := bytes.Index(b[:min(len(b), longest)], []byte("?>"))
	switch {
	case end < 0 && len(b) < longest:
		return 0, errShort
	case end < 0:
		return 0, malformed(0, "an XML declaration that is too long")
	}
	// Between <?xml and ?> it looks like an empty tag, so it is read as one.
	var t tag
	var room [longest]byte
	text := append(room[:0], "<xml"...)
	text = append(append(text, b[len(start):end]...), "/>"...)
	if err := scanTag(text, 0, &t, 3); err != nil || t.end != len(text) {
		return 0, malformed(0, "an XML declaration that is none")
	}
	return end + len("?>"), checkPseudo(text, t.name, t.attrs)
}

// checkPseudo checks what an XML declaration declares: version, encoding,
// standalone, in this order (XML 1.0, 2.8).
func checkPseudo(b []byte, name qname, attrs []attribute) error {
	order := 0
	if string(name.whole().in(b)) != "xml" {
		return restricted(0, "a processing instruction")
	}
	for i, a := range attrs {
		value := a.value.in(b)
		place := 0
		switch string(a.name.whole().in(b)) {
		case "version":
			place = 1
			if string(value) != "1.0" {
				return malformed(0, "a version of XML other than 1.0")
			}
		case "encoding":
			place = 2
			if !bytes.EqualFold(value, []byte("utf-8")) {
				return encoding(0, "an encoding other than UTF-8")
			}
		case "standalone":
			place = 3
			if string(value) != "yes" && string(value) != "no" {
				return malformed(0, "an XML declaration that is none")
			}
		}
		if place <= order || i == 0 && place != 1 {
			return malformed(0, "an XML declaration that is none")
		}
		order = place
	}
	if order == 0 {
		return malformed(0, "an XML declaration without version")
	}
	return nil
}

// foreign reports whether b starts as UTF-16 or UTF-32 does.
func foreign(b []byte) bool {
	return len(b) >= 2 && (b[0] == 0xfe && b[1] == 0xff || b[0] == 0xff && b[1] == 0xfe ||
		b[0] == 0 && b[1] == '<' || b[0] == '<' && b[1] == 0)
}
