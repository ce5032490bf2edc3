package certs

import "crypto/tls"

// A shelf is the certificates that were read from files, by name. It is not
// changed once it is shown.
type shelf struct {
	byName map[string]*tls.Certificate
	other  *tls.Certificate // for names that are not there; may be nil
}

// find returns the certificate for a name or for all of its siblings, nil if
// there is none.
func (s *shelf) find(name string) *tls.Certificate {
	if c := s.byName[name]; c != nil {
		return c
	}
	if w := wildcard(name); w != "" {
		return s.byName[w]
	}
	return nil
}

// put gives a certificate a name, unless one that was put before has it.
func (s *shelf) put(name string, c *tls.Certificate) {
	if s.byName[name] == nil {
		s.byName[name] = c
	}
}

// putNames gives a certificate all the names that it says.
func (s *shelf) putNames(c *tls.Certificate) {
	for _, n := range names(c.Leaf) {
		s.put(n, c)
	}
}
