// Package clients plays the other side in tests of whole servers: real XMPP
// clients, external components and servers from Debian, driven from Go.
//
//	ann := clients.Slixmpp(t, clients.Login{Addr: addr, JID: "ann@localhost", Password: "secret"})
//	bob := clients.Profanity(t, clients.Login{Addr: addr, JID: "bob@localhost", Password: "secret"})
//	ann.Message("bob@localhost", "hello")
//	bob.AwaitMessage("ann@localhost", "hello")
//
// Clients: [Slixmpp] (a program with slixmpp, which also plays an external
// component, see [Component]), [Aioxmpp], [Profanity] (a person at a terminal), [XMPPJS]
// and [Strophe] (the libraries of web pages), [OpenConverse] (a person at a browser)
// and [SendXMPP] (a script). What all have in common that people chat with is a [Chatter].
// Servers: [Prosody], [Ejabberd], [Biboumi] (a gateway, the component of a
// server) and [IRC] (what it leads to).
//
// Every function takes the test: what goes wrong fails it, with what the
// program had said so far, and all that was started ends with it. Where the
// program is not installed the test is skipped. Nothing sleeps: what is waited
// for has [Patience], and is reported at once when the program ends instead.
// Everything listens on loopback, on ports found free, with its state in the
// test's temporary folder, so tests may run side by side. Functions and methods
// are called by the test's goroutine only.
package clients

import "time"

// Patience is how long anything is waited for before the test fails. It is for
// a machine busy with other tests, nothing takes that long.
const Patience = 60 * time.Second
