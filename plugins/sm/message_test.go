package sm_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// RFC 6121 section 8.5, table 1: what becomes of a message, by its address,
// its type, and who is there.
func TestDelivery(t *testing.T) {
	t.Parallel()
	const offline, bounce, silent = "kept", "refused", "dropped"
	situations := map[string][]struct {
		resource string
		priority int
		shown    bool
	}{
		"no account":         {},
		"no session":         {},
		"connected only":     {{"desk", 0, false}},
		"negative":           {{"desk", -1, true}},
		"one":                {{"phone", 0, true}},
		"one, one negative":  {{"phone", 1, true}, {"desk", -1, true}},
		"two":                {{"phone", 5, true}, {"tablet", 2, true}},
		"two alike":          {{"phone", 3, true}, {"tablet", 3, true}},
		"one, one connected": {{"phone", 0, true}, {"desk", 0, false}},
	}
	tests := []struct {
		situation, to, kinds, want string
	}{
		{"no account", "", "normal chat headline error what ", silent},
		{"no account", "", "groupchat", bounce},
		{"no account", "/phone", "chat headline error", silent},
		{"no account", "/phone", "normal groupchat what ", bounce},

		{"no session", "", "normal chat what ", offline},
		{"no session", "", "groupchat", bounce},
		{"no session", "", "headline error", silent},
		{"no session", "/phone", "chat", offline},
		{"no session", "/phone", "normal  groupchat", bounce},
		{"no session", "/phone", "headline error", silent},

		{"connected only", "", "normal chat ", offline},
		{"connected only", "", "groupchat", bounce},
		{"connected only", "", "headline error", silent},
		{"connected only", "/desk", "normal chat groupchat headline error ", "desk"},
		{"connected only", "/phone", "chat", offline},

		{"negative", "", "normal chat ", offline},
		{"negative", "", "groupchat", bounce},
		{"negative", "", "headline error", silent},
		{"negative", "/desk", "normal chat groupchat headline error ", "desk"},
		{"negative", "/phone", "chat", offline},

		{"one", "", "normal chat headline ", "phone"},
		{"one", "", "groupchat", bounce},
		{"one", "", "error", silent},
		{"one", "/phone", "normal chat groupchat headline error ", "phone"},
		{"one", "/gone", "chat", "phone"},
		{"one", "/gone", "normal  groupchat", bounce},
		{"one", "/gone", "headline error", silent},
		{"one", "", "what", "phone"},
		{"one", "/phone", "what", "phone"},
		{"one", "/gone", "what", bounce},

		{"one, one negative", "", "normal chat headline ", "phone"},
		{"one, one negative", "/desk", "chat", "desk"},
		{"one, one connected", "", "normal chat headline ", "phone"},
		{"one, one connected", "/desk", "chat", "desk"},

		{"two", "", "normal chat ", "phone"},
		{"two", "", "headline", "phone tablet"},
		{"two", "", "groupchat", bounce},
		{"two", "/tablet", "normal chat groupchat headline error ", "tablet"},
		{"two", "/gone", "chat", "phone"},
		{"two", "/gone", "normal  groupchat", bounce},
		{"two", "/gone", "headline error", silent},
		{"negative", "/phone", "normal  groupchat", bounce},
		{"negative", "/phone", "headline error", silent},
		{"connected only", "/phone", "normal  groupchat", bounce},
		{"connected only", "/phone", "headline error", silent},
		{"two alike", "", "normal chat headline ", "phone tablet"},

		{"no session", "/phone", "what", bounce},
		{"connected only", "", "what", offline},
		{"connected only", "/phone", "what", bounce},
		{"negative", "", "what", offline},
		{"negative", "/phone", "what", bounce},
		{"one, one negative", "", "what", "phone"},
		{"one, one negative", "", "groupchat", bounce},
		{"one, one negative", "", "error", silent},
		{"one, one negative", "/gone", "chat", "phone"},
		{"one, one negative", "/gone", "normal  groupchat what", bounce},
		{"one, one negative", "/gone", "headline error", silent},
		{"one, one connected", "", "what", "phone"},
		{"one, one connected", "", "groupchat", bounce},
		{"one, one connected", "", "error", silent},
		{"one, one connected", "/gone", "chat", "phone"},
		{"one, one connected", "/gone", "normal  groupchat what", bounce},
		{"one, one connected", "/gone", "headline error", silent},
		{"two", "", "what", "phone"},
		{"two", "", "error", silent},
		{"two", "/gone", "what", bounce},
		{"two alike", "", "what", "phone tablet"},
		{"two alike", "", "groupchat", bounce},
		{"two alike", "", "error", silent},
		{"two alike", "/gone", "chat", "phone tablet"},
		{"two alike", "/gone", "normal  groupchat what", bounce},
		{"two alike", "/gone", "headline error", silent},
	}
	has := map[string]bool{}
	for _, test := range tests {
		to := test.to
		for _, x := range situations[test.situation] {
			if to == "/"+x.resource {
				to = "/there"
			}
		}
		if to != "" && to != "/there" {
			to = "/gone"
		}
		for _, kind := range strings.Split(test.kinds, " ") {
			has[test.situation+to+kind] = true
		}
	}
	for situation := range situations {
		for _, to := range []string{"", "/gone"} {
			for _, kind := range []string{"", "normal", "chat", "groupchat", "headline", "error", "what"} {
				if !has[situation+to+kind] {
					t.Errorf("the table says nothing of %q to %q where there is %s", kind, to, situation)
				}
			}
		}
	}
	for _, test := range tests {
		for _, kind := range strings.Split(test.kinds, " ") {
			bubble(t, fmt.Sprintf("%s to bare%s %s", test.situation, test.to, kind), func(t *testing.T) {
				w := newWorld(t, `{}`)
				if test.situation != "no account" {
					w.register("ann@localhost")
				}
				sessions := map[string]*conn{}
				for _, x := range situations[test.situation] {
					if x.shown {
						sessions[x.resource] = w.available("ann@localhost/"+x.resource, x.priority)
					} else {
						sessions[x.resource] = w.login("ann@localhost/" + x.resource)
					}
				}
				for _, c := range sessions {
					c.take()
				}
				attr := ""
				if kind != "" {
					attr = " type='" + kind + "'"
				}
				stanza := fmt.Sprintf("<message to='ann@localhost%s' from='bob@elsewhere/x'%s><body>hi</body></message>", test.to, attr)
				p := parse(t, stanza)
				verdict, why := w.env.handler.(module.Explainer).Explain(context.Background(), &p)
				result := w.incoming("%s", stanza)
				var got []string
				for _, resource := range []string{"phone", "tablet", "desk"} {
					if c := sessions[resource]; c != nil && len(c.take()) > 0 {
						got = append(got, resource)
						if !strings.Contains(why, "ann@localhost/"+resource) {
							t.Errorf("explained: %s", why)
						}
					}
				}
				where := strings.Join(got, " ")
				switch {
				case result == packet.Refused:
					where += bounce
				case len(got) == 0 && len(w.keptFor("ann@localhost")) > 0:
					where = offline
				case len(got) == 0:
					where = silent
				}
				if where != test.want {
					t.Errorf("%s, want %s", where, test.want)
				}
				if (verdict == packet.Claim) != (result == packet.Claimed) {
					t.Errorf("ended %v, explained: %s", result, why)
				}
				if told := w.elsewhere(); (len(told) > 0) != (where == bounce && kind != "error") {
					t.Errorf("its sender is told %q", told)
				}
			})
		}
	}
}

// keptFor returns the offline messages of an account.
func (w *world) keptFor(jid string) []string {
	w.t.Helper()
	items, err := w.store.GetAll(context.Background(), jid, "offline")
	if err != nil {
		w.t.Fatal(err)
	}
	var list []string
	for _, it := range items {
		list = append(list, brief(string(it.Value)))
	}
	return list
}
