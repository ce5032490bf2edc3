package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jabberii/server/bench/peer"
)

// Cases that are alone on their server wait for most of their time: several
// servers are measured beside each other, which begin one after the other, so
// that each has the processors mostly to itself while its sessions log in.
const (
	beside  = 4
	stagger = 3 * time.Second
)

// inWaves runs the cases that need a server that was started just now.
func (l *lab) inWaves(ctx context.Context, servers []*peer.Server, cases []benchCase, found *series) error {
	for _, c := range cases {
		if !c.alone {
			continue
		}
		for _, wave := range waves(servers) {
			if err := l.wave(ctx, wave, c, found); err != nil {
				return err
			}
		}
	}
	return nil
}

// waves divides servers. Memory is counted with pages that several processes
// have divided among them, so servers of the same programs are not in one wave.
func waves(servers []*peer.Server) (all [][]*peer.Server) {
	for left := slices.Clone(servers); len(left) > 0; {
		var wave, later []*peer.Server
		for _, s := range left {
			same := slices.ContainsFunc(wave, func(other *peer.Server) bool { return s.Programs != "" && other.Programs == s.Programs })
			if same || len(wave) == beside {
				later = append(later, s)
			} else {
				wave = append(wave, s)
			}
		}
		all, left = append(all, wave), later
	}
	return all
}

func (l *lab) wave(ctx context.Context, servers []*peer.Server, c benchCase, found *series) error {
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { errs[i] = l.alone(ctx, s, c, found, time.Duration(i)*stagger) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// alone runs a case on a server that is started for it, after a while.
func (l *lab) alone(ctx context.Context, s *peer.Server, c benchCase, found *series, after time.Duration) error {
	if err := pause(ctx, after); err != nil {
		return err
	}
	r, err := s.Start(ctx, &l.Lab)
	if err != nil {
		return err
	}
	defer r.Stop()
	if err := pause(ctx, time.Second); err != nil { // what it does after it listens
		return err
	}
	return measure(ctx, r, c, found)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
