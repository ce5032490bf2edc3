package sm

import "github.com/jabberii/server/jabberd/module"

var standards = []module.XEP{
	{Number: 16, Name: "Privacy Lists", Version: "1.7", Note: "a group of a rule need not be in the roster"},
	{Number: 12, Name: "Last Activity", Version: "2.0", Note: "of accounts; of a host it is the module last that tells"},
	{Number: 30, Name: "Service Discovery", Version: "2.5.0"},
	{Number: 115, Name: "Entity Capabilities", Version: "1.6.0", Note: "of hosts and of clients; optimised (8.4) where `caps { optimize = true }` is set, by default presence passes as it is"},
	{Number: 160, Name: "Best Practices for Handling Offline Messages", Version: "1.0.1"},
	{Number: 191, Name: "Blocking Command", Version: "1.3"},
	{Number: 198, Name: "Stream Management", Version: "1.6.3"},
	{Number: 199, Name: "XMPP Ping", Version: "2.0.1"},
	{Number: 203, Name: "Delayed Delivery", Version: "2.0"},
	{Number: 280, Name: "Message Carbons", Version: "1.0.1", Note: "errors are copied unless they are of a room"},
	{Number: 297, Name: "Stanza Forwarding", Version: "1.0"},
	{Number: 334, Name: "Message Processing Hints", Version: "1.0.0"},
	{Number: 352, Name: "Client State Indication", Version: "1.0.0"},
	{Number: 359, Name: "Unique and Stable Stanza IDs", Version: "0.7.0", Note: "on messages that may come to a client more than once"},
	{Number: 386, Name: "Bind 2", Version: "1.1.0", Note: "offline messages are delivered, since there is no archive"},
}
