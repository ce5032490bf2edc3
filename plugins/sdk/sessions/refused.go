package sessions

// Refused is the namespace of session packets by which a connection tells its
// session of a stanza of the client that does not come to it: because the
// connection itself has refused it, or because a handler between the two has.
// With stream management (XEP-0198) the session counts it like any other, and
// the error that it sends the client too.
//
// The packet has the stanza's name and id, To if that is an address, and the
// error element as its body: none if the stanza is one that is not answered. If
// a handler has refused it, the attribute seq is the Seq that the stanza had.
const Refused = "urn:jabberd:refused"
