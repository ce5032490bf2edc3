package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jabberii/server/bench/crowd"
	"github.com/jabberii/server/bench/peer"
	"github.com/jabberii/server/bench/report"
)

// storage measures what asks storage: logins, rosters, messages for those who
// are away. The cache of conf/jabberd.hcl stands before the backends, since that is
// how they are used; once without it shows the backend itself.
func storage(ctx context.Context, l *lab) error {
	servers, err := l.storageServers()
	if err != nil {
		return err
	}
	// A group of 11 each: 176 users have rosters, and after the senders the others are away.
	users := crowd.Crowd{Prefix: "u", Users: 176, Contacts: members - 1}
	duration, messages := "4s", 50
	if l.short {
		duration, messages = "1s", 10
	}
	cases := []struct {
		name, title, rate, mode string
		flags                   []string
	}{
		{"login", "login, SCRAM-SHA-1, plain", "logins_per_s", "login", []string{"-users", "176", "-dur", duration, "-warmup", "1s"}},
		{"roster", "roster of 10 contacts", "rosters_per_s", "roster",
			[]string{"-users", "66", "-contacts", fmt.Sprint(users.Contacts), "-dur", duration, "-warmup", "1s"}},
		{"offline", "message for somebody who is away", "offline_per_s", "offline",
			[]string{"-pairs", "16", "-users", "160", "-messages", fmt.Sprint(messages), "-window", "10"}},
	}
	found := &series{figures: map[[2]string][]map[string]float64{}}
	for n := range l.repetitions {
		fmt.Printf("repetition %d of %d\n", n+1, l.repetitions)
		for _, s := range servers {
			r, err := s.Start(ctx, &l.Lab)
			if err != nil {
				return err
			}
			err = r.Prepare(ctx, users)
			for _, c := range cases {
				if err != nil || !wants(l.cases, c.name) {
					continue
				}
				m, fault := r.Load(ctx, c.mode, append(c.flags, "-mech", s.Chat)...)
				err = ctx.Err()
				found.add(s.Name, c.name, m, fault)
				fmt.Printf("%-16s %-8s %s\n", s.Name, c.name, brief(m, fault))
			}
			r.Stop()
			if err != nil {
				return err
			}
		}
	}
	header := append([]string{""}, strings.Fields(names(servers))...)
	var rows [][]string
	for _, c := range cases {
		cpu, rate := []string{c.title + ", µs of processor time"}, []string{"a second"}
		for _, s := range servers {
			cpu = append(cpu, report.Number(found.median(s.Name, c.name, "srv_us")))
			rate = append(rate, report.Number(found.median(s.Name, c.name, c.rate)))
		}
		rows = append(rows, cpu, rate)
	}
	text := l.circumstances("make bench-storage", servers) + fmt.Sprintf("Medians of %d.\n\n", l.repetitions) +
		report.Table(header, rows) + found.faultsText()
	return l.publish("bench-storage", text)
}

// storageServers are those that keep things in different ways, as far as they
// were asked for.
func (l *lab) storageServers() ([]*peer.Server, error) {
	var servers []*peer.Server
	for _, backend := range []struct {
		name, block string
		cached      bool
	}{
		{"memory", "memory {}", true},
		{"file", `file { path = "xdb" }`, true},
		{"badger", `badger { path = "xdb" }`, true},
		{"badger-bare", `badger { path = "xdb" }`, false},
	} {
		name := "store-" + backend.name
		conf, err := l.layout(name, storedIn(backend.block, backend.cached)...)
		if err != nil {
			return nil, err
		}
		s := peer.Jabberd(name, conf)
		s.Forgets = backend.name == "memory"
		servers = append(servers, s)
	}
	servers = append(servers, peer.Prosody(), peer.Ejabberd())
	var wanted []*peer.Server
	for _, s := range servers {
		if wants(l.servers, s.Name) {
			wanted = append(wanted, s)
		}
	}
	return wanted, nil
}
