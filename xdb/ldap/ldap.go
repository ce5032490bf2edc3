// Package ldap is the xdb module ldap: accounts are those of a directory. It
// knows which there are and whether a password is right, which it finds out by a
// bind in the account's name; it keeps nothing and changes nothing.
package ldap

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

type args struct {
	URL      string          `json:"url" required:"true" doc:"The directory: ldap://host:port, ldaps://host:port or ldapi://path."`
	StartTLS bool            `json:"starttls" default:"true" doc:"Whether an ldap:// connection is encrypted before anything is said on it. Without it passwords cross in the clear."`
	CA       string          `json:"ca" file:"authorities" doc:"A PEM file with the authorities that the directory's certificate may be of, below data_dir if relative. Without it, those of the system."`
	Base     string          `json:"base" required:"true" doc:"The entry below which accounts are searched."`
	Filter   string          `json:"filter" default:"(uid=%u)" doc:"What finds the entry of an account: %u is its name, %d its domain, %b both with an @, each escaped."`
	Name     string          `json:"name" default:"uid" doc:"The attribute with the account's name, for lists of accounts."`
	BindDN   string          `json:"bind_dn" doc:"Who searches. Without it, nobody in particular (an anonymous bind)."`
	Password string          `json:"bind_password" secret:"true" doc:"The password of who searches."`
	Timeout  module.Duration `json:"answer_within" default:"5s" doc:"How long the directory may take to answer."`
	Max      int             `json:"max_connections" default:"8" doc:"Connections to the directory at once; further questions wait."`
}

// Module is the module ldap.
var Module = define()

func define() module.Module {
	m := module.Define("ldap", "Accounts of an LDAP directory (RFC 4511): their passwords are verified by a bind. "+
		"It takes namespace auth of its hosts and passes all others, so that what accounts have is kept in another store.",
		module.On(packet.XDB), New)
	m.External = true
	return m
}

// New makes the handler. It connects with the first question.
func New(env module.Env, a args) (packet.Handler, error) {
	d, err := newDirectory(env, a)
	if err != nil {
		return nil, err
	}
	return &handler{env: env, directory: d, store: xdb.Serve(env, d, "the directory at "+a.URL)}, nil
}

type handler struct {
	env       module.Env
	directory *directory
	store     *xdb.Server
}

var _ io.Closer = (*handler)(nil)

// Handle answers questions about accounts.
func (h *handler) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	if p.NS != account.NS {
		return packet.Pass, nil
	}
	if w, ok := h.env.(module.Waiter); ok {
		w.Wait(ctx)
	}
	if p.Name != account.VerifyOp {
		return h.store.Handle(ctx, p)
	}
	if err := h.directory.verify(ctx, p.To, account.PasswordIn(p)); err != nil {
		return packet.Claim, err
	}
	return packet.Claim, h.env.Answer(ctx, p, account.Verified(p))
}

// Explain says what Handle would do.
func (h *handler) Explain(ctx context.Context, p *packet.Packet) (packet.Verdict, string) {
	switch {
	case p.NS != account.NS:
		return packet.Pass, "the directory has accounts only"
	case p.Name == account.VerifyOp:
		return packet.Claim, "the directory is asked to let " + p.To + " in"
	}
	return h.store.Explain(ctx, p)
}

// Close closes the connections.
func (h *handler) Close() error {
	h.directory.close()
	return nil
}

// fill puts an account into a filter or the like. escape keeps what a name has
// from being more than a name.
func fill(template, jid string, escape func(string) string) string {
	return strings.NewReplacer("%u", escape(packet.Local(jid)), "%d", escape(packet.Domain(jid)), "%b", escape(packet.Bare(jid)), "%%", "%").Replace(template)
}

// readOnly refuses a change.
func readOnly() error {
	return packet.Refuse("not-allowed", "accounts are the directory's: they are added, changed and removed there")
}

func unreachable(err error) error { return fmt.Errorf("the directory: %w", err) }
