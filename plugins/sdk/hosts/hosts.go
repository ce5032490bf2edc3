// Package hosts is about the names on the second level of the delivery tree: an
// exact host, "*.suffix" for all hosts below one, and "*" for all.
package hosts

import (
	"fmt"
	"strings"

	"github.com/jabberii/server/plugins/xmpp/jid"
)

// Prepare returns a name in the form in which the tree compares: an exact host
// or a suffix is prepared as the domainpart of an address (RFC 7622, 3.2), so
// that it is in lower case and Unicode and without a dot at its end. A suffix
// is a domain name, not an IP address. Any other place for a * is an error.
func Prepare(name string) (string, error) {
	if name == "*" {
		return name, nil
	}
	suffix, wild := strings.CutPrefix(name, "*.")
	if strings.Contains(suffix, "*") {
		return "", fmt.Errorf("%q has a * that is not the whole first label; write a host, *.suffix or *", name)
	}
	domain, err := jid.New("", suffix, "")
	if err != nil {
		return "", fmt.Errorf("%q is no host: %w", name, err)
	}
	if !wild {
		return domain.String(), nil
	}
	if s := domain.String(); strings.HasPrefix(s, "[") || strings.Trim(s, "0123456789.") == "" {
		return "", fmt.Errorf("%q: nothing is below an IP address", name)
	}
	return "*." + domain.String(), nil
}

// Match reports whether a prepared host is one that a prepared name stands for.
// "*.suffix" does not stand for the suffix itself.
func Match(name, host string) bool {
	if name == "*" || name == host {
		return true
	}
	suffix, wild := strings.CutPrefix(name, "*")
	return wild && len(host) > len(suffix) && strings.HasSuffix(host, suffix)
}

// Below is MatchAny without "*": it reports whether host is one that the names
// mean, and not just one of all.
func Below(names []string, host string) bool {
	for _, n := range names {
		if n != "*" && Match(n, host) {
			return true
		}
	}
	return false
}

// MatchAny reports whether one of the names stands for host.
func MatchAny(names []string, host string) bool {
	for _, n := range names {
		if Match(n, host) {
			return true
		}
	}
	return false
}
