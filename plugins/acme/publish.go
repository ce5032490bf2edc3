package acme

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/jabberii/server/plugins/sdk/certs"
)

// Certificates that could not be published are tried again.
const (
	publishAgain   = time.Minute
	publishTimeout = 30 * time.Second
)

// event is told what becomes of certificates. Those that are there, newly issued,
// renewed or from before, are published.
func (s *Service) event(ctx context.Context, name string, data map[string]any) error {
	switch name {
	case "cached_managed_cert":
		names, _ := data["sans"].([]string)
		for _, n := range names {
			s.publish(context.WithoutCancel(ctx), n)
		}
	case "cert_obtained": // of one that is renewed nothing else is told
		name, _ := data["identifier"].(string)
		s.publish(context.WithoutCancel(ctx), name)
		s.env.Log().Info("a certificate was issued", "host", fmt.Sprint(data["identifier"]), "renewal", fmt.Sprint(data["renewal"]))
	case "cert_failed":
		s.env.Log().Error("no certificate was issued; it is tried again", "host", fmt.Sprint(data["identifier"]), "error", fmt.Sprint(data["error"]))
	}
	return nil
}

// publish puts a certificate where those look who do TLS.
func (s *Service) publish(ctx context.Context, ascii string) {
	host, ours := s.hosts[ascii]
	if !ours {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	err := s.copyTo(ctx, ascii, host)
	if err != nil {
		s.env.Log().Warn("publish a certificate: "+err.Error(), "host", host)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.owed[ascii] = true
	} else {
		delete(s.owed, ascii)
	}
}

func (s *Service) copyTo(ctx context.Context, ascii, host string) error {
	issuer := s.issuer.IssuerKey()
	chain, err := s.config.Storage.Load(ctx, certmagic.StorageKeys.SiteCert(issuer, ascii))
	if err != nil {
		return err
	}
	key, err := s.config.Storage.Load(ctx, certmagic.StorageKeys.SitePrivateKey(issuer, ascii))
	if err != nil {
		return err
	}
	there, err := certs.Get(ctx, s.store, host)
	if block, _ := pem.Decode(chain); err == nil && there != nil && block != nil && bytes.Equal(there.Certificate[0], block.Bytes) {
		return nil
	}
	if err := certs.Put(ctx, s.store, host, chain, key); err != nil {
		return err
	}
	s.env.Log().Info("put a certificate into storage", "host", host)
	return nil
}

// publishOwed tries again what could not be published, until ctx is done.
func (s *Service) publishOwed(ctx context.Context) {
	ticker := time.NewTicker(publishAgain)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		names := make([]string, 0, len(s.owed))
		for n := range s.owed {
			names = append(names, n)
		}
		s.mu.Unlock()
		slices.Sort(names)
		for _, n := range names {
			s.publish(ctx, n)
		}
	}
}
