package http_test

import (
	"io"
	"net"
	"strings"
	"testing"
)

// Who asks is told by the last proxy that is trusted, in the one header that the file says.
func TestForwarded(t *testing.T) {
	_, at := start(t, whoAsks(t), `{"listen":["127.0.0.1:0"],"trusted_proxies":["127.0.0.1","10.0.0.0/8","2001:db8:a::/48"],"proxy_header":"Forwarded"}`)
	_, other := start(t, whoAsks(t), `{"listen":["127.0.0.1:0"]}`)
	_, strict := start(t, whoAsks(t), `{"listen":["127.0.0.1:0"],"trusted_proxies":["192.0.2.1"],"proxy_header":"Forwarded"}`)
	const https = "secure=true tls=false"
	const clear = "secure=false tls=false"
	for _, c := range []struct{ name, address, forwarded, want string }{
		{"one", at[0], "for=192.0.2.9;proto=https", "192.0.2.9 " + https},
		{"any case, any order, spaces", at[0], "Proto=HTTPS; For=192.0.2.9;by=10.1.1.1", "192.0.2.9 " + https},
		{"without TLS", at[0], "for=192.0.2.9;proto=http", "192.0.2.9 " + clear},
		{"with a port", at[0], `for="192.0.2.9:4711";proto=https`, "192.0.2.9 " + https},
		{"IPv6", at[0], `for="[2001:db8::1]";proto=https`, "2001:db8::1 " + https},
		{"IPv6 with a port", at[0], `for="[2001:db8::1]:4711";proto=https`, "2001:db8::1 " + https},
		{"a port that hides itself", at[0], `for="[2001:db8::1]:_x";proto=https`, "2001:db8::1 " + https},
		{"proxies in a row", at[0], `for=203.0.113.5;proto=http, for=192.0.2.9, for="[2001:db8:a::1]", for=10.1.2.3;proto=https`, "192.0.2.9 " + https},
		{"separators in quotes", at[0], `for=192.0.2.9;host="a,b;for=\"203.0.113.5\\";proto=https`, "192.0.2.9 " + https},
		{"one that hides itself", at[0], "for=203.0.113.5, for=_hidden;proto=https", "127.0.0.1 " + https},
		{"nonsense", at[0], `for="`, "127.0.0.1 " + clear},
		{"none", at[0], "", "127.0.0.1 " + https},
		{"who is not trusted", strict[0], "for=192.0.2.9;proto=https", "127.0.0.1 " + clear},
		{"another header than the file's", other[0], "for=192.0.2.9;proto=http", "127.0.0.1 " + https},
	} {
		t.Run(c.name, func(t *testing.T) {
			header := map[string]string{"Forwarded": c.forwarded}
			if !strings.HasPrefix(c.want, "127.0.0.1 ") {
				header["X-Forwarded-For"] = "198.51.100.66" // a client's own words
			}
			if _, got := ask(t, "GET", "http://"+c.address+"/who/is", header); !strings.HasPrefix(got, c.want+" ") {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// One address has so many connections; a proxy has more. Who goes makes room.
func TestConnectionsOfAnAddress(t *testing.T) {
	_, proxy := start(t, whoAsks(t), `{"listen":["127.0.0.1:0"],"per_address":1}`)
	h, at := start(t, whoAsks(t), `{"listen":["127.0.0.1:0"],"per_address":1,"trusted_proxies":[]}`)
	talk := func(address string) (net.Conn, error) {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		io.WriteString(conn, "GET /who/ HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err = conn.Read(make([]byte, 1))
		return conn, err
	}
	for range 3 {
		if _, err := talk(proxy[0]); err != nil {
			t.Errorf("a proxy: %v", err)
		}
	}
	one, err := talk(at[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := talk(at[0]); err == nil {
		t.Error("a second connection of one address is served")
	}
	h.Logged("too many HTTP connections")
	one.Close()
	for _, err = talk(at[0]); err != nil; _, err = talk(at[0]) { // until it is seen that the first is gone
	}
}
