package ldap_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jabberii/server/bench/port"
	"github.com/jabberii/server/jabberd/config/configtest"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/xdb/ldap"
	"github.com/jabberii/server/xdb/memory"
)

func TestReadme(t *testing.T) {
	t.Setenv("LDAP_PASSWORD", "x")
	configtest.Readme(t, ldap.Module, memory.Module)
}

// people are those of the directory.
const people = `
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: example
dc: example

dn: uid=ann,dc=example,dc=org
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: A
userPassword: secret

dn: uid=bob,dc=example,dc=org
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
userPassword: hidden

dn: cn=one,dc=example,dc=org
objectClass: inetOrgPerson
uid: twice
cn: one
sn: C
userPassword: same

dn: cn=two,dc=example,dc=org
objectClass: inetOrgPerson
uid: twice
cn: two
sn: C
userPassword: same
`

// A slapd is a real directory.
type slapd struct {
	t      *testing.T
	dir    string
	url    string
	secure string
	cmd    *exec.Cmd
}

// start starts a directory with the people, whose certificate an authority has
// signed.
func start(t *testing.T, a *sdktest.Authority) *slapd {
	program, err := exec.LookPath("slapd")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/slapd"); err != nil {
			t.Skip("SKIP: slapd is not installed")
		}
	}
	d := &slapd{t: t, dir: t.TempDir(), url: "ldap://127.0.0.1:" + freePort(t), secure: "ldaps://127.0.0.1:" + freePort(t)}
	cert, key := a.Issue("127.0.0.1")
	config := fmt.Sprintf(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/pid
TLSCertificateFile %[2]s
TLSCertificateKeyFile %[3]s
database mdb
suffix "dc=example,dc=org"
rootdn "cn=admin,dc=example,dc=org"
rootpw admin
directory %[1]s
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=admin,dc=example,dc=org" read by * none
`, d.dir, cert, key)
	write(t, filepath.Join(d.dir, "slapd.conf"), config)
	write(t, filepath.Join(d.dir, "people.ldif"), people)
	add := exec.Command(program, "-T", "add", "-f", filepath.Join(d.dir, "slapd.conf"), "-l", filepath.Join(d.dir, "people.ldif"))
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("slapadd: %v\n%s", err, out)
	}
	d.run(program)
	t.Cleanup(d.stop)
	return d
}

func (d *slapd) run(program string) {
	d.t.Helper()
	d.cmd = exec.Command(program, "-d", "0", "-f", filepath.Join(d.dir, "slapd.conf"), "-h", d.url+" "+d.secure)
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "ldap://"))
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			d.t.Fatal(err)
		}
	}
}

func (d *slapd) stop() {
	d.cmd.Process.Signal(os.Interrupt)
	d.cmd.Wait()
}

func freePort(t *testing.T) string {
	t.Helper()
	ports, err := port.Free(1)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(ports[0])
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func plan(args string) sdktest.Plan {
	return sdktest.Plan{
		Modules: []module.Module{ldap.Module, memory.Module},
		Sections: []module.Section{
			sdktest.Section("accounts", packet.XDB, sdktest.Host("example.org"), sdktest.Block("ldap", args)),
			sdktest.Section("store", packet.XDB, sdktest.Host("example.org"), sdktest.Block("memory", `{}`)),
		},
	}
}

// asker is a Harness as who asks storage.
type asker struct{ h *sdktest.Harness }

func (a asker) Ask(_ context.Context, q *packet.Packet) (*packet.Packet, error) { return a.h.Ask(q) }

func TestAccounts(t *testing.T) {
	a := sdktest.NewAuthority(t)
	d := start(t, a)
	for name, url := range map[string]string{"STARTTLS": d.url, "TLS": d.secure} {
		t.Run(name, func(t *testing.T) {
			args := fmt.Sprintf(`{"url":%q,"ca":%q,"base":"dc=example,dc=org","bind_dn":"cn=admin,dc=example,dc=org","bind_password":"admin"}`, url, a.File)
			sdktest.Both(t, plan(args), func(t *testing.T, h *sdktest.Harness) {
				accounts(t, h)
			})
		})
	}
}

func accounts(t *testing.T, h *sdktest.Harness) {
	ctx := t.Context()
	store := xdb.New(asker{h}, "test")
	if ok, err := account.Verifies(ctx, store, "example.org"); err != nil || !ok {
		t.Errorf("the host's passwords are verified: %v, %v", ok, err)
	}
	for jid, want := range map[string]bool{"ann@example.org": true, "bob@example.org": true, "carl@example.org": false, "*@example.org": false, "ann)(uid=bob@example.org": false} {
		if there, err := account.Exists(ctx, store, jid); err != nil || there != want {
			t.Errorf("%s is there: %v, %v", jid, there, err)
		}
	}
	for _, c := range []struct {
		jid, password string
		want          error
	}{
		{"ann@example.org", "secret", nil},
		{"bob@example.org", "hidden", nil},
		{"ann@example.org", "hidden", account.ErrWrong},
		{"ann@example.org", "", account.ErrWrong},
		{"carl@example.org", "secret", account.ErrWrong},
		{"*@example.org", "secret", account.ErrWrong},
		{"ann@example.org", "secret", nil},
	} {
		if err := account.Verify(ctx, asker{h}, "test", c.jid, c.password); !errors.Is(err, c.want) {
			t.Errorf("%s with %q: %v", c.jid, c.password, err)
		}
	}
	var reject *packet.Reject
	if err := account.Verify(ctx, asker{h}, "test", "twice@example.org", "same"); err == nil || errors.Is(err, account.ErrWrong) {
		t.Errorf("an account with two entries: %v", err)
	}
	if err := account.Add(ctx, store, "dora@example.org", "x"); !errors.As(err, &reject) || reject.Condition != "not-allowed" {
		t.Errorf("added: %v", err)
	}
	owners, _, err := store.Owners(ctx, "example.org", account.NS, "", 10)
	if err != nil || !slices.Equal(owners, []string{"ann@example.org", "bob@example.org", "twice@example.org"}) {
		t.Errorf("accounts %v, %v", owners, err)
	}
	for _, ns := range []string{"roster", account.Tokens} {
		if _, err := store.Put(ctx, "ann@example.org", ns, "key", []byte("<item/>")); err != nil {
			t.Errorf("the rest is kept in the other store: %v", err)
		}
	}
	for name, err := range map[string]error{
		"removed": account.Remove(ctx, store, "ann@example.org", func(context.Context) error {
			t.Error("what the account has elsewhere is ended")
			return nil
		}),
		"another password": account.SetPassword(ctx, store, "ann@example.org", "other", func(context.Context) error {
			t.Error("its sessions are ended")
			return nil
		}),
	} {
		if !errors.As(err, &reject) || reject.Condition != "not-allowed" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := account.Remove(ctx, store, "bob@example.org", nil); !errors.As(err, &reject) || reject.Condition != "not-allowed" {
		t.Errorf("an account without anything is removed: %v", err)
	}
	if _, err := store.Put(ctx, "gone@example.org", "roster", "key", []byte("<item/>")); err != nil {
		t.Error(err)
	}
	for _, want := range []error{nil, account.ErrNone} {
		if err := account.Remove(ctx, store, "gone@example.org", nil); !errors.Is(err, want) {
			t.Errorf("what an account has left that the directory does not know any more: %v, want %v", err, want)
		}
	}
	if left, err := store.Namespaces(ctx, "ann@example.org"); err != nil || !slices.Equal(left, []string{account.Tokens, "roster"}) {
		t.Errorf("after a removal that was refused there is %v, %v", left, err)
	}
}

// TestDirectoryGoesAway has the directory restarted: connections are made anew.
func TestDirectoryGoesAway(t *testing.T) {
	d := start(t, sdktest.NewAuthority(t))
	args := fmt.Sprintf(`{"url":%q,"starttls":false,"base":"dc=example,dc=org","bind_dn":"cn=admin,dc=example,dc=org","bind_password":"admin","answer_within":"2s"}`, d.url)
	sdktest.Both(t, plan(args), func(t *testing.T, h *sdktest.Harness) {
		verify := func() error { return account.Verify(t.Context(), asker{h}, "test", "ann@example.org", "secret") }
		if err := verify(); err != nil {
			t.Fatal(err)
		}
		d.stop()
		if err := verify(); err == nil || errors.Is(err, account.ErrWrong) {
			t.Errorf("without a directory: %v", err)
		}
		d.run(d.cmd.Path)
		if err := verify(); err != nil {
			t.Errorf("after it has come back: %v", err)
		}
	})
}

func TestWrongArguments(t *testing.T) {
	for args, want := range map[string]string{
		`{"url":"http://x","base":"dc=x"}`:                     "begins with ldap",
		`{"url":"ldap://","base":"dc=x"}`:                      "names no host",
		`{"url":"ldap://x","base":"x"}`:                        "base",
		`{"url":"ldap://x","base":"dc=x","filter":"(uid=x)"}`:  "no %u",
		`{"url":"ldap://x","base":"dc=x","filter":"(uid=%u"}`:  "filter",
		`{"url":"ldap://x","base":"dc=x","max_connections":0}`: "at least 1",
	} {
		if _, err := ldap.Module.New(nil, []byte(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
