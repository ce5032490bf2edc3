// Package report makes what a measurement found readable: medians, tables in
// Markdown, parts of a document that a command writes, and charts as SVG.
package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Median returns the middle of the values, NaN if there are none. It sorts a copy.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// Number writes a figure with three digits that count; NaN is a dash.
func Number(v float64) string {
	digits := 2
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 100 || v == math.Trunc(v):
		digits = 0
	case a >= 10:
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// Table writes a table in Markdown: the first column is words, the rest numbers.
func Table(header []string, rows [][]string) string {
	var t strings.Builder
	line := func(cells []string) {
		t.WriteString("|")
		for _, cell := range cells {
			t.WriteString(" " + strings.ReplaceAll(cell, "|", `\|`) + " |")
		}
		t.WriteString("\n")
	}
	line(header)
	t.WriteString("|---|" + strings.Repeat("---:|", len(header)-1) + "\n")
	for _, row := range rows {
		line(row)
	}
	return t.String()
}

// Replace puts text between the lines <!-- NAME --> and <!-- /NAME --> of a
// document, in place of what is there.
func Replace(document, name, text string) (string, error) {
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->\n"
	before, rest, ok := strings.Cut(document, begin)
	if !ok {
		return "", fmt.Errorf("the document has no line %s", strings.TrimSpace(begin))
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("the document has no line %s after %s", strings.TrimSpace(end), strings.TrimSpace(begin))
	}
	return before + begin + strings.TrimRight(text, "\n") + "\n" + end + after, nil
}
