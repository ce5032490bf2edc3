package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// In storage, a host's certificate is one item: the chain and behind it the
// key, PEM.
const (
	storedNS  = "certs"
	storedKey = "pem"

	storedFor     = time.Minute     // what storage said is believed; then it is asked again
	storedTimeout = 5 * time.Second // of a question
)

// Put stores the certificate of a host, PEM: the chain, and the private key.
// Services that ask storage show it within a minute.
func Put(ctx context.Context, store *xdb.Store, host string, chain, key []byte) error {
	if _, err := tls.X509KeyPair(chain, key); err != nil {
		return fmt.Errorf("certificate for %s: %w", host, err)
	}
	text := append(append(bytes.TrimSpace(chain), '\n'), bytes.TrimSpace(key)...)
	_, err := store.Put(ctx, host, storedNS, storedKey, append(text, '\n'))
	return err
}

// Get returns the certificate of a host from storage, nil if there is none.
func Get(ctx context.Context, store *xdb.Store, host string) (*tls.Certificate, error) {
	it, found, err := store.Get(ctx, host, storedNS, storedKey)
	if err != nil || !found {
		return nil, err
	}
	c, err := tls.X509KeyPair(it.Value, it.Value)
	if err != nil {
		return nil, fmt.Errorf("certificate for %s in storage: %w", host, err)
	}
	return &c, nil
}

// A keeping is what storage said of a host.
type keeping struct {
	asked time.Time
	ready chan struct{} // closed when there was an answer
	pair
}

// fromStorage returns a host's certificate in storage, nil if there is none.
// Only who asks first waits; later on an answer is renewed behind the scenes.
func (s *Store) fromStorage(ctx context.Context, host string) *tls.Certificate {
	now := time.Now()
	s.mu.Lock()
	k := s.kept[host]
	switch {
	case k == nil:
		if len(s.kept) >= maxNames {
			clear(s.kept)
		}
		k = &keeping{asked: now, ready: make(chan struct{})}
		s.kept[host] = k
		go s.ask(host, k, nil)
	case now.Sub(k.asked) > storedFor:
		k.asked = now
		next := &keeping{asked: now, ready: make(chan struct{})}
		go s.ask(host, next, k)
	}
	s.mu.Unlock()
	select {
	case <-k.ready:
		return k.cert
	case <-ctx.Done():
		return nil
	}
}

// ask fills k with the answer of storage and puts it in the place of old.
// Without an answer, what was said before holds.
func (s *Store) ask(host string, k, old *keeping) {
	ctx, cancel := context.WithTimeout(context.Background(), storedTimeout)
	defer cancel()
	defer close(k.ready)
	c, err := Get(ctx, s.stored, host)
	if err != nil {
		s.env.Log().Warn("certificate: "+err.Error(), "host", host)
	}
	k.cert = c
	if old == nil {
		return
	}
	if err != nil {
		k.cert = old.cert
	}
	k.warned = old.warned
	if k.cert != nil && (old.cert == nil || !bytes.Equal(k.cert.Certificate[0], old.cert.Certificate[0])) {
		s.env.Log().Info("a new certificate is in storage", "host", host, "names", strings.Join(names(k.cert.Leaf), " "),
			"expires", k.cert.Leaf.NotAfter.Format(time.DateOnly))
	}
	s.warnOfExpiry("storage", &k.pair, time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[host] = k
}
