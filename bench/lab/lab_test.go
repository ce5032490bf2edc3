package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/bench/peer"
)

func testLab(t *testing.T) *lab {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{repetitions: 3, neighbours: "nothing."}
	l.Root, l.Bin, l.Data = root, filepath.Join(root, "bin"), t.TempDir()
	return l
}

// What the lab makes of conf/jabberd.hcl has to be a configuration still.
func TestLayouts(t *testing.T) {
	l := testLab(t)
	jabberd := filepath.Join(l.Bin, "jabberd")
	if _, err := os.Stat(jabberd); err != nil {
		t.Fatalf("no binaries, run make build first: %v", err)
	}
	tests := []struct {
		name    string
		changes []change
		want    string
	}{
		{"one-host", []change{onHosts(1)}, `host "localhost" {}`},
		{"hosts", []change{onHosts(100)}, `host "h99.localhost" {}`},
		{"memory", storedIn("memory {}", true), "memory {}"},
		{"file", storedIn(`file { path = "xdb" }`, false), `file { path = "xdb" }`},
		{"no-links", []change{behind("pass.so", 0, true)}, `load "sm" {`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file, err := l.layout(test.name, test.changes...)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(text), test.want) {
				t.Errorf("no %s in\n%s", test.want, text)
			}
			if out, err := exec.Command(jabberd, "check", file).CombinedOutput(); err != nil {
				t.Errorf("check: %v\n%s", err, out)
			}
		})
	}
	file, err := l.layout("links", behind("/x/pass.so", 2, true))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(file)
	for _, want := range []string{`load "/x/pass.so" { process = "link0" }`, `load "/x/pass.so" { process = "link1" }`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if _, err := l.layout("wrong", change{"no such text", ""}); err == nil {
		t.Error("a change of nothing passed")
	}
}

func TestPeersText(t *testing.T) {
	l := testLab(t)
	l.cases = []string{"chat", "login"}
	found := &series{figures: map[[2]string][]map[string]float64{}}
	for _, us := range []float64{9, 5, 7} {
		found.add("default", "chat", peer.Measurement{Figures: map[string]float64{"srv_us": us}}, nil)
		found.add("prosody", "chat", peer.Measurement{Figures: map[string]float64{"srv_us": us * 4}}, nil)
	}
	found.add("ejabberd", "chat", peer.Measurement{Figures: map[string]float64{"srv_us": 26.5}}, nil)
	found.add("default", "login", peer.Measurement{Figures: map[string]float64{"srv_us": 1000}}, nil)
	found.add("prosody", "login", peer.Measurement{}, errors.New("refused"))
	text := peersText(l, []*peer.Server{peer.Jabberd("default", "conf/jabberd.hcl"), peer.Prosody()}, found)
	for _, want := range []string{
		"| chat, 50 pairs, 16 in flight, plain | 7 | 28 | 60 |",
		"| chat, 50 pairs, 16 in flight, plain | 1 | 4 |",
		"| chat, 50 pairs, 16 in flight, plain, default | 7 | 8 | met | 4 | missed by 75 % |",
		"| login, SCRAM-SHA-1 over TLS | 1000 | – | 1156 |",
		"| login, SCRAM-SHA-1 over TLS, default | 1000 | 800 | missed by 25 % | – |  |",
		"- prosody, login: refused",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "TLS |") && strings.Contains(text, "idle session") {
		t.Error("rows that were not asked for")
	}
}

