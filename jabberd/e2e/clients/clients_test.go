package clients_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
)

var config = clients.ServerConfig{
	Users:      map[string]string{"ann@one.test": "open sesame", "bob@one.test": "s3cret'<"},
	Components: map[string]string{"echo.one.test": "component secret"},
}

func servers(t *testing.T, test func(t *testing.T, server *clients.Server)) {
	for name, start := range map[string]func(testing.TB, clients.ServerConfig) *clients.Server{
		"prosody": clients.Prosody, "ejabberd": clients.Ejabberd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, config))
		})
	}
}

func TestChat(t *testing.T) {
	servers(t, func(t *testing.T, server *clients.Server) {
		ann := clients.Slixmpp(t, server.Login("ann@one.test", config.Users["ann@one.test"]))
		bob := clients.Slixmpp(t, server.Login("bob@one.test", config.Users["bob@one.test"]))
		ann.Presence(clients.Presence{})
		bob.Presence(clients.Presence{})
		ann.Message("bob@one.test", "hello <&> \u00e4\u4e2d\U0001f600")
		bob.AwaitMessage("ann@one.test", "hello <&> \u00e4\u4e2d\U0001f600")
	})
}
