package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/sdk/web"
)

func TestFind(t *testing.T) {
	var routes web.Routes
	for _, path := range []string{"/ws", "/upload/", "/upload/big/", "/"} {
		if _, err := routes.Hang("section", web.Route{Path: path, Methods: path}); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/ws": "/ws", "/ws/": "/", "/wss": "/", "/upload": "/", "/upload/": "/upload/", "/upload/a/b": "/upload/",
		"/upload/big/c": "/upload/big/", "/": "/",
	} {
		if got, ok := routes.Find(path); !ok || got.Methods != want {
			t.Errorf("%s is %q, want %q", path, got.Methods, want)
		}
	}
}

func TestHang(t *testing.T) {
	var routes web.Routes
	first, err := routes.Hang("a", web.Route{Path: "/x", Methods: "1", Rel: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := routes.Hang("b", web.Route{Path: "/x"}); err == nil || !strings.Contains(err.Error(), "that of a") {
		t.Errorf("somebody else's path: %v", err)
	}
	if _, err := routes.Hang("b", web.Route{Path: "x"}); err == nil {
		t.Error("a path without a slash was taken")
	}
	second, err := routes.Hang("a", web.Route{Path: "/x", Methods: "2", Rel: "r"})
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := routes.Find("/x"); r.Methods != "2" {
		t.Errorf("the earlier handler serves: %s", r.Methods)
	}
	if l := routes.Links(); len(l) != 1 || l[0].Path != "/x" {
		t.Errorf("links are %v", l)
	}
	first()
	if r, ok := routes.Find("/x"); !ok || r.Methods != "2" {
		t.Errorf("%v, %s", ok, r.Methods)
	}
	second()
	if _, ok := routes.Find("/x"); ok {
		t.Error("what was taken down is there")
	}
	if _, err := routes.Hang("b", web.Route{Path: "/x"}); err != nil {
		t.Error(err)
	}
}

func TestServed(t *testing.T) {
	var routes web.Routes
	over := routes.Serving()
	if !routes.Served() {
		t.Error("nobody serves")
	}
	if over(); routes.Served() {
		t.Error("somebody serves")
	}
}

func TestClientOf(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "192.0.2.1:99"
	if c := web.ClientOf(r); c.Addr.String() != "192.0.2.1:99" || c.Secure || c.NetAddr().String() != r.RemoteAddr {
		t.Errorf("%+v", c)
	}
	if c := web.ClientOf(web.WithClient(r, web.Client{Secure: true})); !c.Secure || c.Addr.IsValid() {
		t.Errorf("%+v", c)
	}
}
