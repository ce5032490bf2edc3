package accept_test

import (
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

func TestSlixmpp(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, plan(`,"ping":{"idle":"200ms","answer":"20s"}`), func(t *testing.T, h *sdktest.Harness) {
		address := listening(h)
		_, err := clients.TryComponent(t, clients.ComponentLogin{Addr: address, Host: irc, Secret: "guess"})
		if err == nil || !strings.Contains(err.Error(), "not-authorized") && !strings.Contains(err.Error(), "stream error") {
			t.Errorf("with a wrong secret: %v", err)
		}
		a := clients.Component(t, clients.ComponentLogin{Addr: address, Host: irc, Secret: secret})
		b := clients.Component(t, clients.ComponentLogin{Addr: address, Host: news, Secret: secret})
		a.MessageFrom("bob@"+irc, "ann@"+news, "hello <&>")
		if m := b.AwaitMessage("bob@"+irc, "hello <&>"); m.To != "ann@"+news {
			t.Errorf("got %+v", m)
		}
		a.PingFrom(irc, irc)  // answered by accept
		a.PingFrom(irc, news) // answered by the other one
		h.Deliver(message("bob@"+irc, "from afar"))
		a.AwaitMessage("ann@example.org/desk", "from afar")
		a.Drop()
		h.Logged("has ended")
		if o := h.Deliver(message("bob@"+irc, "meanwhile")); o.Result != packet.Claimed {
			t.Errorf("ended %+v", o)
		}
		a.Reconnect()
		a.AwaitMessage("ann@example.org/desk", "meanwhile")
	})
}

func TestBiboumi(t *testing.T) {
	t.Parallel()
	h := sdktest.New(t, plan(`,"ping":{"idle":"200ms","answer":"20s"}`), true)
	address := listening(h)
	host := clients.IRC(t)
	clients.Biboumi(t, clients.ComponentLogin{Addr: address, Host: irc, Secret: secret}, host)
	ann := clients.Component(t, clients.ComponentLogin{Addr: address, Host: news, Secret: secret})
	room := "#lobby@" + irc
	ann.Send("<presence from='ann@" + news + "/desk' to='" + room + "/ann'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
	ann.AwaitPresence(room+"/ann", "")
	ann.Send("<message type='groupchat' from='ann@" + news + "/desk' to='" + room + "'><body>hello</body></message>")
	ann.AwaitMessage(room+"/ann", "hello")
}
