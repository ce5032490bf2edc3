package ldap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// A directory is the xdb.Backend: connections on which it searches are used
// again, those on which it binds in the name of an account too.
type directory struct {
	args
	env  module.Env
	tls  bool   // from the first byte
	name string // in its certificate
	free chan *ldap.Conn
	most chan struct{} // has as many elements as there are connections
}

var _ xdb.Backend = (*directory)(nil)

func newDirectory(env module.Env, a args) (*directory, error) {
	u, err := url.Parse(a.URL)
	switch {
	case err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" && u.Scheme != "ldapi":
		return nil, module.BadArg("url", "is a URL that begins with ldap, ldaps or ldapi")
	case u.Scheme != "ldapi" && u.Hostname() == "":
		return nil, module.BadArg("url", "names no host")
	case !strings.Contains(a.Filter, "%u") && !strings.Contains(a.Filter, "%b"):
		return nil, module.BadArg("filter", "has no %%u, so that it finds the same for every account")
	case a.Max < 1:
		return nil, module.BadArg("max_connections", "must be at least 1")
	case a.Timeout.Std() <= 0:
		return nil, module.BadArg("answer_within", "must be more than 0")
	}
	if _, err := ldap.CompileFilter(fill(a.Filter, "ann@example.org", ldap.EscapeFilter)); err != nil {
		return nil, module.BadArg("filter", "%v", err)
	}
	if _, err := ldap.ParseDN(a.Base); err != nil {
		return nil, module.BadArg("base", "%v", err)
	}
	return &directory{
		args: a, env: env, tls: u.Scheme == "ldaps", name: u.Hostname(),
		free: make(chan *ldap.Conn, a.Max), most: make(chan struct{}, a.Max),
	}, nil
}

// with calls do with a connection that is bound as who searches. A connection
// that turns out to be dead is replaced once.
func (d *directory) with(ctx context.Context, do func(*ldap.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.Timeout.Std())
	defer cancel()
	select {
	case d.most <- struct{}{}:
	case <-ctx.Done():
		return unreachable(fmt.Errorf("all %d connections are busy: %w", d.Max, ctx.Err()))
	}
	defer func() { <-d.most }()
	for {
		c, used, err := d.connection()
		if err != nil {
			return unreachable(err)
		}
		err = d.bind(c)
		if err == nil {
			err = do(c)
		}
		if broken(err) || c.IsClosing() {
			c.Close()
			if used && ctx.Err() == nil {
				continue
			}
		} else {
			d.free <- c
		}
		return err
	}
}

func (d *directory) connection() (c *ldap.Conn, used bool, err error) {
	for {
		select {
		case c := <-d.free:
			if c.IsClosing() {
				c.Close()
				continue
			}
			return c, true, nil
		default:
			c, err := d.dial()
			return c, false, err
		}
	}
}

func (d *directory) dial() (*ldap.Conn, error) {
	config := &tls.Config{ServerName: d.name, MinVersion: tls.VersionTLS12}
	if d.CA != "" {
		text, err := os.ReadFile(d.env.Path(d.CA))
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, errors.New(d.CA + " has no certificate in PEM")
		}
	}
	c, err := ldap.DialURL(d.URL, ldap.DialWithDialer(&net.Dialer{Timeout: d.Timeout.Std()}), ldap.DialWithTLSConfig(config))
	if err != nil {
		return nil, err
	}
	c.SetTimeout(d.Timeout.Std())
	if d.StartTLS && strings.HasPrefix(d.URL, "ldap:") {
		if err := c.StartTLS(config); err != nil {
			c.Close()
			return nil, fmt.Errorf("STARTTLS with %s: %w (a directory without it needs starttls = false, or ldaps://)", d.URL, err)
		}
	}
	return c, nil
}

// bind makes a connection that of who searches.
func (d *directory) bind(c *ldap.Conn) error {
	var err error
	if d.BindDN == "" {
		err = c.UnauthenticatedBind("")
	} else {
		err = c.Bind(d.BindDN, d.Password)
	}
	if err != nil {
		return unreachable(fmt.Errorf("bind as %q: %w", d.BindDN, err))
	}
	return nil
}

func broken(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.ErrorNetwork, ldap.LDAPResultServerDown, ldap.LDAPResultTimeout, ldap.LDAPResultUnavailable)
}

