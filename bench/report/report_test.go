package report_test

import (
	"math"
	"strings"
	"testing"

	"github.com/jabberii/server/bench/report"
)

func TestMedian(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   float64
	}{
		{"one", []float64{3}, 3},
		{"odd", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 2, 8}, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := report.Median(test.values); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	if got := report.Median(nil); !math.IsNaN(got) {
		t.Errorf("of nothing: %v", got)
	}
	values := []float64{2, 1}
	if report.Median(values); values[0] != 2 {
		t.Error("the values were sorted in place")
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 7: "7", 3.456: "3.46", 34.56: "34.6", 345.6: "346", -3.456: "-3.46", math.NaN(): "–"} {
		if got := report.Number(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	got := report.Table([]string{"what", "a", "b"}, [][]string{{"x|y", "1", "2"}})
	want := "| what | a | b |\n|---|---:|---:|\n| x\\|y | 1 | 2 |\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestReplace(t *testing.T) {
	const document = "before\n<!-- x -->\nold\n<!-- /x -->\nafter\n<!-- y -->\n<!-- /y -->\n"
	got, err := report.Replace(document, "x", "new\n\n")
	if want := strings.Replace(document, "old", "new", 1); err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	if again, err := report.Replace(got, "x", "new"); err != nil || again != got {
		t.Errorf("a second time: %q, %v", again, err)
	}
	for name, document := range map[string]string{
		"no begin": "<!-- /x -->\n", "no end": "<!-- x -->\n", "end before begin": "<!-- /x -->\n<!-- x -->\n",
	} {
		if _, err := report.Replace(document, "x", "new"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
