package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jabberii/server/bench/crowd"
	"github.com/jabberii/server/bench/peer"
	"github.com/jabberii/server/bench/report"
)

// A series is what was measured: for each server and case the figures of all
// repetitions, and what went wrong.
type series struct {
	mu      sync.Mutex
	figures map[[2]string][]map[string]float64
	faults  []string
}

func (s *series) add(server, load string, m peer.Measurement, err error) {
	key := [2]string{server, load}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.faults = append(s.faults, fmt.Sprintf("%s, %s: %v", server, load, err))
		return
	}
	s.figures[key] = append(s.figures[key], m.Figures)
}

// median is NaN if nothing was measured.
func (s *series) median(server, load, figure string) float64 {
	var values []float64
	for _, figures := range s.figures[[2]string{server, load}] {
		if v, ok := figures[figure]; ok {
			values = append(values, v)
		}
	}
	return report.Median(values)
}

// peers measures every case on every server. Within a repetition a case is run
// on one server after the other, so that what else the machine does falls on
// all of them.
func peers(ctx context.Context, l *lab) error {
	var servers []*peer.Server
	for _, s := range peerServers() {
		if wants(l.servers, s.Name) {
			servers = append(servers, s)
		}
	}
	var cases []benchCase
	for _, c := range peerCases(l.short) {
		if wants(l.cases, c.name) {
			cases = append(cases, c)
		}
	}
	if len(servers) == 0 || len(cases) == 0 {
		return fmt.Errorf("nothing to measure; servers: %s; cases: %s", names(peerServers()), caseNames())
	}
	servers, err := l.prepare(ctx, servers, cases)
	if err != nil {
		return err
	}
	found := &series{figures: map[[2]string][]map[string]float64{}}
	for n := range l.repetitions {
		fmt.Printf("repetition %d of %d\n", n+1, l.repetitions)
		// The first is not always the same.
		order := slices.Concat(servers[n%len(servers):], servers[:n%len(servers)])
		if err := l.together(ctx, order, cases, found); err != nil {
			return err
		}
		if err := l.inWaves(ctx, order, cases, found); err != nil {
			return err
		}
	}
	return l.publish("bench-peers", peersText(l, servers, found))
}

func names(servers []*peer.Server) string {
	var list []string
	for _, s := range servers {
		list = append(list, s.Name)
	}
	return strings.Join(list, " ")
}

func caseNames() string {
	var list []string
	for _, c := range peerCases(false) {
		list = append(list, c.name)
	}
	return strings.Join(list, " ")
}

// prepare makes the accounts that the cases need, and returns the servers that
// could be started. Jabberd has to be among them, as far as it was asked for;
// another server may be missing on this machine.
func (l *lab) prepare(ctx context.Context, servers []*peer.Server, cases []benchCase) ([]*peer.Server, error) {
	all := crowd.Crowd{Prefix: "u"}
	for _, c := range cases {
		all.Users, all.Contacts = max(all.Users, c.users), max(all.Contacts, c.contacts)
	}
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	turn := make(chan struct{}, beside) // most of the time goes into waiting for the disk
	for i, s := range servers {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			began := time.Now()
			if errs[i] = l.populate(ctx, s, all); errs[i] == nil {
				fmt.Printf("%-10s ready after %.1f s\n", s.Name, time.Since(began).Seconds())
			}
		})
	}
	wg.Wait()
	var ready []*peer.Server
	for i, s := range servers {
		switch err := errs[i]; {
		case err == nil:
			ready = append(ready, s)
		case ctx.Err() != nil || !s.Foreign:
			return nil, err
		default:
			fmt.Printf("%-10s left out: %v\n", s.Name, err)
		}
	}
	return ready, nil
}

func (l *lab) populate(ctx context.Context, s *peer.Server, all crowd.Crowd) error {
	r, err := s.Start(ctx, &l.Lab)
	if err != nil {
		return err
	}
	defer r.Stop()
	return r.Prepare(ctx, all)
}

