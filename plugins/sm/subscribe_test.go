package sm_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/sm"
)

// RFC 6121 appendix A, from the client and from the contact to storage: what is
// routed, what is delivered, what is pushed, and what is kept, in each state for
// each stanza. The table itself is tested in TestAppendixA.
func TestSubscriptionStanzas(t *testing.T) {
	t.Parallel()
	for _, state := range sm.States() {
		for _, kind := range []string{"subscribe", "subscribed", "unsubscribe", "unsubscribed"} {
			for _, out := range []bool{true, false} {
				bubble(t, fmt.Sprintf("%s in %s, outbound %v", kind, state, out), func(t *testing.T) {
					w := newWorld(t, `{}`, "ann@localhost")
					ctx := context.Background()
					if _, err := w.store.Put(ctx, "ann@localhost", "roster", "bob@elsewhere", sm.StoredState(state, "bob@elsewhere")); err != nil {
						t.Fatal(err)
					}
					ann, quiet := w.interested("ann@localhost/phone"), w.login("ann@localhost/quiet")
					ann.take()
					w.elsewhere()
					next, goes, answer, seen := sm.After(state, kind, out)
					presence := "presence:" + kind + " bob@elsewhere>ann@localhost"
					if out {
						ann.send(`<presence type='%s' to='bob@elsewhere/x' from='ann@localhost/phone'/>`, kind)
						presence = "presence:" + kind + " ann@localhost>bob@elsewhere"
					} else {
						w.incoming(`<presence type='%s' from='bob@elsewhere/x' to='ann@localhost'/>`, kind)
					}
					got, told := ann.got(), w.elsewhere()
					where := got
					if out {
						where = told
					}
					if contains(where, presence) != goes {
						t.Errorf("it goes on: %v, want %v", !goes, goes)
					}
					pushed := strings.Contains(strings.Join(got, " "), "iq:set ann@localhost>ann@localhost/phone <query><item jid='bob@elsewhere'")
					if approves := out && kind == "subscribed" && !goes && !strings.Contains(state, "From") && state != "Both"; pushed != (seen || approves) {
						t.Errorf("pushed: %v, want %v: %q", pushed, seen, got)
					}
					if answer != "" && !contains(told, "presence:"+answer+" ann@localhost>bob@elsewhere") {
						t.Errorf("answered: %q, want %s", told, answer)
					}
					saw, sees := strings.Contains(state, "From") || state == "Both", strings.Contains(next, "From") || next == "Both"
					for what, want := range map[string]bool{
						"presence ann@localhost/phone>bob@elsewhere": sees && !saw, "presence:unavailable ann@localhost/phone>bob@elsewhere": saw && !sees,
					} {
						if contains(told, what) != want {
							t.Errorf("%s: %v; told %q", what, !want, told)
						}
					}
					expect(t, "a session that shows and has asked for nothing", quiet.got())
					it, found, err := w.store.Get(ctx, "ann@localhost", "roster", "bob@elsewhere")
					if err != nil {
						t.Fatal(err)
					}
					kept := "None"
					if found {
						kept = sm.StateOf("bob@elsewhere", it.Value)
					}
					if kept != next {
						t.Errorf("kept as %s, want %s", kept, next)
					}
				})
			}
		}
	}
}
