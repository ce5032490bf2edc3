package connect_test

import (
	"strings"
	"testing"

	"github.com/jabberii/server/basemods/connect"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

// What the native link does is tested where it is accepted: basemods/accept.
func TestNativeWrongArguments(t *testing.T) {
	const args = `{"to":"127.0.0.1:1","secret":"the secret of two servers",`
	for name, c := range map[string]struct{ args, want string }{
		"neither host nor native": {args + `"hold":{}}`, "host: is required"},
		"both":                    {args + `"host":"a.example","native":{}}`, "host: is a component's name"},
		"a short secret":          {`{"to":"a:1","secret":"short","native":{}}`, "secret: is shorter than 16"},
		"a certificate alone":     {args + `"native":{"certificate":"a"}}`, "native.certificate: certificate and key belong together"},
		"a pin":                   {args + `"native":{"pin":["00"]}}`, "native.pin: "},
		"a host":                  {args + `"native":{"from":["a.*"]}}`, "native.from: "},
		"a window of none":        {args + `"native":{"window":0}}`, "native.window: is less than 1"},
		"authorities of nobody":   {args + `"native":{"ca":"none.crt"}}`, "authorities: open "},
	} {
		_, err := sdktest.Try(t, sdktest.Plan{Modules: []module.Module{connect.Module}, Sections: []module.Section{
			sdktest.Section("far", packet.Normal, sdktest.Host("far.example"), sdktest.Block("connect", c.args))}}, false)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