// find returns the DN of an account, "" if there is none.
func (d *directory) find(c *ldap.Conn, jid string) (string, error) {
	answer, err := c.Search(d.search(fill(d.Filter, jid, ldap.EscapeFilter), 2, "1.1"))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		return "", nil
	case err != nil && !ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return "", unreachable(err)
	case len(answer.Entries) > 1:
		return "", fmt.Errorf("the filter finds several entries for %s", jid)
	case len(answer.Entries) == 0:
		return "", nil
	}
	return answer.Entries[0].DN, nil
}

func (d *directory) search(filter string, most int, attributes ...string) *ldap.SearchRequest {
	return ldap.NewSearchRequest(d.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, most, int((d.Timeout.Std()+time.Second-1)/time.Second), false, filter, attributes, nil)
}

// verify binds in the name of an account. One that is not there takes a bind too,
// so that the time does not tell.
func (d *directory) verify(ctx context.Context, jid, password string) error {
	if password == "" { // a bind without one succeeds for anybody (RFC 4513 section 5.1.2)
		return account.WrongPassword()
	}
	return d.with(ctx, func(c *ldap.Conn) error {
		dn, err := d.find(c, jid)
		if err != nil {
			return err
		}
		known := dn != ""
		if !known {
			dn = "cn=nobody," + d.Base
		}
		err = c.Bind(dn, password)
		switch {
		case err == nil && known:
			return nil
		case err == nil || ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInappropriateAuthentication,
			ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultInvalidDNSyntax):
			return account.WrongPassword()
		}
		return unreachable(err)
	})
}

func (d *directory) close() {
	for {
		select {
		case c := <-d.free:
			c.Close()
		default:
			return
		}
	}
}

// Get implements xdb.Backend: of an account and of a host it has the one item that
// says that passwords are verified here.
func (d *directory) Get(ctx context.Context, owner, ns string, keys []string, items []xdb.Item) ([]xdb.Item, error) {
	if len(keys) > 0 && !slices.Contains(keys, account.VerifyKey) {
		return items, nil
	}
	if there, err := d.has(ctx, owner); err != nil || !there {
		return items, err
	}
	return append(items, account.VerifyItem()), nil
}

// has reports whether there is an account. Every host is there.
func (d *directory) has(ctx context.Context, owner string) (there bool, err error) {
	if packet.Local(owner) == "" {
		return owner != "", nil
	}
	err = d.with(ctx, func(c *ldap.Conn) error {
		dn, err := d.find(c, owner)
		there = dn != ""
		return err
	})
	return there, err
}

// Query implements xdb.Backend.
func (d *directory) Query(ctx context.Context, owner, ns string, q xdb.Query) (xdb.Page, error) {
	items, err := d.Get(ctx, owner, ns, nil, nil)
	if q.After != "" && q.After >= account.VerifyKey || q.Before != "" && q.Before <= account.VerifyKey {
		items = nil
	}
	return xdb.Page{Items: items, Count: len(items)}, err
}

// Change implements xdb.Backend.
func (d *directory) Change(context.Context, string, []xdb.Change) error { return readOnly() }

// Drop implements xdb.Backend. What accounts have elsewhere may go; they stay.
func (d *directory) Drop(_ context.Context, owner, ns, _ string) error {
	if ns == "" {
		return nil
	}
	return readOnly()
}

// Namespaces implements xdb.Backend.
func (d *directory) Namespaces(ctx context.Context, owner string) ([]string, error) {
	if there, err := d.has(ctx, owner); err != nil || !there {
		return nil, err
	}
	return []string{account.NS}, nil
}

// mostListed is as many accounts as are listed.
const mostListed = 100000

// Owners implements xdb.Backend.
func (d *directory) Owners(ctx context.Context, domain, _, after string, most int) (owners []string, err error) {
	err = d.with(ctx, func(c *ldap.Conn) error {
		filter := strings.NewReplacer("%u", "*", "%d", ldap.EscapeFilter(domain), "%b", "*@"+ldap.EscapeFilter(domain), "%%", "%").Replace(d.Filter)
		answer, err := c.SearchWithPaging(d.search(filter, mostListed, d.Name), 500)
		if err != nil {
			return unreachable(err)
		}
		for _, e := range answer.Entries {
			name, _, _ := strings.Cut(strings.ToLower(e.GetAttributeValue(d.Name)), "@")
			if jid := name + "@" + domain; name != "" && jid > after {
				owners = append(owners, jid)
			}
		}
		return nil
	})
	slices.Sort(owners)
	owners = slices.Compact(owners)
	return owners[:min(most, len(owners))], err
}
