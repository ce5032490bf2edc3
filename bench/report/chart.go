package report

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// A Chart draws curves over a logarithmic x axis: what becomes of a figure when
// something grows tenfold, and again. The y axis begins at 0.
type Chart struct {
	Title  string
	X, Y   string // what the axes are, with the unit
	Series []Series
}

// A Series is one curve, its points by growing X. Points that are NaN are left out.
type Series struct {
	Name   string
	Points []Point
}

// A Point is a measured one; X has to be positive.
type Point struct{ X, Y float64 }

// The picture, and the area of the curves in it.
const (
	width, height            = 720, 400
	left, right, top, bottom = 70, 560, 50, 340
)

// colors that are told apart also by those who see few.
func color(i int) string {
	colors := [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}
	return colors[i%len(colors)]
}

// SVG draws the chart. Without points it is empty axes.
func (c Chart) SVG() string {
	minX, maxX, maxY := c.extent()
	x := func(v float64) float64 {
		return left + (right-left)*(math.Log(v)-math.Log(minX))/(math.Log(maxX)-math.Log(minX))
	}
	y := func(v float64) float64 { return bottom - (bottom-top)*v/maxY }
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", width, height)
	fmt.Fprintf(&svg, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&svg, `<text x="%d" y="28" font-size="16">%s</text>`+"\n", left, escape(c.Title))
	for _, tick := range ticks(maxY) {
		fmt.Fprintf(&svg, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, y(tick), right, left-8, y(tick)+4, Number(tick))
	}
	for _, at := range c.positions() {
		fmt.Fprintf(&svg, `<path d="M%.1f %dv5" stroke="#333"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x(at), bottom, x(at), bottom+20, short(at))
	}
	fmt.Fprintf(&svg, `<path d="M%d %dV%dH%d" fill="none" stroke="#333"/>`+"\n", left, top, bottom, right)
	fmt.Fprintf(&svg, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (left+right)/2, bottom+44, escape(c.X))
	fmt.Fprintf(&svg, `<text transform="translate(18 %d) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+bottom)/2, escape(c.Y))
	for i, s := range c.Series {
		s.draw(&svg, color(i), x, y)
		fmt.Fprintf(&svg, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", right+14, top+10+20*i, color(i), escape(s.Name))
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

func (s Series) draw(svg *strings.Builder, color string, x, y func(float64) float64) {
	var line, dots strings.Builder
	for _, p := range s.Points {
		if math.IsNaN(p.Y) {
			continue
		}
		fmt.Fprintf(&line, "%.1f,%.1f ", x(p.X), y(p.Y))
		fmt.Fprintf(&dots, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`, x(p.X), y(p.Y), color)
	}
	fmt.Fprintf(svg, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>%s`+"\n", strings.TrimSpace(line.String()), color, dots.String())
}

// extent is what the axes have to reach.
func (c Chart) extent() (minX, maxX, maxY float64) {
	minX, maxX, maxY = math.Inf(1), 0, 0
	for _, s := range c.Series {
		for _, p := range s.Points {
			minX, maxX = min(minX, p.X), max(maxX, p.X)
			if !math.IsNaN(p.Y) {
				maxY = max(maxY, p.Y)
			}
		}
	}
	if maxX <= minX {
		minX, maxX = 1, 10
	}
	if maxY == 0 {
		maxY = 1
	}
	return minX, maxX, maxY * 1.08
}

// positions are the x of all points, once each.
func (c Chart) positions() []float64 {
	var list []float64
	seen := map[float64]bool{}
	for _, s := range c.Series {
		for _, p := range s.Points {
			if !seen[p.X] {
				seen[p.X] = true
				list = append(list, p.X)
			}
		}
	}
	return list
}

// ticks are at most six round values from 0 on.
func ticks(most float64) []float64 {
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, part := range []float64{0.2, 0.5, 1} {
		if most/(step*part) <= 6 {
			step *= part
			break
		}
	}
	var list []float64
	for n := 0; float64(n)*step <= most; n++ {
		list = append(list, float64(n)*step)
	}
	return list
}

// short writes thousands with a k.
func short(v float64) string {
	if v >= 10000 {
		return Number(v/1000) + "k"
	}
	return Number(v)
}

func escape(s string) string {
	var b strings.Builder
	// Writing to a Builder does not fail.
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
