package certs

import (
	"strings"
	"time"
)

// Expiry is warned of in the last two weeks, or in the last sixth of a
// certificate that is good for a short time only.
const (
	expiryWarning = 14 * 24 * time.Hour
	expiryPart    = 6
	warnEvery     = 24 * time.Hour
)

// warnOfExpiry warns once a day.
func (s *Store) warnOfExpiry(file string, p *pair, now time.Time) {
	if p.cert == nil || now.Sub(p.warned) < warnEvery {
		return
	}
	leaf := p.cert.Leaf
	left := leaf.NotAfter.Sub(now)
	if left > min(expiryWarning, leaf.NotAfter.Sub(leaf.NotBefore)/expiryPart) {
		return
	}
	p.warned = now
	what := "a certificate expires soon"
	if left <= 0 {
		what = "a certificate has expired; clients will refuse to connect"
	}
	s.env.Log().Warn(what, "file", file, "names", strings.Join(names(leaf), " "), "expires", leaf.NotAfter.UTC().Format(time.RFC3339))
}
