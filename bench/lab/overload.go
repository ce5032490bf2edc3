package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/jabberii/server/bench/crowd"
	"github.com/jabberii/server/bench/peer"
	"github.com/jabberii/server/bench/proc"
	"github.com/jabberii/server/bench/report"
)

// A flooded server is what overload found out about one.
type flooded struct {
	server        string
	peak          peer.Measurement // as much as it can carry
	alone, beside peer.Measurement // a pair that does not send much, without and with the flood
	flood         peer.Measurement
	memory        [3]float64 // MiB before, most in the first half, most in the second half of the flood
}

// floodNice is by how much the generator of the flood stands back (nice): what is
// measured is how long a message takes in the server, not how long the other
// generator waits for the processor that they share.
const floodNice = 19

// The flood's pairs, and the number of the first user that is not of them.
const (
	floodPairs = 20
	politeUser = 200
)

// overload offers twice what a server can carry. The server has one processor
// and the load another, so that they don't compete; the flood has stream
// management on, so that whoever is cut off can have everything when it comes
// back, but with the floor, which only shows what waiting is the machine's.
func overload(ctx context.Context, l *lab) error {
	l.ServerCPU, l.LoadCPU = "0", "1"
	// What a flood has left in storage would come to the next one's receivers.
	l.Anew, l.Data = true, filepath.Join(l.Data, "flood")
	var servers []*peer.Server
	for _, s := range peerServers() {
		if wants(l.servers, s.Name) && (s.Acks || !s.HasAccounts()) {
			servers = append(servers, s)
		}
	}
	found := map[string][]flooded{}
	var faults []string
	for n := range l.repetitions {
		fmt.Printf("repetition %d of %d\n", n+1, l.repetitions)
		for _, s := range servers {
			f, err := l.flood(ctx, s)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				faults = append(faults, fmt.Sprintf("%s: %v", s.Name, err))
			}
			fmt.Printf("%-10s peak %s, flood %s, p99 %s and %s, MiB %.0f, %v\n", s.Name, report.Number(f.peak.Figures["msgs_per_s"]),
				report.Number(f.flood.Figures["msgs_per_s"]), report.Number(f.alone.Figures["lat_p99_us"]),
				report.Number(f.beside.Figures["lat_p99_us"]), f.memory, err)
			if f.flood.Figures != nil && f.beside.Figures != nil {
				found[s.Name] = append(found[s.Name], f)
			}
		}
	}
	return l.publish("bench-overload", l.overloadText(servers, found, faults))
}

// flood measures one server: its peak, a polite pair alone, then both together.
func (l *lab) flood(ctx context.Context, s *peer.Server) (f flooded, err error) {
	f.server = s.Name
	r, err := s.Start(ctx, &l.Lab)
	if err != nil {
		return f, err
	}
	defer r.Stop()
	if err = r.Prepare(ctx, crowd.Crowd{Prefix: "u", Users: politeUser + 2}); err != nil {
		return f, err
	}
	seconds := 20
	if l.short {
		seconds = 5
	}
	duration := fmt.Sprintf("%ds", seconds)
	polite := []string{"-mech", s.Chat, "-first", fmt.Sprint(politeUser), "-pairs", "1", "-rate", "100", "-warmup", "1s", "-dur"}
	if f.alone, err = r.Load(ctx, "chat", append(polite, duration)...); err != nil {
		return f, fmt.Errorf("the pair alone: %w", err)
	}
	many := []string{"-mech", s.Chat, "-pairs", fmt.Sprint(floodPairs), "-coalesce"}
	if s.Acks {
		many = append(many, "-acks", "5")
	}
	if f.peak, err = r.Load(ctx, "chat", append(many, "-window", "64", "-dur", "5s", "-warmup", "1s")...); err != nil {
		return f, fmt.Errorf("the peak: %w", err)
	}
	f.memory[0] = float64(proc.MemoryOf(r.PIDs()...).PSS) / 1024
	rate := 2 * f.peak.Figures["msgs_per_s"]
	type ended struct {
		m   peer.Measurement
		err error
	}
	flood := make(chan ended, 1)
	go func() {
		m, err := r.LoadBehind(ctx, floodNice, "chat", append(many, "-flood", "-rate", fmt.Sprintf("%.0f", rate), "-warmup", "2s",
			"-dur", fmt.Sprintf("%ds", seconds+4), "-drain", "60s")...)
		flood <- ended{m, err}
	}()
	time.Sleep(3 * time.Second) // until it flows
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		f.memory[1], f.memory[2] = mostMemory(watching, r, time.Duration(seconds)*time.Second)
	}()
	f.beside, err = r.Load(ctx, "chat", append(polite, duration)...)
	stop()
	<-watched
	end := <-flood
	f.flood = end.m
	if err != nil {
		return f, fmt.Errorf("the pair beside the flood: %w", err)
	}
	if end.err != nil {
		return f, fmt.Errorf("the flood: %w", end.err)
	}
	return f, nil
}

