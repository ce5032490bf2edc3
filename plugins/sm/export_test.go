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
