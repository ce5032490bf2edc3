package sm

import (
	"strings"
	"testing"
)

// The nine states of RFC 6121 appendix A.1, in its order.
var states = []struct {
	name string
	is   subscription
}{
	{"None", none},
	{"None + Pending Out", pendingOut},
	{"None + Pending In", pendingIn},
	{"None + Pending Out+In", pendingOut | pendingIn},
	{"To", to},
	{"To + Pending In", to | pendingIn},
	{"From", from},
	{"From + Pending Out", from | pendingOut},
	{"Both", both},
}

// The tables of RFC 6121 appendix A.2 and A.3, a column a state: + the stanza
// goes on (is routed, is delivered), - it does not, and the state that follows,
// "" being the same.
func TestAppendixA(t *testing.T) {
	const n, no, ni, noi, t_, ti, f, fo, b = "None", "None + Pending Out", "None + Pending In", "None + Pending Out+In",
		"To", "To + Pending In", "From", "From + Pending Out", "Both"
	type column struct{ goes, next string }
	same := func(goes string) column { return column{goes, ""} }
	tables := []struct {
		section string
		kind    string
		out     bool
		columns [9]column
	}{
		{"A.2.1", "subscribe", true, [9]column{{"+", no}, same("+"), {"+", noi}, same("+"), same("+"), same("+"), {"+", fo}, same("+"), same("+")}},
		{"A.2.2", "unsubscribe", true, [9]column{same("+"), {"+", n}, same("+"), {"+", ni}, {"+", n}, {"+", ni}, same("+"), {"+", f}, {"+", f}}},
		{"A.2.3", "subscribed", true, [9]column{same("-"), same("-"), {"+", f}, {"+", fo}, same("-"), {"+", b}, same("-"), same("-"), same("-")}},
		{"A.2.4", "unsubscribed", true, [9]column{same("-"), same("-"), {"+", n}, {"+", no}, same("-"), {"+", t_}, {"+", n}, {"+", no}, {"+", t_}}},
		{"A.3.1", "subscribe", false, [9]column{{"+", ni}, {"+", noi}, same("-"), same("-"), {"+", ti}, same("-"), same("-"), same("-"), same("-")}},
		{"A.3.2", "unsubscribe", false, [9]column{same("-"), same("-"), {"+", n}, {"+", no}, same("-"), {"+", t_}, {"+", n}, {"+", no}, {"+", t_}}},
		{"A.3.3", "subscribed", false, [9]column{same("-"), {"+", t_}, same("-"), {"+", ti}, same("-"), same("-"), same("-"), {"+", b}, same("-")}},
		{"A.3.4", "unsubscribed", false, [9]column{same("-"), {"+", n}, same("-"), {"+", ni}, {"+", n}, {"+", ni}, same("-"), {"+", f}, {"+", f}}},
	}
	for _, table := range tables {
		for i, state := range states {
			want := table.columns[i]
			if want.next == "" {
				want.next = state.name
			}
			var next subscription
			var goes bool
			var answer string
			if table.out {
				next, goes = state.is.outbound(table.kind)
			} else {
				next, goes, answer = state.is.inbound(table.kind)
			}
			at := table.section + " " + table.kind + " in " + state.name
			if goes != (want.goes == "+") {
				t.Errorf("%s: goes on: %v", at, goes)
			}
			if got := stateName(next &^ approved); got != want.next {
				t.Errorf("%s: becomes %s, want %s", at, got, want.next)
			}
			// A.3.1: who is subscribed already is told so again.
			if told := answer == "subscribed"; told != (!table.out && table.kind == "subscribe" && state.is&from != 0) {
				t.Errorf("%s: answered %q", at, answer)
			}
		}
	}
}

func stateName(s subscription) string {
	for _, state := range states {
		if state.is == s {
			return state.name
		}
	}
	return "no state of the RFC"
}

func TestPreApproval(t *testing.T) {
	tests := []struct{ name, acts, want string }{
		{"granted before it was asked", "out:subscribed in:subscribe", "From"},
		{"is not told to the contact", "out:subscribed", "approved None"},
		{"while asking oneself", "out:subscribe out:subscribed in:subscribe", "From + Pending Out"},
		{"taken back", "out:subscribed out:unsubscribed in:subscribe", "None + Pending In"},
		{"used up", "out:subscribed in:subscribe in:unsubscribe in:subscribe", "None + Pending In"},
		{"a grant of what was asked is no approval", "in:subscribe out:subscribed in:unsubscribe", "None"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := none
			for _, act := range strings.Fields(test.acts) {
				side, kind, _ := strings.Cut(act, ":")
				if side == "out" {
					s, _ = s.outbound(kind)
				} else {
					s, _, _ = s.inbound(kind)
				}
			}
			got := stateName(s &^ approved)
			if s&approved != 0 {
				got = "approved " + got
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
