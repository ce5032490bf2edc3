package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/jabberii/server/bench/crowd"
	"github.com/jabberii/server/bench/peer"
	"github.com/jabberii/server/bench/proc"
	"github.com/jabberii/server/bench/report"
)

// A profile begins when the load has logged in, and ends before the load does.
const (
	profileAfter = 2 * time.Second
	profileFor   = 3 * time.Second
)

// profile puts cases on jabberd while all of its processes measure themselves,
// and prints what each of them takes of a message. What they say is in
// bin/bench/profile/SERVER-CASE/PROCESS.cpu.pprof.
func profile(ctx context.Context, l *lab) error {
	for _, s := range peerServers() {
		if s.Foreign || s.Name == "floor" || !wants(l.servers, s.Name) {
			continue
		}
		for _, c := range peerCases(false) {
			if c.alone || !wants(l.cases, c.name) {
				continue
			}
			if err := l.profile(ctx, s, c); err != nil {
				return fmt.Errorf("%s, %s: %w", s.Name, c.name, err)
			}
		}
	}
	return nil
}

func (l *lab) profile(ctx context.Context, s *peer.Server, c benchCase) error {
	r, err := s.Start(ctx, &l.Lab)
	if err != nil {
		return err
	}
	defer r.Stop()
	if err := r.Prepare(ctx, crowd.Crowd{Prefix: "u", Users: c.users, Contacts: c.contacts}); err != nil {
		return err
	}
	mech, _ := c.fits(s)
	var load peer.Measurement
	loaded := make(chan error, 1)
	go func() {
		m, err := r.Load(ctx, c.mode, append(c.flags, "-mech", mech)...)
		load = m
		loaded <- err
	}()
	time.Sleep(profileAfter)
	before, err := l.processes(ctx, r)
	if err == nil {
		folder := filepath.Join(l.Load, "profile", s.Name+"-"+c.name)
		err = l.jabberd(ctx, r, nil, "profile", "--for", profileFor.String(), folder)
	}
	after, err2 := l.processes(ctx, r)
	if lerr := <-loaded; lerr != nil || err != nil || err2 != nil {
		return fmt.Errorf("load: %v, profile: %v %v", lerr, err, err2)
	}
	all := 0.0
	for name := range after {
		after[name] -= before[name]
		all += after[name]
	}
	fmt.Printf("%s, %s: %s µs a message", s.Name, c.name, report.Number(load.Figures["srv_us"]))
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if share := after[name] / all * load.Figures["srv_us"]; share >= 0.01 {
			fmt.Printf(", %s %s", name, report.Number(share))
		}
	}
	fmt.Println()
	return nil
}

// processes returns the processor time that each process has used.
func (l *lab) processes(ctx context.Context, r *peer.Running) (map[string]float64, error) {
	var status struct {
		Processes []struct {
			Name string `json:"name"`
			PID  int    `json:"pid"`
		} `json:"processes"`
	}
	if err := l.jabberd(ctx, r, &status, "status", "--json"); err != nil {
		return nil, err
	}
	used := map[string]float64{"core": proc.CPUOf(r.PIDs()...).Total()}
	for _, p := range status.Processes {
		used[p.Name] = proc.CPUOf(p.PID).Total()
		used["core"] -= used[p.Name]
	}
	return used, nil
}

// jabberd gives a command to a running server, and reads what it prints as JSON
// unless answer is nil.
func (l *lab) jabberd(ctx context.Context, r *peer.Running, answer any, args ...string) error {
	args = append(args, "--socket", filepath.Join(r.Dir, "jabberd.sock"))
	out, err := exec.CommandContext(ctx, filepath.Join(l.Bin, "jabberd"), args...).Output()
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(out, answer)
}
