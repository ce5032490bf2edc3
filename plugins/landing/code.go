package landing

import (
	"fmt"
	"html/template"
	"strings"

	"rsc.io/qr"
)

// quiet is how many modules are left free around a QR code (ISO/IEC 18004, section 9.1).
const quiet = 4

// code is the QR code of an invitation as a picture within the page, for a phone that
// reads it from another screen: of each row its dark runs. It is "" for an address that
// is too long for one.
func code(uri string) template.HTML {
	c, err := qr.Encode(uri, qr.M)
	if err != nil {
		return ""
	}
	var b strings.Builder
	size := c.Size + 2*quiet
	// Dark on light also where the page is light on dark, or many phones do not read it.
	fmt.Fprintf(&b, `<svg class="code" viewBox="0 0 %d %d" role="img" aria-label="QR code of the invitation" shape-rendering="crispEdges">`, size, size)
	fmt.Fprintf(&b, `<path fill="#fff" d="M0 0h%dv%dh-%dz"/><path fill="#000" d="`, size, size, size)
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			run := x
			for run < c.Size && c.Black(run, y) {
				run++
			}
			if run > x {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run-x, run-x)
				x = run
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()) // numbers and our own words
}