// What must not happen is said as often as it happened in the worst repetition, and
// a loss of throughput that was the neighbours' is told from one that was not.
func TestOverloadText(t *testing.T) {
	l := testLab(t)
	run := func(lost, floodPerS float64) flooded {
		m := func(figures map[string]float64) peer.Measurement { return peer.Measurement{Figures: figures} }
		return flooded{
			peak:   m(map[string]float64{"msgs_per_s": 1000, "srv_us": 9}),
			alone:  m(map[string]float64{"lat_p50_us": 100, "lat_p99_us": 200}),
			beside: m(map[string]float64{"lat_p50_us": 200, "lat_p99_us": 500}),
			flood: m(map[string]float64{"msgs_per_s": floodPerS, "srv_us": 10, "srv_cores": 0.5, "lost": lost,
				"held_back": 300, "sent": 100}),
			memory: [3]float64{10, 20, 30},
		}
	}
	text := l.overloadText([]*peer.Server{peer.Prosody()}, map[string][]flooded{"prosody": {run(0, 500), run(7, 600), run(0, 700)}}, []string{"prosody: the flood: 7 lost"})
	for _, want := range []string{
		"| of the peak, % | at least 90 | 60 |",
		"| of the peak in the same processor time, % | at least 90 | 90 |",
		"| the server's processor that it got under the flood, % |  | 50 |",
		"| of the flood, what its sockets did not take, % | above 0 | 75 |",
		"| ratio | at most 3 | 2.50 |",
		"| lost without a word | 0 | 7 |",
		"- prosody: the flood: 7 lost",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// Each row is a figure of a case that there is, and its goals are of servers that there are.
func TestRows(t *testing.T) {
	cases := strings.Fields(caseNames())
	servers := strings.Fields(names(peerServers()))
	for _, row := range peerRows() {
		if !wants(cases, row.load) {
			t.Errorf("%s: no case %s", row.title, row.load)
		}
		for name := range row.goals {
			if !wants(servers, name) {
				t.Errorf("%s: no server %s", row.title, name)
			}
		}
	}
	for _, short := range []bool{false, true} {
		for _, c := range peerCases(short) {
			if c.contacts > 0 && c.users%(c.contacts+1) != 0 {
				t.Errorf("%s: %d users are no groups of %d", c.name, c.users, c.contacts+1)
			}
		}
	}
}

func TestPublish(t *testing.T) {
	l := testLab(t)
	l.Root = t.TempDir()
	file := filepath.Join(l.Root, "docs", "performance.md")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	const document = "a\n<!-- x -->\n<!-- /x -->\nb\n"
	if err := os.WriteFile(file, []byte(document), 0o644); err != nil {
		t.Fatal(err)
	}
	l.cases = []string{"chat"}
	if err := l.publish("x", "part"); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(file); string(text) != document {
		t.Errorf("a part was written into the document: %s", text)
	}
	l.cases = nil
	if err := l.publish("x", "whole"); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(file); string(text) != "a\n<!-- x -->\nwhole\n<!-- /x -->\nb\n" {
		t.Errorf("the document is %s", text)
	}
	if err := l.publish("y", "whole"); err == nil {
		t.Error("no error for a document without the place")
	}
}

func TestGrowths(t *testing.T) {
	l := testLab(t)
	l.short = true // so that nothing is written into the document's folder
	for _, g := range growths(false) {
		if g.load == nil {
			continue
		}
		for _, x := range g.at {
			c := g.crowd(x)
			if c.Contacts > 0 && c.Hubs > 0 && c.Users != c.Hubs+c.Contacts {
				t.Errorf("%s, %d: %+v", g.name, x, c)
			}
			for _, line := range g.lines {
				if s, err := line.server(l, x); err != nil || s.Name == "" {
					t.Errorf("%s, %s: %v", g.name, line.name, err)
				}
			}
		}
	}
	text, err := l.growthText(&series{figures: map[[2]string][]map[string]float64{
		{"default", "size 100"}: {{"srv_us": 5}}, {"default", "size 1000"}: {{"srv_us": 50}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "| default | 5 | 50 | 10 |"; !strings.Contains(text, want) {
		t.Errorf("no %s in\n%s", want, text)
	}
	if _, err := os.Stat(filepath.Join(l.Data, "growth", "size.svg")); err != nil {
		t.Errorf("no picture: %v", err)
	}
}

func TestWaves(t *testing.T) {
	server := func(name, programs string) *peer.Server { return &peer.Server{Name: name, Programs: programs} }
	all := []*peer.Server{
		server("a", ""), server("b", "x"), server("c", "x"), server("d", "y"), server("e", ""), server("f", ""), server("g", "x"),
	}
	var got []string
	for _, wave := range waves(all) {
		got = append(got, names(wave))
	}
	if want := []string{"a b d e", "c f", "g"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
