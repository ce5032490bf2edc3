package session_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

var (
	host   = jid.MustParse("example.org")
	juliet = jid.MustParse("juliet@example.org")
	romeo  = jid.MustParse("romeo@example.org/orchard")
)

// keys are those of the password pencil.
var keys = sync.OnceValue(func() map[sasl.Hash]sasl.Keys {
	all := map[sasl.Hash]sasl.Keys{}
	for _, h := range []sasl.Hash{sasl.SHA1, sasl.SHA256} {
		k, err := sasl.NewKeys(h, "pencil", sasl.NewSalt(), sasl.MinIterations)
		if err != nil {
			panic(err)
		}
		all[h] = k
	}
	return all
})

// accounts has juliet, whose password is pencil.
func accounts() *sasl.Authenticator {
	return &sasl.Authenticator{
		Secret: []byte("a secret that decoys are made of"),
		Keys: func(_ context.Context, username string, h sasl.Hash) (sasl.Keys, error) {
			if h == "" {
				h = sasl.SHA256
			}
			k, ok := keys()[h]
			if username != "juliet" || !ok {
				return sasl.Keys{}, sasl.ErrNoAccount
			}
			return k, nil
		},
	}
}

// bind gives the resource that is asked for, or balcony.
func bind(_ context.Context, account jid.JID, resource string) (jid.JID, error) {
	if resource == "" {
		resource = "balcony"
	}
	if resource == "taken" {
		return jid.JID{}, &stanza.Error{Condition: stanza.Conflict}
	}
	return account.WithResource(resource)
}

// acceptor serves clients of one host.
func acceptor(offers ...session.Offer) *session.Acceptor {
	h := &session.Host{Address: host, Offers: offers}
	return &session.Acceptor{
		NS: ns.Client,
		Open: func(_ context.Context, _ *session.Receiver, header stream.Header) (*session.Host, error) {
			if header.To != host {
				return nil, &stream.Error{Condition: stream.HostUnknown}
			}
			return h, nil
		},
	}
}

// certificate is a self-signed one for the host, with a pool that trusts it.
func certificate(t testing.TB) (*tls.Config, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host.Domain()},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: roots}
}

// loopback is a pair of connected sockets.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

func timeout(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// accepted is what became of the receiving side.
type accepted struct {
	session *session.Session
	err     error
}

// serve accepts on a connection.
func serve(ctx context.Context, conn net.Conn, a *session.Acceptor, secure *session.TLSServer, c session.Config) <-chan accepted {
	result := make(chan accepted, 1)
	go func() {
		s, err := session.Accept(ctx, conn, a, secure, c)
		result <- accepted{s, err}
	}()
	return result
}

// plain are the offers of a server that trusts its network.
func plain() []session.Offer {
	return []session.Offer{session.OfferSASL(host, accounts()), session.OfferBind(bind)}
}

// pair is a client that has logged in, and its server.
func pair(t testing.TB, account session.Account, c session.Config) (client, server *session.Session) {
	t.Helper()
	ctx := timeout(t)
	ours, theirs := loopback(t)
	result := serve(ctx, theirs, acceptor(plain()...), nil, c)
	account.Address, account.Password, account.Plaintext = juliet, "pencil", true
	client, err := session.Client(ctx, ours, account)
	if err != nil {
		t.Fatal(err)
	}
	r := <-result
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() {
		client.Drop()
		r.session.Drop()
	})
	return client, r.session
}

// body is the text of a message.
func body(st stanza.Stanza) string {
	el, _ := st.Find("body", ns.Client)
	return el.Text()
}

func message(to jid.JID, text string) stanza.Stanza {
	return stanza.Stanza{Name: stanza.Message, To: to, Body: xml.AppendElement(nil, "body", "", text)}
}
