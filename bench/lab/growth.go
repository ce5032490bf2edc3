package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jabberii/server/bench/crowd"
	"github.com/jabberii/server/bench/peer"
	"github.com/jabberii/server/bench/report"
)

// A growth is what becomes of a figure when something grows.
type growth struct {
	name, title string
	x, y        string // what grows, and the figure in words
	at          []int
	figure      string
	lines       []line
	crowd       func(x int) crowd.Crowd
	load        func(x int) []string // xload's mode and flags
}

// A line of a growth's chart is a server that may depend on what grows.
type line struct {
	name   string
	server func(l *lab, x int) (*peer.Server, error)
}

// fixed is a line of a server that does not depend on what grows.
func fixed(s func(name string) *peer.Server, name string) line {
	return line{name, func(*lab, int) (*peer.Server, error) { return s(name), nil }}
}

func inProcesses(name string) *peer.Server { return peer.Jabberd("growth-"+name, "conf/jabberd.hcl") }
func withEdge(name string) *peer.Server    { return peer.Jabberd("growth-"+name, "conf/edge.hcl") }
func inOne(name string) *peer.Server {
	return peer.Jabberd("growth-"+name, "conf/jabberd.hcl", "isolation=none")
}
func theFloor(name string) *peer.Server { return peer.Floor("growth-" + name) }

// written is a line of a changed configuration; each x has data of its own.
func written(name, what string, change func(l *lab, x int) change, vars ...string) line {
	return line{name, func(l *lab, x int) (*peer.Server, error) {
		full := fmt.Sprintf("growth-%s-%s-%d", what, strings.ReplaceAll(name, " ", "-"), x)
		conf, err := l.layout(full, change(l, x))
		return peer.Jabberd(full, conf, vars...), err
	}}
}

func growths(short bool) []growth {
	ours := []line{fixed(inProcesses, "default"), fixed(withEdge, "edge"), fixed(inOne, "one")}
	chat := func(flags ...string) []string {
		return append([]string{"chat", "-dur", "5s", "-warmup", "2s", "-mech", "SCRAM-SHA-1"}, flags...)
	}
	hosts := func(_ *lab, x int) change { return onHosts(x) }
	link := func(apart bool) func(*lab, int) change {
		return func(l *lab, x int) change { return behind(filepath.Join(l.Load, "pass.so"), x-1, apart) }
	}
	all := []growth{
		{
			name: "hosts", title: "Virtual hosts", x: "hosts, 1,000 pairs spread over them", y: "µs of processor time a message",
			at: []int{1, 10, 100, 1000}, figure: "srv_us",
			lines: []line{written("default", "hosts", hosts), written("one", "hosts", hosts, "isolation=none")},
			crowd: func(x int) crowd.Crowd { return crowd.Crowd{Prefix: "u", Users: 2000, Hosts: x} },
			load:  func(x int) []string { return chat("-pairs", "1000", "-window", "1", "-hosts", strconv.Itoa(x)) },
		},
		{
			name: "sessions", title: "Sessions", x: "sessions, 50 pairs of which chat", y: "µs of processor time a message",
			at: []int{100, 1000, 5000, 19000}, figure: "srv_us", lines: ours,
			crowd: func(x int) crowd.Crowd { return crowd.Crowd{Prefix: "u", Users: x} },
			load:  func(x int) []string { return chat("-pairs", "50", "-window", "16", "-beside", strconv.Itoa(x-100)) },
		},
		{
			name: "memory", title: "Memory", x: "sessions, none with a contact", y: "MiB of the whole server (PSS)",
			at: []int{100, 1000, 5000, 19000}, figure: "pss_mib", lines: ours,
		},
		{
			name: "rosters", title: "Rosters", x: "contacts, mutual, offline", y: "µs of processor time to come online",
			at: []int{10, 100, 1000}, figure: "srv_us", lines: ours,
			crowd: func(x int) crowd.Crowd {
				return crowd.Crowd{Prefix: fmt.Sprintf("r%d-", x), Users: 10 + x, Contacts: x, Hubs: 10}
			},
			load: func(x int) []string {
				return []string{"login", "-online", "-dur", "5s", "-warmup", "2s", "-mech", "SCRAM-SHA-1", "-conc", "8",
					"-prefix", fmt.Sprintf("r%d-", x), "-users", "10", "-contacts", strconv.Itoa(x)}
			},
		},
		{
			name: "chain", title: "Chains", x: "handlers in the chain, the session manager last", y: "µs of processor time a message",
			at: []int{1, 4, 16}, figure: "srv_us",
			lines: []line{written("in its process", "chain", link(false)), written("in one process", "chain", link(false), "isolation=none"),
				written("each in its own", "chain", link(true))},
			crowd: func(int) crowd.Crowd { return crowd.Crowd{Prefix: "u", Users: 100} },
			load:  func(int) []string { return chat("-pairs", "50", "-window", "16") },
		},
		{
			name: "size", title: "Size of stanzas", x: "bytes of the body", y: "µs of processor time a message",
			at: []int{100, 1000, 4000, 16000, 64000}, figure: "srv_us", lines: append(slices.Clone(ours), fixed(theFloor, "floor")),
			crowd: func(int) crowd.Crowd { return crowd.Crowd{Prefix: "u", Users: 100} },
			load:  func(x int) []string { return chat("-pairs", "10", "-window", "4", "-body", strconv.Itoa(x)) },
		},
	}
	if short {
		for i := range all {
			all[i].at = all[i].at[:2]
		}
	}
	return all
}

