package main

import (
	"fmt"

	"github.com/jabberii/server/bench/peer"
)

// A benchCase is one load.
type benchCase struct {
	name     string
	mode     string // of xload
	flags    []string
	users    int
	contacts int
	alone    bool                                        // on a server that was started just now, see waves.go
	fits     func(s *peer.Server) (mech string, ok bool) // the SASL mechanism to use, if the server can be measured
}

func chatting(s *peer.Server) (string, bool)  { return s.Chat, true }
func withAcks(s *peer.Server) (string, bool)  { return s.Chat, s.Acks }
func loggingIn(s *peer.Server) (string, bool) { return s.Login, s.Login != "" }

// A row of the table is a figure of a case.
type row struct {
	title  string
	load   string // name of the case
	figure string
	goals  map[string]float64
	// What ejabberd took on the machine that the goals were set on, 0 if that was
	// not measured or does not depend on the machine: another machine has other goals.
	yardstick float64
	jackal    string // measured there; Debian has no jackal
}

// Groups of contacts have 11 members, so sessions come in multiples of 11.
const (
	members  = 11
	warm     = 24
	sessions = 2000 // 184 groups with those that are warm
	glance   = 504  // 48 groups
)

func peerCases(short bool) []benchCase {
	window := []string{"-dur", "5s", "-warmup", "1s"}
	idle := sessions
	if short {
		window = []string{"-dur", "2s", "-warmup", "500ms"}
		idle = glance
	}
	with := func(flags ...string) []string { return append(flags, window...) }
	resting := func(flags ...string) []string {
		return append(flags, "-acks", "5", "-contacts", fmt.Sprint(members-1), "-warm", fmt.Sprint(warm), "-users", fmt.Sprint(idle), "-hold", "10s")
	}
	return []benchCase{
		{name: "chat", mode: "chat", flags: with("-pairs", "50", "-window", "16"), users: 100, fits: chatting},
		{name: "chat-tls", mode: "chat", flags: with("-pairs", "50", "-window", "16", "-tls", "starttls"), users: 100, fits: chatting},
		{name: "chat-acks", mode: "chat", flags: with("-pairs", "50", "-window", "16", "-acks", "5"), users: 100, fits: withAcks},
		{name: "single", mode: "chat", flags: with("-pairs", "10", "-window", "1"), users: 100, fits: chatting},
		{name: "paced", mode: "chat", flags: with("-pairs", "50", "-rate", "2000"), users: 100, fits: chatting},
		{name: "login", mode: "login", flags: with("-users", "200", "-conc", "16", "-tls", "starttls"), users: 200, fits: loggingIn},
		{name: "idle", mode: "idle", flags: resting(), users: idle + warm, contacts: members - 1, alone: true, fits: chatting},
		{name: "idle-tls", mode: "idle", flags: resting("-tls", "starttls"), users: idle + warm, contacts: members - 1, alone: true, fits: chatting},
	}
}

func peerRows() []row {
	goals := func(layouts, edge, one float64) map[string]float64 {
		return map[string]float64{"default": layouts, "edge": edge, "one": one}
	}
	return []row{
		{"chat, 50 pairs, 16 in flight, plain", "chat", "srv_us", goals(8, 12, 7), 53, "60"},
		{"chat, 50 pairs, 16 in flight, TLS", "chat-tls", "srv_us", goals(10, 14, 9), 71, "58"},
		{"chat, 50 pairs, 16 in flight, plain, XEP-0198 on both sides, `<r/>` every 5", "chat-acks", "srv_us", goals(10, 14, 9), 0, "–"},
		{"chat, 10 pairs, 1 in flight, plain", "single", "srv_us", goals(16, 35, 14), 71, "74"},
		{"chat, paced at 2,000 a second, plain", "paced", "srv_us", goals(45, 140, 40), 145, "137"},
		{"p50 latency of 10 pairs, 1 in flight, plain, in µs", "single", "lat_p50_us", goals(100, 250, 100), 453, "357"},
		{"login, SCRAM-SHA-1 over TLS", "login", "srv_us", goals(800, 900, 700), 2951, "1156"},
		{"KiB an idle session: presence sent, 10 contacts, XEP-0198 where it is known; plain", "idle", "pss_kib_per_session", goals(12, 15, 10), 0, "24–63, bare"},
		{"KiB an idle session, TLS", "idle-tls", "pss_kib_per_session", goals(20, 23, 18), 0, "51, bare"},
	}
}

// peerServers are the columns, in their order.
func peerServers() []*peer.Server {
	return []*peer.Server{
		peer.Floor("floor"),
		peer.Jabberd("default", "conf/jabberd.hcl"),
		peer.Jabberd("edge", "conf/edge.hcl"),
		peer.Jabberd("one", "conf/jabberd.hcl", "isolation=none"),
		peer.Ejabberd(),
		peer.Prosody(),
		peer.Jabberd2(),
	}
}
