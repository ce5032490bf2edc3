package c2s

import "github.com/jabberii/server/jabberd/module"

var standards = []module.XEP{
	{Number: 124, Name: "Bidirectional-streams Over Synchronous HTTP (BOSH)", Version: "1.11.2", Note: "one stream a session, no reports of lost responses, text/xml only"},
	{Number: 178, Name: "Best Practices for Use of SASL EXTERNAL with Certificates", Version: "1.2"},
	{Number: 198, Name: "Stream Management", Version: "1.6.3"},
	{Number: 206, Name: "XMPP Over BOSH", Version: "1.4"},
	{Number: 368, Name: "SRV records for XMPP over TLS", Version: "1.1.0"},
	{Number: 386, Name: "Bind 2", Version: "1.1.0", Note: "without metadata of an archive"},
	{Number: 388, Name: "Extensible SASL Profile", Version: "1.0.4"},
	{Number: 440, Name: "SASL Channel-Binding Type Capability", Version: "1.0.0"},
	{Number: 474, Name: "SASL SCRAM Downgrade Protection", Version: "0.5.0"},
	{Number: 478, Name: "Stream Limits Advertisement", Version: "0.2.0"},
	{Number: 480, Name: "SASL Upgrade Tasks", Version: "0.2.0"},
	{Number: 484, Name: "Fast Authentication Streamlining Tokens", Version: "0.2.0", Note: "without TLS 0-RTT"},
}
