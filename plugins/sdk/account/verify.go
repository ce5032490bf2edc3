package account

import (
	"context"
	"errors"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A store may know no keys and yet whether a password is right: a directory, a
// program. It says so by an item with VerifyKey, which an account has that is
// there, and the host itself; the passwords of that host's accounts are verified
// by the operation VerifyOp:
//
//	Name    Type  NS    Body
//	verify  get   auth  <password>secret</password>
//
// The answer is empty, or the reject not-authorized.
const (
	VerifyKey = "verify"
	VerifyOp  = "verify"
)

// ErrWrong says that a password is not that of the account, or that there is no
// such account.
var ErrWrong = errors.New("the password is wrong")

// VerifyItem is the item by which a store says that it verifies.
func VerifyItem() xdb.Item { return xdb.Item{Key: VerifyKey} }

// WrongPassword is how such a store refuses a password.
func WrongPassword() error { return packet.Refuse("not-authorized", "") }

// PasswordIn returns the password that a store is asked to verify.
func PasswordIn(question *packet.Packet) string {
	el, ok := xml.Find(question.Body, "", "password", "")
	if !ok {
		return ""
	}
	return el.Text()
}

// Verified is how such a store answers that a password is right.
func Verified(question *packet.Packet) *packet.Packet {
	return &packet.Packet{
		Kind: packet.XDB, To: question.From, From: question.To, Name: question.Name, Type: "result", ID: question.ID, NS: question.NS,
	}
}

// Verifies reports whether the passwords of a host's accounts are verified by its
// store, which has no keys of them.
func Verifies(ctx context.Context, store *xdb.Store, host string) (bool, error) {
	_, found, err := store.Get(ctx, host, NS, VerifyKey)
	return found, err
}

// Verify asks the store of a host that verifies. The error is ErrWrong if it
// refuses the password.
func Verify(ctx context.Context, asker xdb.Asker, from, jid, password string) error {
	_, err := asker.Ask(ctx, &packet.Packet{
		Kind: packet.XDB, To: jid, From: from, Name: VerifyOp, Type: "get", NS: NS,
		Body: xml.AppendElement(nil, "password", "", password),
	})
	var no *packet.Reject
	if errors.As(err, &no) && no.Condition == "not-authorized" {
		return ErrWrong
	}
	return err
}
