package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
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

// An overloadRow is a row of the table: a figure of what was found out.
type overloadRow struct {
	title, goal string
	of          func(f flooded) float64
	middle      func([]float64) float64 // of the repetitions
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
	fmt.Fprintf(&text, "Medians of %d, of what must not happen the worst. %d pairs send twice what the server carries at most, in whole, without waiting for anything but their "+
		"sockets; beside them one pair exchanges 100 messages a second. Server and load have a processor each, which the pair has before "+
		"the flood.\n\n", l.repetitions, floodPairs)
	header := []string{"", "goal"}
	var rows [][]string
	for _, row := range overloadRows() {
		rows = append(rows, []string{row.title, row.goal})
	}
	for _, s := range servers {
		if len(found[s.Name]) == 0 {
			continue
		}
		header = append(header, s.Name)
		for i, row := range overloadRows() {
			var values []float64
			for _, f := range found[s.Name] {
				values = append(values, row.of(f))
			}
			rows[i] = append(rows[i], report.Number(row.middle(values)))
		}
	}
	text.WriteString(report.Table(header, rows))
	text.WriteString((&series{faults: faults}).faultsText())
	return text.String()
}

// overloadRows are the rows of the table. What neighbours take of the server's
// processor makes peak and flood what they are, so the same is said for
// processor time as well. What did not go into the sockets shows that more was
// offered than was taken.
func overloadRows() []overloadRow {
	figure := func(of func(f flooded) peer.Measurement, name string) func(f flooded) float64 {
		return func(f flooded) float64 { return of(f).Figures[name] }
	}
	peak := func(f flooded) peer.Measurement { return f.peak }
	flood := func(f flooded) peer.Measurement { return f.flood }
	alone := func(f flooded) peer.Measurement { return f.alone }
	beside := func(f flooded) peer.Measurement { return f.beside }
	percent := func(part, whole float64) float64 { return 100 * part / whole }
	worst := slices.Max[[]float64]
	return []overloadRow{
		{"peak, messages a second", "", figure(peak, "msgs_per_s"), report.Median},
		{"under the flood", "", figure(flood, "msgs_per_s"), report.Median},
		{"of the peak, %", "at least 90", func(f flooded) float64 {
			return percent(f.flood.Figures["msgs_per_s"], f.peak.Figures["msgs_per_s"])
		}, report.Median},
		{"processor time of a message at the peak, µs", "", figure(peak, "srv_us"), report.Median},
		{"under the flood, µs", "", figure(flood, "srv_us"), report.Median},
		{"of the peak in the same processor time, %", "at least 90", func(f flooded) float64 {
			return percent(f.peak.Figures["srv_us"], f.flood.Figures["srv_us"])
		}, report.Median},
		{"the server's processor that it got under the flood, %", "", func(f flooded) float64 {
			return percent(f.flood.Figures["srv_cores"], 1)
		}, report.Median},
		{"of the flood, what its sockets did not take, %", "above 0", func(f flooded) float64 {
			return percent(f.flood.Figures["held_back"], f.flood.Figures["held_back"]+f.flood.Figures["sent"])
		}, report.Median},
		{"MiB before", "", func(f flooded) float64 { return f.memory[0] }, report.Median},
		{"MiB at most, first half", "", func(f flooded) float64 { return f.memory[1] }, report.Median},
		{"MiB at most, second half", "not growing", func(f flooded) float64 { return f.memory[2] }, report.Median},
		{"p50 of the pair alone, µs", "", figure(alone, "lat_p50_us"), report.Median},
		{"beside the flood, µs", "", figure(beside, "lat_p50_us"), report.Median},
		{"p99 of the pair alone, µs", "", figure(alone, "lat_p99_us"), report.Median},
		{"beside the flood, µs", "", figure(beside, "lat_p99_us"), report.Median},
		{"ratio", "at most 3", func(f flooded) float64 { return f.beside.Figures["lat_p99_us"] / f.alone.Figures["lat_p99_us"] }, report.Median},
		{"lost without a word", "0", func(f flooded) float64 { return f.flood.Figures["lost"] + f.beside.Figures["lost"] }, worst},
		{"sent back with an error", "", figure(flood, "bounced"), worst},
		{"came twice", "", figure(flood, "repeated"), worst},
		{"receivers cut off, who came back", "", figure(flood, "cut"), worst},
		{"senders cut off", "", figure(flood, "dead_streams"), worst},
	}
}
