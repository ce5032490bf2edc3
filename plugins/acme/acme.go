// Package acme is the module that has certificates issued by an authority such
// as Let's Encrypt (RFC 8555), and renewed in time. It puts them into storage,
// where whatever does TLS for a host finds them (package sdk/certs): c2s, http
// and others in whichever process, and all nodes.
//
// The protocol is certmagic's. Its own notes are in storage too (storage.go), so
// that several nodes share one account and do not ask for one certificate twice.
package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
	"golang.org/x/net/idna"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// Module is the service as a configuration names it: load "acme".
var Module = define()

func define() module.Module {
	m := module.Define("acme", "Certificates from an authority such as Let's Encrypt (RFC 8555), renewed in time, in storage, where c2s and others find them.",
		module.On(packet.Normal, packet.Session), New)
	m.Passive, m.Claims = true, module.ClaimsNone
	return m
}

// Args are the arguments of acme.
type Args struct {
	Hosts     []string `json:"hosts" required:"true" doc:"Names to have certificates for, one each: hosts of users, of rooms, of HTTP. The first also names the account in storage; keep it first."`
	Agreed    bool     `json:"terms_agreed" default:"false" doc:"Whether you agree to the terms of service of the authority; without, nothing is asked of it."`
	Email     string   `json:"email" doc:"Address at which the authority reaches you."`
	Directory string   `json:"directory" default:"https://acme-v02.api.letsencrypt.org/directory" doc:"URL of the authority's directory."`
	Listen    string   `json:"listen" default:":80" doc:"Address to listen on for the authority, which comes to port 80 of each host (HTTP-01). If something else has that port, it passes /.well-known/acme-challenge/ on to here."`
	Roots     string   `json:"directory_ca" file:"authorities" doc:"File with the certificates, PEM, below data_dir if relative, that the directory's own is checked by; for an authority of your own. Without, those of the system."`
	KeyID     string   `json:"key_id" doc:"Identifier of the account that the authority knows you by, if it wants one (external account binding)."`
	MACKey    string   `json:"mac_key" secret:"true" doc:"Key of that account, as the authority has given it."`
}

// A Service sees to the certificates. It takes no packets.
type Service struct {
	env   module.Env
	args  Args
	store *xdb.Store
	hosts map[string]string // by their names in ASCII

	listener net.Listener
	issuer   *certmagic.ACMEIssuer
	config   *certmagic.Config
	cache    *certmagic.Cache

	mu   sync.Mutex
	owed map[string]bool // names in ASCII that are to be published again
}

// New makes the service. It has no effects.
func New(env module.Env, a Args) (packet.Handler, error) {
	s := &Service{env: env, args: a, hosts: map[string]string{}, owed: map[string]bool{}}
	for i, host := range a.Hosts {
		ascii, err := idna.Lookup.ToASCII(host)
		if err != nil || strings.Contains(host, "*") || net.ParseIP(host) != nil {
			return nil, module.BadArg("hosts."+strconv.Itoa(i), "%q is not the name of one host", host)
		}
		s.hosts[ascii] = strings.ToLower(host)
	}
	switch {
	case len(a.Hosts) == 0:
		return nil, module.BadArg("hosts", "there is none")
	case !a.Agreed:
		return nil, module.BadArg("terms_agreed", "read the terms of service of the authority, and set it to true if you agree")
	case (a.KeyID == "") != (a.MACKey == ""):
		return nil, module.BadArg("key_id", "goes together with mac_key")
	}
	if err := module.CheckListen("listen", []string{a.Listen}); err != nil {
		return nil, err
	}
	s.store = xdb.New(env, env.Section())
	return s, nil
}

// Handle passes: packets are not its matter.
func (s *Service) Handle(context.Context, *packet.Packet) (packet.Verdict, error) {
	return packet.Pass, nil
}

// Start binds the listener.
func (s *Service) Start(ctx context.Context) (err error) {
	if err := s.setUp(); err != nil {
		return err
	}
	s.listener, err = s.env.Listen(ctx, "tcp", s.args.Listen)
	return err
}

// setUp makes what speaks with the authority.
func (s *Service) setUp() error {
	host, port, err := net.SplitHostPort(s.args.Listen)
	if err != nil {
		return err
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		return err
	}
	roots, err := s.roots()
	if err != nil {
		return err
	}
	log := zapTo(s.env.Log())
	s.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return s.config, nil },
		Logger:           log,
	})
	s.config = certmagic.New(s.cache, certmagic.Config{
		Storage: newStorage(s.store, s.hosts[s.first()]), Logger: log, OnEvent: s.event,
		OCSP: certmagic.OCSPConfig{DisableStapling: true},
	})
	template := certmagic.ACMEIssuer{
		CA: s.args.Directory, Email: s.args.Email, Agreed: true, TrustedRoots: roots, Logger: log,
		ListenHost: host, AltHTTPPort: number, DisableTLSALPNChallenge: true,
	}
	if s.args.KeyID != "" {
		template.ExternalAccount = &acme.EAB{KeyID: s.args.KeyID, MACKey: s.args.MACKey}
	}
	s.issuer = certmagic.NewACMEIssuer(s.config, template)
	s.config.Issuers = []certmagic.Issuer{s.issuer}
	return nil
}

// first is the first host, in ASCII.
func (s *Service) first() string {
	ascii, _ := idna.Lookup.ToASCII(s.args.Hosts[0]) // New has seen that it is right
	return ascii
}

// roots are those that the directory's certificate is checked by; nil are the
// system's.
func (s *Service) roots() (*x509.CertPool, error) {
	if s.args.Roots == "" {
		return nil, nil
	}
	file := s.env.Path(s.args.Roots)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("directory_ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("directory_ca: %s: there is no certificate in it", file)
	}
	return pool, nil
}

// Run has certificates issued and renewed until ctx is done.
func (s *Service) Run(ctx context.Context) error {
	server := &http.Server{
		Handler:           s.issuer.HTTPChallengeHandler(http.NotFoundHandler()),
		ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.env.Log().Handler(), slog.LevelDebug),
	}
	over := make(chan error, 1)
	go func() { over <- server.Serve(s.listener) }()
	names := make([]string, 0, len(s.hosts))
	for ascii := range s.hosts {
		names = append(names, ascii)
	}
	defer s.cache.Stop()
	if err := s.config.ManageAsync(ctx, names); err != nil {
		server.Close()
		return errors.Join(err, <-over)
	}
	s.publishOwed(ctx)
	err := server.Close()
	if served := <-over; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
