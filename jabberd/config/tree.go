package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
)

// PrintTree writes the delivery tree, as a packet goes through it: kind, host in
// the order of look-up, section and chain in the order of the file. made says
// which hosts the sections are on. With args it writes the arguments too,
// secrets masked.
func (f *File) PrintTree(w io.Writer, made []Made, args bool) error {
	p := treePrinter{file: f, args: args}
	branches := f.branches(made)
	for k := range packet.NumKinds {
		p.kind(k, branches)
	}
	_, err := io.WriteString(w, p.aligned())
	return err
}

// A treePrinter gathers lines and the places that stand to their right.
type treePrinter struct {
	file  *File
	args  bool
	lines []treeLine
}

type treeLine struct{ text, place string }

func (p *treePrinter) add(depth int, place, format string, args ...any) {
	p.lines = append(p.lines, treeLine{strings.Repeat("  ", depth) + fmt.Sprintf(format, args...), place})
}

// kind writes the branches of one kind.
func (p *treePrinter) kind(k packet.Kind, branches []branch) {
	var hosts []string
	on, attached := map[string][]int{}, map[int]bool{} // sections by host, by index
	for _, b := range branches {
		if !slices.Contains(b.section.Kinds, k) {
			continue
		}
		if on[b.host] == nil {
			hosts = append(hosts, b.host)
		}
		on[b.host] = append(on[b.host], b.index)
		attached[b.index] = true
	}
	headline := len(p.lines)
	p.add(0, "", "%s", k)
	for i := range p.file.Sections {
		s := &p.file.Sections[i]
		switch {
		case attached[i] || !slices.Contains(s.Kinds, k):
			continue
		case k == packet.Session:
			p.add(1, "", "%s", s.ID)
		default:
			p.add(1, "", "(no host)")
		}
		p.section(i)
	}
	slices.SortStableFunc(hosts, byLookup)
	for i, host := range hosts {
		p.add(1, "", "%s", cmp.Or(host, "(uplink)"))
		if i+1 < len(hosts) && slices.Equal(on[host], on[hosts[i+1]]) {
			continue // one chain for all of them
		}
		for _, n := range on[host] {
			p.section(n)
		}
	}
	if len(p.lines) == headline+1 {
		p.lines = p.lines[:headline]
	}
}

// byLookup orders hosts as they are looked up: exact ones, suffixes from the
// longest on, all, the uplink.
func byLookup(a, b string) int {
	rank := func(host string) int {
		switch {
		case host == "":
			return 1 << 20
		case host[0] == '*':
			return 1<<19 - len(host)
		}
		return 0
	}
	return rank(a) - rank(b)
}

// section writes a section and its chain.
func (p *treePrinter) section(i int) {
	s := &p.file.Sections[i]
	notes := ""
	if s.Observe {
		notes += " observe"
	}
	if s.Fallback {
		notes += " fallback"
	}
	if s.Timeout != 0 {
		notes += " timeout=" + module.Duration(s.Timeout).String()
	}
	if s.Queue != 0 {
		notes += fmt.Sprintf(" queue=%d", s.Queue)
	}
	p.add(2, s.Place, "%s%s", title(s), notes)
	for n, link := range s.Chain {
		t := p.file.traces[i].links[n]
		if t.uses.Passive && t.uses.Name == "host" {
			continue // it is the host above
		}
		line := link.Module
		if label := labelOf(t, link); label != "" {
			line += fmt.Sprintf(" %q", label)
		}
		p.add(3, link.Place, "%s%s", line, linkNotes(link))
		if p.args {
			p.arguments(4, t.uses.Args, maskArgs(t.uses.Args, link.Args))
		}
	}
}

// labelOf returns a link's label as it is written in the file.
func labelOf(t linkTrace, link module.Link) string {
	if len(t.block.Labels) > 0 {
		return t.block.Labels[0]
	}
	return link.Label
}

func linkNotes(l module.Link) (notes string) {
	if l.Process != "" {
		notes += " process=" + l.Process
	}
	if l.Timeout != 0 {
		notes += " timeout=" + module.Duration(l.Timeout).String()
	}
	if l.Optional {
		notes += " optional"
	}
	if l.OnCrash != "" {
		notes += " on_crash=" + string(l.OnCrash)
	}
	return notes
}

// arguments writes the arguments that are given, in the order in which the
// module has them.
func (p *treePrinter) arguments(depth int, args []module.Arg, raw json.RawMessage) {
	eachGiven(args, raw, func(a *module.Arg, v json.RawMessage) {
		p.add(depth, "", "%s = %s", a.Name, v)
	}, func(a *module.Arg, label string, inner json.RawMessage) {
		if a.Label != "" {
			p.add(depth, "", "%s %q", a.Name, label)
		} else {
			p.add(depth, "", "%s", a.Name)
		}
		p.arguments(depth+1, a.Args, inner)
	})
}

// aligned returns the lines with their places in a column.
func (p *treePrinter) aligned() string {
	width := 0
	for _, l := range p.lines {
		if l.place != "" {
			width = max(width, utf8.RuneCountInString(l.text))
		}
	}
	var out strings.Builder
	for _, l := range p.lines {
		out.WriteString(l.text)
		if l.place != "" {
			out.WriteString(strings.Repeat(" ", width-utf8.RuneCountInString(l.text)+2) + l.place)
		}
		out.WriteString("\n")
	}
	return out.String()
}
