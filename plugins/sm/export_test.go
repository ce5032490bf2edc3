package sm

import (
	"context"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/journal"
)

// Counts are those of a managed session.
type Counts struct{ Received, Acked uint64 }

// WriteSession makes a journal with one managed session in it, that waits to be
// resumed, and returns what resumes it.
func WriteSession(ctx context.Context, folder string, token packet.Token, jid string, c Counts) (name string, err error) {
	j, _, err := journal.Open(ctx, folder, journal.Options{}, func(journal.Pos, []byte) error { return nil })
	if err != nil {
		return "", err
	}
	m := &managed{max: time.Minute, received: c.Received, acked: c.Acked, lost: moment(time.Now().UnixMilli() / tick.Milliseconds())}
	x := &session{token: token, jid: jid, account: &account{}, managed: m}
	if _, err := j.Append(appendState(nil, x)); err != nil {
		return "", err
	}
	return m.name(token), j.Close()
}

// WriteRecords makes a journal with these records.
func WriteRecords(ctx context.Context, folder string, records ...[]byte) error {
	j, _, err := journal.Open(ctx, folder, journal.Options{}, func(journal.Pos, []byte) error { return nil })
	if err != nil {
		return err
	}
	for _, b := range records {
		if _, err := j.Append(b); err != nil {
			return err
		}
	}
	return j.Close()
}

// StateWith is the record of a session to which something was added.
func StateWith(tag byte) []byte {
	x := &session{jid: "ann@localhost/phone", account: &account{}}
	return appendString(append(appendState(nil, x), tag), "what")
}

// States are the nine of RFC 6121 appendix A.1.
func States() []string {
	var names []string
	for _, state := range states {
		names = append(names, state.name)
	}
	return names
}

// StoredState is how storage has a contact in a state.
func StoredState(name, jid string) []byte {
	c := &contact{jid: jid, state: stateOf(name)}
	c.listed = c.state&visible != 0
	return c.value()
}

// StateOf is the state of a contact that storage has; "" if it has none.
func StateOf(jid string, value []byte) string {
	c := parseContact(jid, value)
	return stateName(c.state &^ approved)
}

// After is what becomes of a state, whether the stanza goes on, how the server
// answers, and whether the account's clients see that anything has changed.
func After(name, kind string, out bool) (next string, goes bool, answer string, seen bool) {
	old := stateOf(name)
	var state subscription
	if out {
		state, goes = old.outbound(kind)
	} else {
		state, goes, answer = old.inbound(kind)
	}
	return stateName(state &^ approved), goes, answer, state&visible != old&visible
}

func stateOf(name string) subscription {
	for _, state := range states {
		if state.name == name {
			return state.is
		}
	}
	panic("no state " + name)
}
