package certs

import (
	"crypto/x509"
	"net"
	"strings"

	"golang.org/x/net/idna"
)

// spell returns a name as hosts are spelled in the tree, in Unicode, and as they
// are in certificates, in ASCII; both in lower case.
func spell(name string) (unicode, ascii string) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if a, err := idna.Lookup.ToASCII(name); err == nil {
		if u, err := idna.Lookup.ToUnicode(a); err == nil {
			return u, a
		}
	}
	return name, strings.Trim(name, "[]") // an IP address, or a name that is none in DNS
}

// names are what a certificate is for, as spell spells them in ASCII.
func names(leaf *x509.Certificate) []string {
	var all []string
	for _, n := range leaf.DNSNames {
		all = append(all, strings.TrimSuffix(strings.ToLower(n), "."))
	}
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 && leaf.Subject.CommonName != "" {
		all = append(all, strings.ToLower(leaf.Subject.CommonName))
	}
	return all
}

// wildcard is the name that stands for all of a name's siblings (RFC 6125,
// 6.4.3); "" if there is none.
func wildcard(name string) string {
	if _, domain, ok := strings.Cut(name, "."); ok && net.ParseIP(name) == nil && strings.Contains(domain, ".") {
		return "*." + domain
	}
	return ""
}
