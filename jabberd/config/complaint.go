package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// complaint returns an error at a place: what is wrong in a few words, then
// where it comes from or what to do about it.
func complaint(at hcl.Range, summary, detail string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(detail, args...), Subject: &at}
}

// warning returns a warning at a place.
func warning(at hcl.Range, summary, detail string, args ...any) *hcl.Diagnostic {
	d := complaint(at, summary, detail, args...)
	d.Severity = hcl.DiagWarning
	return d
}

// place returns file:line of a range.
func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// sentence makes a text of ours a sentence.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(r)) + s[n:]
	return dotted(s)
}

// dotted makes the text of an error from elsewhere one, which may begin with a
// name that has to stay as it is.
func dotted(s string) string {
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}

// quoted lists names in quotes: "a", "b" and "c".
func quoted(names []string) string {
	var q []string
	for _, n := range names {
		q = append(q, fmt.Sprintf("%q", n))
	}
	return listed(q)
}

// listed lists names: a, b and c.
func listed(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// suggest returns a sentence, with a space before it, that helps who wrote
// given and meant one of names; "" if nothing is close and names are many.
func suggest(given string, names []string) string {
	const few = 8
	switch near := nearest(given, names); {
	case near != "":
		return fmt.Sprintf(" Did you mean %q?", near)
	case len(names) == 0 || len(names) > few:
		return ""
	case len(names) == 1:
		return fmt.Sprintf(" There is only %q.", names[0])
	}
	return " There are " + quoted(names) + "."
}

// nearest returns the name that given is most likely a slip of, "" if none.
func nearest(given string, names []string) string {
	best, least := "", 1+min(3, (len(given)+2)/3)
	for _, name := range names {
		if d := distance(strings.ToLower(given), strings.ToLower(name), least); d < least {
			best, least = name, d
		}
	}
	return best
}

// distance counts the letters to put in, take out, change or swap with their
// neighbour to make b of a. What is limit or more is limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := row[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			next[j] = min(row[j]+1, next[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return min(row[len(b)], limit)
}