// together runs the cases that don't mind other servers' idling beside.
func (l *lab) together(ctx context.Context, servers []*peer.Server, cases []benchCase, found *series) error {
	cases = slices.DeleteFunc(slices.Clone(cases), func(c benchCase) bool { return c.alone })
	if len(cases) == 0 {
		return nil
	}
	var running []*peer.Running
	defer func() {
		for _, r := range running {
			r.Stop()
		}
	}()
	for _, s := range servers {
		r, err := s.Start(ctx, &l.Lab)
		if err != nil {
			return err
		}
		running = append(running, r)
	}
	time.Sleep(2 * time.Second) // what they do after they listen
	for _, c := range cases {
		for _, r := range running {
			if err := measure(ctx, r, c, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure runs one case on one server. That the load found fault with the
// server is a result; only being interrupted is an error.
func measure(ctx context.Context, r *peer.Running, c benchCase, found *series) error {
	mech, ok := c.fits(r.Server)
	if !ok {
		return nil
	}
	flags := append(slices.Clone(c.flags), "-mech", mech)
	if c.mode == "idle" && !r.Acks {
		flags = append(flags, "-acks", "0")
	}
	if c.contacts > 0 && !r.HasAccounts() {
		flags = append(flags, "-contacts", "0")
	}
	m, err := r.Load(ctx, c.mode, flags...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	found.add(r.Name, c.name, m, err)
	fmt.Printf("%-10s %-10s %s\n", r.Name, c.name, brief(m, err))
	return nil
}

// brief is a measurement on the terminal.
func brief(m peer.Measurement, err error) string {
	if err != nil {
		return "FAILED " + err.Error()
	}
	var line []string
	for _, name := range slices.Sorted(maps.Keys(m.Figures)) {
		if strings.HasSuffix(name, "_per_s") || slices.Contains([]string{"srv_us", "srv_sys_us", "srv_cores", "lat_p50_us", "lat_p99_us", "pss_kib_per_session"}, name) {
			line = append(line, name+"="+report.Number(m.Figures[name]))
		}
	}
	return strings.Join(line, " ")
}

// peersText is what the document says.
func peersText(l *lab, servers []*peer.Server, found *series) string {
	var text strings.Builder
	text.WriteString(l.circumstances("make bench-peers", servers))
	fmt.Fprintf(&text, "Medians of %d, in µs of processor time of the server's whole process tree per message or login, if the row "+
		"does not say otherwise.\n\n", l.repetitions)
	var values, ratios, goals [][]string
	for _, row := range peerRows() {
		if !wants(l.cases, row.load) {
			continue
		}
		value, ratio := []string{row.title}, []string{row.title}
		ours := found.median("default", row.load, row.figure)
		for _, s := range servers {
			v := found.median(s.Name, row.load, row.figure)
			value, ratio = append(value, report.Number(v)), append(ratio, report.Number(v/ours))
			if goal, ok := row.goals[s.Name]; ok && !math.IsNaN(v) {
				here := math.NaN()
				if row.yardstick > 0 {
					here = goal * found.median("ejabberd", row.load, row.figure) / row.yardstick
				}
				goals = append(goals, []string{row.title + ", " + s.Name, report.Number(v), report.Number(goal), verdict(v, goal),
					report.Number(here), verdict(v, here)})
			}
		}
		values, ratios = append(values, append(value, row.jackal)), append(ratios, ratio)
	}
	header := append([]string{""}, strings.Fields(names(servers))...)
	text.WriteString(report.Table(append(header, "jackal (quoted)"), values))
	if len(goals) > 0 {
		text.WriteString("\nEach beside `default`:\n\n" + report.Table(header, ratios))
		text.WriteString("\nThe goals were set on another machine; on this one they are what they were there beside ejabberd:\n\n" +
			report.Table([]string{"", "measured", "goal", "", "on this machine", ""}, goals))
	}
	text.WriteString(found.faultsText())
	return text.String()
}

// faultsText lists what went wrong, and is empty if nothing did.
func (s *series) faultsText() string {
	if len(s.faults) == 0 {
		return ""
	}
	return "\nRuns that failed and don't count:\n\n- " + strings.Join(s.faults, "\n- ") + "\n"
}

func verdict(v, goal float64) string {
	switch {
	case math.IsNaN(goal):
		return ""
	case v <= goal:
		return "met"
	}
	return "missed by " + report.Number((v/goal-1)*100) + " %"
}
