package jid

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
)

// prepareLocal applies UsernameCaseMapped (RFC 8265, 3.3) and what RFC 7622,
// 3.3.1 excludes besides. An empty localpart stays empty.
func prepareLocal(s string) (string, error) {
	upper := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return prepareUnicode(Localpart, precis.UsernameCaseMapped, s)
		case !localByte(c):
			return "", &Error{Part: Localpart, Text: s, Reason: "holds a character that is not allowed"}
		case 'A' <= c && c <= 'Z':
			upper = true
		}
	}
	if len(s) > MaxPart {
		return "", &Error{Part: Localpart, Text: s, Reason: "is too long"}
	}
	if upper {
		s = strings.ToLower(s)
	}
	return s, nil
}

// localByte reports whether the ASCII character may stand in a localpart, in
// whichever case.
func localByte(c byte) bool {
	switch c {
	case '"', '&', '\'', '/', ':', '<', '>', '@':
		return false
	}
	return c > ' ' && c < 0x7f
}

// prepareResource applies OpaqueString (RFC 8265, 4.2). An empty resourcepart
// stays empty.
func prepareResource(s string) (string, error) {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return prepareUnicode(Resourcepart, precis.OpaqueString, s)
		case c < ' ' || c == 0x7f:
			return "", &Error{Part: Resourcepart, Text: s, Reason: "holds a control character"}
		}
	}
	if len(s) > MaxPart {
		return "", &Error{Part: Resourcepart, Text: s, Reason: "is too long"}
	}
	return s, nil
}

// prepareUnicode applies a profile until the result is stable, which RFC 8264,
// 7 asks for, and at most four times.
func prepareUnicode(part Part, profile *precis.Profile, s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", &Error{Part: part, Text: s, Reason: "is not UTF-8"}
	}
	prepared := s
	for range 4 {
		next, err := profile.String(prepared)
		if err != nil {
			return "", &Error{Part: part, Text: s, Reason: "holds a character that is not allowed"}
		}
		if next == prepared {
			return prepared, checkUnicode(part, prepared)
		}
		prepared = next
	}
	return "", &Error{Part: part, Text: s, Reason: "has no stable form"}
}

// checkUnicode applies what RFC 7622 adds to the profiles, to a prepared part.
func checkUnicode(part Part, s string) error {
	if s == "" {
		return &Error{Part: part, Text: s, Reason: "is empty"}
	}
	if len(s) > MaxPart {
		return &Error{Part: part, Text: s, Reason: "is too long"}
	}
	if part == Localpart {
		for i := 0; i < len(s); i++ {
			if s[i] < utf8.RuneSelf && !localByte(s[i]) {
				return &Error{Part: part, Text: s, Reason: "holds a character that is not allowed"}
			}
		}
	}
	return nil
}

// prepareDomain makes a domain name of U-labels and NR-LDH labels, or an IP
// address, of s (RFC 7622, 3.2).
func prepareDomain(s string) (string, error) {
	if isPrepared(s) {
		return s, nil
	}
	if strings.HasPrefix(s, "[") {
		return prepareIPv6(s)
	}
	name := strings.TrimSuffix(s, ".")
	if name == "" {
		return "", &Error{Part: Domainpart, Text: s, Reason: "is empty"}
	}
	ascii, upper := true, false
	for i := 0; i < len(name); i++ {
		c := name[i]
		ascii = ascii && c < utf8.RuneSelf
		upper = upper || 'A' <= c && c <= 'Z'
	}
	if upper {
		name = strings.Map(lowerASCII, name)
	}
	if !ascii || strings.Contains(name, "xn--") {
		return prepareIDN(name)
	}
	return name, checkDomain(name)
}

// isPrepared reports whether s is plainly a domain name in ASCII that needs
// neither preparation nor a closer look, as nearly all are.
func isPrepared(s string) bool {
	if len(s) > MaxPart {
		return false
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && plain[s[i]] {
			continue
		}
		if i < len(s) && s[i] != '.' {
			return false
		}
		label := s[start:i]
		if len(label) == 0 || len(label) > longestLabel || label[0] == '-' || label[len(label)-1] == '-' ||
			len(label) >= 4 && label[2] == '-' && label[3] == '-' {
			return false
		}
		start = i + 1
	}
	return true
}

