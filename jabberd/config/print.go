package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// Sort orders complaints by place: files as they were read, those without a
// place first.
func (f *File) Sort(diags hcl.Diagnostics) {
	index := map[string]int{}
	for i, s := range f.sources {
		index[s.name] = i
	}
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int {
		if a.Subject == nil || b.Subject == nil {
			return cmp.Compare(bit(a.Subject != nil), bit(b.Subject != nil))
		}
		return cmp.Or(cmp.Compare(index[a.Subject.Filename], index[b.Subject.Filename]),
			cmp.Compare(a.Subject.Start.Byte, b.Subject.Start.Byte),
			cmp.Compare(a.Summary, b.Summary), cmp.Compare(a.Detail, b.Detail))
	})
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Print writes complaints, sorted by place, each with the line that it is
// about, without secrets, and a mark under what is meant, and ends with how
// many there are.
func (f *File) Print(w io.Writer, diags hcl.Diagnostics, color bool) error {
	f.Sort(diags)
	ink := inks{}
	if color {
		ink = inks{err: "\x1b[1;31m", warn: "\x1b[1;33m", place: "\x1b[36m", off: "\x1b[0m"}
	}
	var out strings.Builder
	errors := 0
	for _, d := range diags {
		tint, severity := ink.warn, "Warning"
		if d.Severity == hcl.DiagError {
			tint, severity = ink.err, "Error"
			errors++
		}
		fmt.Fprintf(&out, "%s%s: %s%s\n", tint, severity, plain(d.Summary), ink.off)
		if d.Subject != nil {
			f.printPlace(&out, d.Subject, ink, tint)
		}
		fmt.Fprintf(&out, "  %s\n\n", plain(d.Detail))
	}
	if len(diags) > 0 {
		fmt.Fprintf(&out, "%s\n", counted(errors, len(diags)-errors))
	}
	_, err := io.WriteString(w, out.String())
	return err
}

type inks struct{ err, warn, place, off string }

func counted(errors, warnings int) string {
	plural := func(n int, name string) string {
		if n == 1 {
			return "1 " + name
		}
		return fmt.Sprintf("%d %ss", n, name)
	}
	switch {
	case warnings == 0:
		return plural(errors, "error")
	case errors == 0:
		return plural(warnings, "warning")
	}
	return plural(errors, "error") + ", " + plural(warnings, "warning")
}

// printPlace writes where a range is, its first line and a mark below it.
func (f *File) printPlace(out *strings.Builder, r *hcl.Range, ink inks, tint string) {
	fmt.Fprintf(out, "  %s%s:%d:%d%s", ink.place, plain(r.Filename), r.Start.Line, r.Start.Column, ink.off)
	s := f.source(r.Filename)
	if s == nil || r.Start.Byte > len(s.text) {
		out.WriteString("\n")
		return
	}
	if s.body != nil {
		if b := s.body.OutermostBlockAtPos(r.Start); b != nil {
			fmt.Fprintf(out, ", in %s", b.Type)
			if len(b.Labels) > 0 {
				fmt.Fprintf(out, " %q", b.Labels[0])
			}
		}
	}
	before, marked, after := lineAround(f.shown(s), r)
	number := fmt.Sprintf("%4d", r.Start.Line)
	pad := strings.Repeat(" ", len(number))
	fmt.Fprintf(out, "\n%s | %s\n", number, plain(before+marked+after))
	blank := strings.Map(func(c rune) rune {
		switch {
		case c == '\t':
			return c
		case unicode.Is(unicode.Mn, c):
			return -1
		}
		return ' '
	}, before)
	mark := strings.Repeat("^", max(1, utf8.RuneCountInString(strings.TrimRight(marked, " \t"))))
	fmt.Fprintf(out, "%s | %s%s%s%s\n", pad, blank, tint, mark, ink.off)
}

// lineAround returns the first line of a range in three parts: before it, in
// it, and after it. Of a line that is very long, the part near the range.
func lineAround(text []byte, r *hcl.Range) (before, marked, after string) {
	const most = 100
	from := r.Start.Byte
	to := min(max(r.End.Byte, from), len(text))
	before = string(text[strings.LastIndexByte(string(text[:from]), '\n')+1 : from])
	marked, _, cut := strings.Cut(string(text[from:to]), "\n")
	if !cut {
		after, _, _ = strings.Cut(string(text[to:]), "\n")
	}
	if len(before) > most {
		before = "..." + runeEnd(before, most)
	}
	if len(marked) > most {
		marked, after = runeStart(marked, most), "..."
	}
	if len(after) > most {
		after = runeStart(after, most) + "..."
	}
	return before, strings.TrimSuffix(marked, "\r"), strings.TrimSuffix(after, "\r")
}

// runeStart returns about the first n bytes of s, runeEnd about the last.
func runeStart(s string, n int) string {
	for n < len(s) && !utf8.RuneStart(s[n]) {
		n++
	}
	return s[:n]
}

func runeEnd(s string, n int) string {
	at := len(s) - n
	for at < len(s) && !utf8.RuneStart(s[at]) {
		at++
	}
	return s[at:]
}

// plain replaces what would move a terminal's cursor.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if c != '\t' && !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(s, "?"))
}

func (f *File) source(name string) *source {
	i := slices.IndexFunc(f.sources, func(s *source) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return f.sources[i]
}

// A jsonComplaint is a complaint for programs.
type jsonComplaint struct {
	Severity  string `json:"severity"`
	Summary   string `json:"summary"`
	Detail    string `json:"detail"`
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Column    int    `json:"column,omitempty"`
	EndLine   int    `json:"end_line,omitempty"`
	EndColumn int    `json:"end_column,omitempty"` // the column after the last
}

// PrintJSON writes complaints, sorted by place, as a list of objects with
// severity (error or warning), summary, detail, file, line, column, end_line
// and end_column; lines and columns count from 1.
func (f *File) PrintJSON(w io.Writer, diags hcl.Diagnostics) error {
	f.Sort(diags)
	list := []jsonComplaint{}
	for _, d := range diags {
		c := jsonComplaint{Severity: "warning", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagError {
			c.Severity = "error"
		}
		if r := d.Subject; r != nil {
			c.File, c.Line, c.Column, c.EndLine, c.EndColumn = r.Filename, r.Start.Line, r.Start.Column, r.End.Line, r.End.Column
		}
		list = append(list, c)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(list)
}
