package report_test

import (
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/jabberii/server/bench/report"
)

func TestChart(t *testing.T) {
	chart := report.Chart{
		Title: "a <b> & c", X: "sessions", Y: "µs",
		Series: []report.Series{
			{Name: "default", Points: []report.Point{{X: 1, Y: 10}, {X: 10, Y: math.NaN()}, {X: 100, Y: 20}}},
			{Name: "one", Points: []report.Point{{X: 1, Y: 5}, {X: 10, Y: 6}, {X: 100, Y: 7}}},
		},
	}
	svg := chart.SVG()
	wellFormed(t, svg)
	for _, want := range []string{"a &lt;b&gt; &amp; c", ">sessions<", ">default<", ">one<", ">100<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in %s", want, svg)
		}
	}
	if n := strings.Count(svg, "<circle"); n != 5 {
		t.Errorf("%d points are drawn, want 5", n)
	}
	// The first x is at the left end of the axis, the last at the right.
	if !strings.Contains(svg, `cx="70.0"`) || !strings.Contains(svg, `cx="560.0"`) || !strings.Contains(svg, `cx="315.0"`) {
		t.Errorf("points are not where they belong: %s", svg)
	}
}

func TestChartsOfLittle(t *testing.T) {
	for name, chart := range map[string]report.Chart{
		"nothing":   {},
		"one point": {Series: []report.Series{{Points: []report.Point{{X: 5, Y: 5}}}}},
		"zeros":     {Series: []report.Series{{Points: []report.Point{{X: 1}, {X: 10}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			svg := chart.SVG()
			wellFormed(t, svg)
			if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
				t.Errorf("numbers that are none: %s", svg)
			}
		})
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
}