// longestLabel is the limit of DNS for a label, in bytes of its A-label.
const longestLabel = 63

// plain has the characters of a label in ASCII and in lower case. It never
// changes.
var plain = func() (t [256]bool) {
	for _, c := range []byte("-0123456789abcdefghijklmnopqrstuvwxyz") {
		t[c] = true
	}
	return t
}()

func lowerASCII(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

// prepareIPv6 gives an IP-literal in the form of RFC 5952. An IPv4 address needs
// no attention: it looks like a domain name.
func prepareIPv6(s string) (string, error) {
	inner, ok := strings.CutSuffix(s[1:], "]")
	addr, err := netip.ParseAddr(inner)
	if !ok || err != nil || !addr.Is6() || addr.Zone() != "" {
		return "", &Error{Part: Domainpart, Text: s, Reason: "is no IPv6 address"}
	}
	if text := addr.String(); text != inner {
		return "[" + text + "]", nil
	}
	return s, nil
}

// names maps and checks as UTS 46 and RFC 5891, 5 say; identifier adds what
// IDNA2008 has and UTS 46 has not: no symbols, and the contextual rules. Both
// are immutable.
var (
	names = idna.New(
		idna.MapForLookup(),
		idna.Transitional(false),
		idna.BidiRule(),
		idna.StrictDomainName(true),
	)
	identifier = precis.NewIdentifier(precis.Norm(norm.NFC))
)

// prepareIDN makes U-labels of a name that has A-labels or is not in ASCII.
func prepareIDN(s string) (string, error) {
	unicode, err := names.ToUnicode(s)
	if err != nil {
		return "", &Error{Part: Domainpart, Text: s, Reason: "is no internationalized domain name"}
	}
	unicode = strings.TrimSuffix(unicode, ".")
	if err := checkDomain(unicode); err != nil {
		return "", err
	}
	// A label must survive the way to the DNS and back, so that an address has
	// one form and the name that is looked up is the one that is shown.
	ascii, err := names.ToASCII(unicode)
	if err != nil {
		return "", &Error{Part: Domainpart, Text: s, Reason: "is no internationalized domain name"}
	}
	if again, err := names.ToUnicode(ascii); err != nil || again != unicode {
		return "", &Error{Part: Domainpart, Text: s, Reason: "has no stable form"}
	}
	return unicode, nil
}

// checkDomain checks the labels and the length of a name in lower case.
func checkDomain(s string) error {
	if len(s) > MaxPart {
		return &Error{Part: Domainpart, Text: s, Reason: "is too long"}
	}
	for start := 0; start <= len(s); {
		end := strings.IndexByte(s[start:], '.')
		if end < 0 {
			end = len(s)
		} else {
			end += start
		}
		if reason := checkLabel(s[start:end]); reason != "" {
			return &Error{Part: Domainpart, Text: s, Reason: reason}
		}
		start = end + 1
	}
	return nil
}

// checkLabel says what is wrong with a U-label or an NR-LDH label (RFC 5890,
// 2.3.2), "" if nothing is.
func checkLabel(s string) (reason string) {
	switch {
	case s == "":
		return "has an empty label"
	case s[0] == '-' || s[len(s)-1] == '-':
		return "has a label with a hyphen at an end"
	case len(s) >= 4 && s[2:4] == "--":
		return "has a label with hyphens in the third and fourth place"
	}
	ascii := true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			ascii = false
		case !plain[c]:
			return "holds a character that is not allowed"
		}
	}
	if ascii {
		if len(s) > longestLabel {
			return "has a label that is too long"
		}
		return ""
	}
	if a, err := idna.Punycode.ToASCII(s); err != nil || len(a) > longestLabel {
		return "has a label that is too long"
	}
	if prepared, err := identifier.String(s); err != nil || prepared != s {
		return "holds a character that is not allowed"
	}
	return ""
}
