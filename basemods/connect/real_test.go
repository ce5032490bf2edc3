package connect_test

import (
	"testing"

	"github.com/jabberii/server/jabberd/e2e/clients"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

func TestComponentOfProsody(t *testing.T) {
	t.Parallel()
	componentOf(t, clients.Prosody, (*clients.Server).Kill)
}

// Ejabberd forgets a user that was registered just before it is killed, so it is stopped.
func TestComponentOfEjabberd(t *testing.T) {
	t.Parallel()
	componentOf(t, clients.Ejabberd, (*clients.Server).Stop)
}

func componentOf(t *testing.T, start func(testing.TB, clients.ServerConfig) *clients.Server, end func(*clients.Server)) {
	const bob = "bob@other.example"
	server := start(t, clients.ServerConfig{
		Users: map[string]string{bob: "secret"}, Hosts: []string{"other.example"}, Components: map[string]string{gate: secret},
	})
	h := sdktest.New(t, plan(server.Component, `,"ping":{"idle":"200ms","answer":"20s"},"hold":{"time":"5m"}`), true)
	h.Logged("connected as a component")
	client := clients.Slixmpp(t, server.Login(bob, "secret"))
	client.Presence(clients.Presence{})
	client.Ping(gate)
	client.Message("ann@"+gate, "there and back")
	client.AwaitMessage("ann@"+gate, "there and back")
	h.Deliver(message("hello"))
	client.AwaitMessage("ann@"+gate, "hello")

	end(server)
	h.Logged("not connected")
	h.Deliver(message("while you were away"))
	server.Start()
	h.Logged("connected as a component")
	again := clients.Slixmpp(t, server.Login(bob, "secret"))
	again.Presence(clients.Presence{})
	again.AwaitMessage("ann@"+gate, "while you were away")
	again.Ping(gate)
}