// measureGrowth draws a curve for everything that grows.
func measureGrowth(ctx context.Context, l *lab) error {
	build := exec.CommandContext(ctx, filepath.Join(l.Bin, "jabberd"), "plugin", "build", filepath.Join(l.Root, "bench", "pass"),
		"-o", filepath.Join(l.Load, "pass.so"))
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the link of chains: %w: %s", err, out)
	}
	found := &series{figures: map[[2]string][]map[string]float64{}}
	for n := range l.repetitions {
		fmt.Printf("repetition %d of %d\n", n+1, l.repetitions)
		for _, g := range growths(l.short) {
			if g.load == nil || !wants(l.cases, g.name) {
				continue
			}
			for _, x := range g.at {
				for _, line := range g.lines {
					if !wants(l.servers, line.name) {
						continue
					}
					if err := l.point(ctx, g, line, x, found); err != nil {
						return err
					}
				}
			}
		}
	}
	text, err := l.growthText(found)
	if err != nil {
		return err
	}
	return l.publish("bench-growth", text)
}

func key(g growth, x int) string {
	if g.name == "memory" {
		g.name = "sessions" // the same runs, another figure
	}
	return fmt.Sprintf("%s %d", g.name, x)
}

// point measures one point of one line.
func (l *lab) point(ctx context.Context, g growth, line line, x int, found *series) error {
	server, err := line.server(l, x)
	if err != nil {
		return err
	}
	r, err := server.Start(ctx, &l.Lab)
	if err != nil {
		return err
	}
	defer r.Stop()
	if err := r.Prepare(ctx, g.crowd(x)); err != nil {
		return err
	}
	args := g.load(x)
	if !r.HasAccounts() {
		args = append(args, "-mech", r.Chat)
	}
	m, err := r.Load(ctx, args[0], args[1:]...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	found.add(line.name, key(g, x), m, err)
	fmt.Printf("%-16s %-14s %s\n", line.name, key(g, x), brief(m, err))
	return nil
}

// growthText is what the document says; the pictures lie beside it.
func (l *lab) growthText(found *series) (string, error) {
	var text strings.Builder
	text.WriteString(l.circumstances("make bench-growth", []*peer.Server{inProcesses("default")}))
	fmt.Fprintf(&text, "Medians of %d.\n", l.repetitions)
	for _, g := range growths(l.short) {
		if !wants(l.cases, g.name) {
			continue
		}
		chart := report.Chart{Title: g.title, X: g.x, Y: g.y}
		header := []string{g.y}
		for _, x := range g.at {
			header = append(header, report.Number(float64(x)))
		}
		var rows [][]string
		for _, line := range g.lines {
			if !wants(l.servers, line.name) {
				continue
			}
			curve, row := report.Series{Name: line.name}, []string{line.name}
			first, last := math.NaN(), math.NaN()
			for _, x := range g.at {
				y := found.median(line.name, key(g, x), g.figure)
				curve.Points = append(curve.Points, report.Point{X: float64(x), Y: y})
				row = append(row, report.Number(y))
				if math.IsNaN(first) {
					first = y
				}
				last = y
			}
			chart.Series = append(chart.Series, curve)
			rows = append(rows, append(row, report.Number(last/first)))
		}
		header = append(header, "last/first")
		fmt.Fprintf(&text, "\n### %s\n\n![%s](growth/%s.svg)\n\n%s, by %s.\n\n%s", g.title, g.title, g.name, g.y, g.x, report.Table(header, rows))
		if err := l.draw(g.name, chart); err != nil {
			return "", err
		}
	}
	text.WriteString(found.faultsText())
	return text.String(), nil
}

// draw writes a picture into the document's folder, or, of a part, beside the data.
func (l *lab) draw(name string, chart report.Chart) error {
	dir := filepath.Join(l.Data, "growth")
	if l.whole() {
		dir = filepath.Join(l.Root, "docs", "growth")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".svg"), []byte(chart.SVG()), 0o644)
}
