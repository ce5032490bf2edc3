package c2s_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/c2s"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/entry"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/sdk/sdktest"
	managed "github.com/jabberii/server/plugins/sdk/sessions"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/xdb/memory"
)

type overtakenArgs struct {
	By string `json:"by"`
	At string `json:"at"` // resume, or when a session is bound
}

// overtaken changes an account when a client of its has proved what it had to, and asks
// for its session: all sessions are ended that there are, and then there is that one.
var overtaken = module.Define("overtaken", "", module.On(packet.Normal, packet.Session), func(env module.Env, a overtakenArgs) (packet.Handler, error) {
	store := xdb.New(env, env.Section())
	asker := request.NewAsker(env)
	return packet.HandlerFunc(func(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
		switch {
		case p.Kind == packet.Normal && asker.Take(p):
			return packet.Claim, nil
		case p.Kind != packet.Session || (p.Name == "resume") != (a.At == "resume") || p.Name != "bind" && p.Name != "resume" && !(p.Name == "iq" && p.Far.IsZero()):
			return packet.Pass, nil
		}
		return packet.Pass, a.change(context.Background(), store, asker, packet.Bare(p.From))
	}), nil
})

func (a overtakenArgs) change(ctx context.Context, store *xdb.Store, asker *request.Asker, owner string) error {
	remove := func() error {
		return account.Remove(ctx, store, owner, func(ctx context.Context) error {
			_, err := managed.Forget(ctx, asker, owner, nil)
			return err
		})
	}
	switch a.By {
	case "a new password":
		return errors.Join(account.SetPassword(ctx, store, owner, "other", nil), managed.Renew(ctx, asker, owner, ""))
	case "an end":
		return errors.Join(account.Disable(ctx, store, owner), managed.Disabled(ctx, asker, owner))
	case "removal":
		return remove()
	case "another of its name":
		return errors.Join(remove(), account.Add(ctx, store, owner, "other"))
	}
	return nil
}

// What was proved before an account has changed gives no session after it, however the
// session is asked for.
func TestALoginIsOvertaken(t *testing.T) {
	want := map[string]string{
		"a new password": "reset: Password changed", "an end": "not-authorized: Account disabled", "removal": "not-authorized",
		"another of its name": "reset: Password changed", "nothing": "",
	}
	for by, why := range want {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			plan := whole(`{"channel_binding":true,` + directTLS + `}`)
			plan.Modules = []module.Module{c2s.Module, overtaken, sm.Module, memory.Module}
			plan.Sections[1] = sdktest.Service("users", sdktest.Host(domain), sdktest.Block("overtaken", fmt.Sprintf(`{"by":%q}`, by)), sdktest.Block("sm", "{}"))
			sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
				address := listening(h)
				for _, way := range []string{"bind", "bind 2"} {
					account.Remove(t.Context(), xdb.New(asker{h}, "test"), "ann@"+domain, nil)
					withAccount(t, h)
					var s *session.Session
					var err error
					if way == "bind" {
						s, err = loginOn(t, dialTLS(t, address), session.Account{})
					} else {
						s, _, err = quick(t, address, session.Account{Password: "secret"})
					}
					switch {
					case why == "" && err != nil:
						t.Errorf("%s: %v", way, err)
					case why == "":
						s.Close()
					case err == nil:
						t.Fatalf("%s: there is a session for who has proved what counts no more", way)
					case !strings.Contains(err.Error(), why):
						t.Errorf("%s: it ends with %v, want %s", way, err, why)
					}
					h.Logged(entry.SessionClosed)
				}
			})
		})
	}
}

// Nor does it go on with the session that there was.
func TestAResumptionIsOvertaken(t *testing.T) {
	plan := whole("{" + directTLS + "}")
	plan.Modules = []module.Module{c2s.Module, overtaken, sm.Module, memory.Module}
	plan.Sections[1] = sdktest.Service("users", sdktest.Host(domain), sdktest.Block("overtaken", `{"by":"a new password","at":"resume"}`), sdktest.Block("sm", "{}"))
	sdktest.Both(t, plan, func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		withAccount(t, h)
		s, _, err := quick(t, address, session.Account{Password: "secret"})
		if err != nil || s.Token().Secret == "" || !s.Resumable() {
			t.Fatalf("token %+v, %v", s.Token(), err)
		}
		s.Drop()
		if err := s.Resume(t.Context(), dialTLS(t, address)); err == nil || !strings.Contains(err.Error(), "not resumed") {
			t.Errorf("resumed: %v", err)
		}
		h.Logged(entry.SessionClosed)
	})
}
