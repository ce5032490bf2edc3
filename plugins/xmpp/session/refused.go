package session

import "github.com/jabberii/server/plugins/xmpp/sasl"

// A Refused is the error of a [Reply] with which an authentication has failed: who tried,
// for a log. The strings are the peer's, of any length and with any character.
type Refused struct {
	Mechanism string // that was asked for, offered or not
	Username  string // before its preparation; empty if the exchange did not come so far
	Err       error  // why: a *sasl.Failure, or what a function of the owner's returned
}

func (e *Refused) Error() string { return e.Err.Error() }

// Unwrap lets errors.Is and errors.As see why.
func (e *Refused) Unwrap() error { return e.Err }

// refused says whose exchange has failed; it is nil if none was begun, with the mechanism
// that was asked for.
func refused(x *sasl.Server, mechanism []byte, why error) *Refused {
	if x == nil {
		return &Refused{Mechanism: string(mechanism), Err: why}
	}
	return &Refused{Mechanism: x.Mechanism(), Username: x.Tried(), Err: why}
}
