// Package certs has the certificates that a server shows, by the name that is
// asked for, for whichever service does TLS.
//
// A service embeds [Args] in its own block of arguments, makes a [Store] of
// them, starts it before it listens, and does handshakes with the store's
// configurations:
//
//	type tlsArgs struct {
//		Listen []string `json:"listen" doc:"Addresses to listen on for TLS."`
//		certs.Args
//	}
//
//	store, err := certs.New(env, packet.Session, args.TLS.Args)  // in New: no effects
//	err = store.Start(ctx)                                       // in Start: reads files
//	config := store.Config("", "xmpp-client")                    // by SNI, with ALPN
//	config := store.Config("example.org")                        // STARTTLS: the stream says which
//
// A name gets the first of these that there is:
//
//  1. the certificate that a block certificate gives it,
//  2. one in a file or in the folder that says the name itself,
//  3. one of those for *.the name's domain,
//  4. the one in storage, where the module acme puts what it was issued,
//  5. the certificate of the arguments, whatever its names,
//  6. one that is signed by itself, made when it is first asked for and kept.
//
// Files are looked at again when somebody asks for a certificate, at most once
// in a few seconds and not on the way of the handshake. What has changed is
// shown from then on; a file that is not right is reported and what was read
// before stays. Streams that are up are left alone. Certificates that are about
// to expire are warned of once a day.
package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// Args are the arguments that say which certificates a service shows. They
// are embedded in a block, which may have more.
type Args struct {
	Cert        string  `json:"cert" file:"certificate" doc:"File with a certificate chain, PEM, below data_dir if relative. It is also shown for names that have none of their own; without it a self-signed certificate is made for each host on first use and kept below data_dir/certs."`
	Key         string  `json:"key" file:"key" doc:"File with the private key of cert, PEM, below data_dir if relative."`
	Named       []Named `json:"certificate" doc:"A certificate for one name."`
	Folder      string  `json:"folder" default:"certs" doc:"Folder with further certificates, below data_dir if relative: NAME.crt with NAME.key, NAME.pem with both, or NAME/fullchain.pem with NAME/privkey.pem, as certbot has them in /etc/letsencrypt/live. They are shown for the names in them."`
	Storage     bool    `json:"storage" default:"true" doc:"Whether certificates are also looked for in storage, where the module acme keeps them."`
	Minimum     string  `json:"min_version" default:"1.2" enum:"1.2,1.3" doc:"The oldest version of TLS that is spoken."`
	PostQuantum bool    `json:"post_quantum" default:"false" doc:"Whether keys are exchanged with X25519MLKEM768 where the client can, against those who record now and may have quantum computers later. It costs about 0.2 ms and 6 KiB a handshake."`
}

// Named is a certificate for a name.
type Named struct {
	Name string `json:"label" label:"host, or *.domain"`
	Cert string `json:"cert" required:"true" file:"certificate" doc:"File with the certificate chain, PEM, below data_dir if relative."`
	Key  string `json:"key" file:"key" doc:"File with the private key, PEM, below data_dir if relative; left out, it is in the file of the certificate."`
}

// A Store finds certificates. It is for any number of goroutines.
type Store struct {
	env    module.Env
	kind   packet.Kind
	args   Args
	stored *xdb.Store

	shown  atomic.Pointer[shelf]
	looked atomic.Int64 // when files were looked at last, Unix nanoseconds

	files files // of whoever looks

	mu   sync.Mutex
	made map[string]*tls.Certificate // self-signed
	kept map[string]*keeping         // what storage said
}

// maxNames bounds what is remembered by name.
const maxNames = 10000

// New makes a store for the hosts that sections of a kind are attached to. It
// has no effects. An error is about an argument, by its name in Args.
func New(env module.Env, kind packet.Kind, a Args) (*Store, error) {
	if (a.Cert == "") != (a.Key == "") {
		return nil, fmt.Errorf("cert and key go together")
	}
	for _, n := range a.Named {
		if suffix, _ := strings.CutPrefix(n.Name, "*."); suffix == "" || strings.Contains(suffix, "*") {
			return nil, fmt.Errorf("certificate %q: a name is a host or *.domain", n.Name)
		}
	}
	return &Store{
		env: env, kind: kind, args: a, stored: xdb.New(env, env.Section()),
		made: map[string]*tls.Certificate{}, kept: map[string]*keeping{},
	}, nil
}

// Start reads the files. One that the arguments name and that is not right is
// an error; one of the folder is reported to the log.
func (s *Store) Start(context.Context) error {
	s.looked.Store(time.Now().UnixNano())
	return s.look(time.Now(), true)
}

// Config is the configuration of handshakes for a host, or, if the host is "",
// for the one that the client names by SNI. The protocols are those of ALPN.
func (s *Store) Config(host string, protocols ...string) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: protocols, CipherSuites: suites}
	if s.args.Minimum == "1.3" {
		config.MinVersion = tls.VersionTLS13
	}
	if !s.args.PostQuantum {
		config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}
	}
	config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if host != "" {
			return s.Certificate(hello.Context(), host)
		}
		return s.Certificate(hello.Context(), hello.ServerName)
	}
	return config
}

// suites are those of TLS 1.2 with forward secrecy and authenticated
// encryption. Those of TLS 1.3 all have both.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Certificate returns what is shown for a name, in ASCII or Unicode. "" is a
// client that names none. The first time that a name is asked for may take a
// question to storage.
func (s *Store) Certificate(ctx context.Context, name string) (*tls.Certificate, error) {
	s.lookSoon()
	host, ascii := spell(name)
	shelf := s.shown.Load()
	if c := shelf.find(ascii); c != nil {
		return c, nil
	}
	served := s.env.Serves(s.kind, host)
	if served && s.args.Storage {
		if c := s.fromStorage(ctx, host); c != nil {
			return c, nil
		}
	}
	if shelf.other != nil {
		return shelf.other, nil
	}
	if !served {
		host = "localhost" // there is nothing for it here, and streams to it end
	}
	return s.selfSigned(host)
}
