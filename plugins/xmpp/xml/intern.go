package xml

import "github.com/jabberii/server/plugins/xmpp/ns"

// known are the names, types, languages and namespaces that nearly all streams
// consist of. It never changes.
var known = func(all ...string) map[string]string {
	table := make(map[string]string, len(all))
	for _, s := range all {
		table[s] = s
	}
	return table
}(
	"message", "presence", "iq", "r", "a", "active", "inactive", "stream", "stream:stream", "features", "auth",
	"challenge", "response", "success", "enable", "enabled", "resume", "resumed",
	"chat", "groupchat", "headline", "normal", "error", "get", "set", "result", "unavailable",
	"subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "en", "de",
	ns.XML, ns.Client, ns.Server, ns.Stream, ns.StreamErrors, ns.StanzaErrors, ns.StartTLS, ns.SASL,
	ns.SASL2, ns.Bind, ns.Bind2, ns.Framing, ns.Roster, ns.Delay, ns.Ping, ns.DiscoInfo, ns.DiscoItems,
	ns.Caps, ns.DataForm, ns.ResultSet, ns.StreamManagement, ns.Carbons, ns.ClientState, ns.Forward,
	ns.StanzaID, ns.Hints, ns.ChatStates, ns.Receipts, ns.ChatMarkers, ns.VCard, ns.VCardUpdate,
	ns.Dialback, ns.ComponentAccept, ns.ComponentConnect,
)

// intern makes a string of b, without allocating if it is a known one.
func intern(b []byte) string {
	if s, ok := known[string(b)]; ok {
		return s
	}
	return string(b)
}
