package disco_test

import (
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// The examples of XEP-0115 sections 5.2 and 5.3.
func TestCapabilities(t *testing.T) {
	const features = "<feature var='http://jabber.org/protocol/muc'/><feature var='http://jabber.org/protocol/caps'/>" +
		"<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/disco#info'/>"
	const form = "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>" +
		"<field var='software'><value>Psi</value></field><field var='os_version'><value>10.5.1</value></field><field var='os'><value>Mac</value></field>" +
		"<field var='ip_version'><value>ipv6</value><value>ipv4</value></field><field var='software_version'><value>0.11</value></field></x>"
	const nameless = "<x xmlns='jabber:x:data' type='result'><field var='software'><value>Psi</value></field></x>"
	for name, test := range map[string]struct{ query, ver string }{
		"simple":         {"<identity category='client' type='pc' name='Exodus 0.9.1'/>" + features, "QgayPKawpkPSDYmwT/WM94uAlu0="},
		"twice the same": {"<identity category='client' type='pc' name='Exodus 0.9.1'/>" + features + features, "QgayPKawpkPSDYmwT/WM94uAlu0="},
		"complex": {"<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/><identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>" +
			features + form, "q07IKJEyjvHSyhy//CH0CxmKi8w="},
		"a form without type": {"<identity category='client' type='pc' name='Exodus 0.9.1'/>" + features + nameless, "QgayPKawpkPSDYmwT/WM94uAlu0="},
	} {
		query := []byte("<query xmlns='" + ns.DiscoInfo + "'>" + test.query + "</query>")
		el, _ := xml.First(query, "")
		var a disco.Answer
		a.Take(&el)
		if got := string(a.AppendCapabilities(nil)); !strings.Contains(got, " ver='"+test.ver+"'") {
			t.Errorf("%s: %s, want %s", name, got, test.ver)
		}
		if again := string(a.AppendCapabilities(nil)); !strings.Contains(again, " ver='"+test.ver+"'") {
			t.Errorf("%s: and then %s", name, again)
		}
	}
}
