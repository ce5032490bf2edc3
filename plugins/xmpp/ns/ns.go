// Package ns names the XML namespaces of XMPP that more than one package has
// to know. The namespace of an extension that only one package speaks is a
// constant of that package.
package ns

// XML itself.
const (
	XML   = "http://www.w3.org/XML/1998/namespace" // bound to the prefix xml
	XMLNS = "http://www.w3.org/2000/xmlns/"        // bound to the prefix xmlns
)

// Streams and what they carry (RFC 6120).
const (
	Client       = "jabber:client"
	Server       = "jabber:server"
	Stream       = "http://etherx.jabber.org/streams"
	StreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
	StanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas"
	StartTLS     = "urn:ietf:params:xml:ns:xmpp-tls"
	SASL         = "urn:ietf:params:xml:ns:xmpp-sasl"
	Bind         = "urn:ietf:params:xml:ns:xmpp-bind"
	Session      = "urn:ietf:params:xml:ns:xmpp-session" // RFC 3921, obsolete
	Framing      = "urn:ietf:params:xml:ns:xmpp-framing" // WebSocket, RFC 7395
)

// Instant messaging (RFC 6121).
const (
	Roster           = "jabber:iq:roster"
	RosterVersions   = "urn:xmpp:features:rosterver"
	PreApproval      = "urn:xmpp:features:pre-approval"
	StreamLimits     = "urn:xmpp:stream-limits:0" // XEP-0478
	Delay            = "urn:xmpp:delay"           // XEP-0203
	Ping             = "urn:xmpp:ping"            // XEP-0199
	DiscoInfo        = "http://jabber.org/protocol/disco#info"
	DiscoItems       = "http://jabber.org/protocol/disco#items"
	Caps             = "http://jabber.org/protocol/caps"
	DataForm         = "jabber:x:data"
	ResultSet        = "http://jabber.org/protocol/rsm"
	StreamManagement = "urn:xmpp:sm:3"
	Carbons          = "urn:xmpp:carbons:2"
	ClientState      = "urn:xmpp:csi:0"
	Forward          = "urn:xmpp:forward:0"
	StanzaID         = "urn:xmpp:sid:0"
	Hints            = "urn:xmpp:hints"
	ChatStates       = "http://jabber.org/protocol/chatstates"
	Receipts         = "urn:xmpp:receipts"
	ChatMarkers      = "urn:xmpp:chat-markers:0"
	VCard            = "vcard-temp"
	VCardUpdate      = "vcard-temp:x:update"
)

// Authentication beyond RFC 6120.
const (
	SASL2           = "urn:xmpp:sasl:2"          // XEP-0388
	Bind2           = "urn:xmpp:bind:0"          // XEP-0386
	FAST            = "urn:xmpp:fast:0"          // XEP-0484
	ChannelBinding  = "urn:xmpp:sasl-cb:0"       // XEP-0440
	Upgrade         = "urn:xmpp:sasl:upgrade:0"  // XEP-0480
	ScramUpgrade    = "urn:xmpp:scram-upgrade:0" // XEP-0480
	Dialback        = "jabber:server:dialback"
	DialbackFeature = "urn:xmpp:features:dialback"
)

// Components (XEP-0114). Both are in use: a component speaks of accept when it
// opens the connection, and of connect when the server does.
const (
	ComponentAccept  = "jabber:component:accept"
	ComponentConnect = "jabber:component:connect"
)
