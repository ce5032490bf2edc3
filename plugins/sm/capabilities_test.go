package sm_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// What a host announces is what it answers, and follows it (XEP-0115).
func TestCapabilitiesOfAHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		ann := w.login("ann@localhost/phone")
		announced := func() string {
			synctest.Wait()
			element, err := disco.ReadCapabilities(t.Context(), w.store, "localhost")
			if err != nil || element == nil {
				t.Fatalf("nothing is announced: %v", err)
			}
			ann.send(`<iq type='get' id='1' to='localhost'><query xmlns='%s' node='%s#x'/></iq>`, ns.DiscoInfo, disco.Node)
			query, _ := xml.First(ann.take()[0].Body, ns.Client)
			var a disco.Answer
			a.Take(&query)
			if want := string(a.AppendCapabilities(nil)); string(element) != want {
				t.Errorf("announced is %s, want %s", element, want)
			}
			return string(element)
		}
		before := announced()
		commit, err := w.env.handler.(module.Updater).Prepare([]byte(`{"offline":{"max":0}}`))
		if err != nil {
			t.Fatal(err)
		}
		commit()
		time.Sleep(2 * time.Minute)
		if announced() == before {
			t.Error("it has not changed with the configuration")
		}
		expect(t, "nobody is told", append(ann.got(), w.elsewhere()...))
		p := packet.Packet{Kind: packet.Normal, To: "localhost", From: "localhost", Name: "iq", Type: "get", Body: xml.AppendEmpty(nil, "query", ns.DiscoInfo)}
		if _, why := w.env.handler.(module.Explainer).Explain(t.Context(), &p); !strings.Contains(why, "answers this itself") {
			t.Error(why)
		}
	})
}
