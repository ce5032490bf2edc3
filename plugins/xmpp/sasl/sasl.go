// Package sasl authenticates the two ends of a stream to each other: RFC 4422
// with the mechanisms that XMPP uses (RFC 6120 part 6).
//
// An exchange is a state machine that is handed what the other end sent and
// says what to send back; it owns no connection and starts no goroutine, so it
// fits a blocking client as well as a server that parks its connections. Bytes
// are the bare ones of the mechanism: the base64 around them, and the rule that
// a lone "=" is an empty message, belong to the stream.
//
//	Client                                    Server
//	NewClient(credentials, offered)           Authenticator.Offer(channel)
//	  Step(nil)        -- initial response -->  Start(mechanism, channel)
//	                                            Step(ctx, response)
//	  Step(challenge)  <-- challenge ---------
//	                   -- response ---------->  Step(ctx, response)
//	  Step(data)       <-- success, data -----  done
//
// A client is done when it has nothing further to check. If the server reports
// success earlier, the client has not seen the proof that the server knows the
// account too, and must treat the success as an attack.
//
// # Mechanisms
//
// SCRAM (RFC 5802, RFC 7677) with SHA-1, SHA-256 and SHA-512, each alone and
// bound to the TLS channel (-PLUS); PLAIN (RFC 4616); EXTERNAL (RFC 4422
// appendix A), where TLS has identified the client; ANONYMOUS (RFC 4505); OAUTHBEARER
// (RFC 7628), where somebody else has; and the hashed tokens of
// draft-ietf-kitten-sasl-ht, which a server gives to clients that it knows (HT-).
//
// With SCRAM, the server sends a hash of what it has offered (XEP-0474): a client
// that has seen another offer ends the exchange with [ErrDowngrade].
//
// SCRAM is written here rather than taken from a library because the server side
// needs four things at once that github.com/xdg-go/scram does not have: a look-up
// of credentials that takes a context and may fail for a reason of its own,
// several channel bindings on offer (XEP-0440), a check that the -PLUS in the
// mechanism's name and the flag in the message agree, and bounds on what an
// unauthenticated peer may send. The tests run that library against both sides.
//
// # What a server keeps
//
// [Keys], one a hash, never a password. A look-up that finds no account answers
// [ErrNoAccount], and the exchange goes on with made-up keys that stay the same
// for a name (see [Decoy]): neither the messages nor the time they take tell a
// stranger which accounts exist.
//
// An exchange is for one goroutine at a time. An [Authenticator] is for all.
package sasl

import "strings"

// The mechanisms of this package, by their registered names.
const (
	ScramSHA512Plus = "SCRAM-SHA-512-PLUS"
	ScramSHA256Plus = "SCRAM-SHA-256-PLUS"
	ScramSHA1Plus   = "SCRAM-SHA-1-PLUS"
	ScramSHA512     = "SCRAM-SHA-512"
	ScramSHA256     = "SCRAM-SHA-256"
	ScramSHA1       = "SCRAM-SHA-1"
	Plain           = "PLAIN"
	External        = "EXTERNAL"
	Anonymous       = "ANONYMOUS"
	OAuthBearer     = "OAUTHBEARER"
	HTSHA256None    = "HT-SHA-256-NONE"
	HTSHA256Expr    = "HT-SHA-256-EXPR"
	HTSHA256Endp    = "HT-SHA-256-ENDP"
)

// maxMessage bounds one message of either side, in bytes. The longest honest one
// is a client's first: two names of 1023 bytes, escaped threefold, and a nonce.
const maxMessage = 8 << 10

// scramMechanism takes a SCRAM mechanism's name apart.
func scramMechanism(name string) (hash Hash, plus, ok bool) {
	rest, ok := strings.CutPrefix(name, "SCRAM-")
	if !ok {
		return "", false, false
	}
	rest, plus = strings.CutSuffix(rest, "-PLUS")
	hash = Hash(rest)
	return hash, plus, hash.known()
}