// mostMemory is the most MiB in the first and in the second half of a time.
func mostMemory(ctx context.Context, r *peer.Running, d time.Duration) (first, second float64) {
	start := time.Now()
	for {
		mib := float64(proc.MemoryOf(r.PIDs()...).PSS) / 1024
		if time.Since(start) < d/2 {
			first = max(first, mib)
		} else {
			second = max(second, mib)
		}
		select {
		case <-ctx.Done():
			return first, second
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (l *lab) overloadText(servers []*peer.Server, found map[string][]flooded, faults []string) string {
	var text strings.Builder
	text.WriteString(l.circumstances("make bench-overload", servers))
	fmt.Fprintf(&text, "Medians of %d. %d pairs send twice what the server carries at most, in whole, without waiting for anything but their "+
		"sockets; beside them one pair exchanges 100 messages a second. Server and load have a processor each, which the pair has before "+
		"the flood.\n\n", l.repetitions, floodPairs)
	header := []string{"", "goal"}
	rows := [][]string{{"peak, messages a second", ""}, {"under the flood", ""}, {"of the peak, %", "at least 90"}, {"MiB before", ""},
		{"MiB at most, first half", ""}, {"MiB at most, second half", "not growing"}, {"p50 of the pair alone, µs", ""}, {"beside the flood, µs", ""}, {"p99 of the pair alone, µs", ""}, {"beside the flood, µs", ""},
		{"ratio", "at most 3"}, {"lost without a word", "0"}, {"sent back with an error", ""}, {"came twice", ""}, {"receivers cut off, who came back", ""}, {"senders cut off", ""}}
	for _, s := range servers {
		if len(found[s.Name]) == 0 {
			continue
		}
		header = append(header, s.Name)
		middle := func(of func(f flooded) float64) float64 {
			var values []float64
			for _, f := range found[s.Name] {
				values = append(values, of(f))
			}
			return report.Median(values)
		}
		for i, of := range []func(f flooded) float64{
			func(f flooded) float64 { return f.peak.Figures["msgs_per_s"] },
			func(f flooded) float64 { return f.flood.Figures["msgs_per_s"] },
			func(f flooded) float64 { return 100 * f.flood.Figures["msgs_per_s"] / f.peak.Figures["msgs_per_s"] },
			func(f flooded) float64 { return f.memory[0] },
			func(f flooded) float64 { return f.memory[1] },
			func(f flooded) float64 { return f.memory[2] },
			func(f flooded) float64 { return f.alone.Figures["lat_p50_us"] },
			func(f flooded) float64 { return f.beside.Figures["lat_p50_us"] },
			func(f flooded) float64 { return f.alone.Figures["lat_p99_us"] },
			func(f flooded) float64 { return f.beside.Figures["lat_p99_us"] },
			func(f flooded) float64 { return f.beside.Figures["lat_p99_us"] / f.alone.Figures["lat_p99_us"] },
			func(f flooded) float64 { return f.flood.Figures["lost"] + f.beside.Figures["lost"] },
			func(f flooded) float64 { return f.flood.Figures["bounced"] },
			func(f flooded) float64 { return f.flood.Figures["repeated"] },
			func(f flooded) float64 { return f.flood.Figures["cut"] },
			func(f flooded) float64 { return f.flood.Figures["dead_streams"] },
		} {
			rows[i] = append(rows[i], report.Number(middle(of)))
		}
	}
	text.WriteString(report.Table(header, rows))
	text.WriteString((&series{faults: faults}).faultsText())
	return text.String()
}
