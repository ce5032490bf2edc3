package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxFile is the size of the largest file that is read, in bytes.
const maxFile = 1 << 20

// A source is one file of a configuration.
type source struct {
	name string // as it is shown
	dir  string // where its relative names start
	text []byte
	body *hclsyntax.Body
	ctx  *hcl.EvalContext
}

// block is short for HCL's.
type block = hclsyntax.Block

// A reader reads files and what they include.
type reader struct {
	file  *File
	seen  map[string]hcl.Range // files by real path, and what included them
	diags hcl.Diagnostics
}

// read reads one file. by is the include block that names it, nil for the
// first; chain are the real paths of the files that led here.
func (r *reader) read(name string, by *block, chain []string) {
	var place *hcl.Range
	if by != nil {
		place = by.LabelRanges[0].Ptr()
	}
	real, text, err := readFile(name)
	if err != nil {
		r.diags = append(r.diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Unreadable file", Detail: dotted(err.Error()), Subject: place})
		return
	}
	if earlier, twice := r.seen[real]; twice {
		r.refuseAgain(name, by, slices.Contains(chain, real), earlier)
		return
	}
	if by != nil {
		r.seen[real] = by.LabelRanges[0]
	} else {
		r.seen[real] = hcl.Range{}
	}
	s := &source{name: name, dir: filepath.Dir(name), text: text}
	r.file.sources = append(r.file.sources, s)
	body, diags := parse(name, text)
	r.diags = append(r.diags, diags...)
	if body == nil {
		return
	}
	s.body = body
	for _, b := range body.Blocks {
		if b.Type == "include" {
			r.include(s, b, append(chain, real))
			continue
		}
		r.file.blocks = append(r.file.blocks, placed{s, b})
	}
}

func (r *reader) refuseAgain(name string, by *block, cycle bool, earlier hcl.Range) {
	d := complaint(by.LabelRanges[0], "File included twice", "%s is included already", name)
	switch {
	case cycle:
		d.Summary, d.Detail = "Include in a circle", name+" includes this file, directly or by way of others."
	case earlier.Filename != "":
		d.Detail += fmt.Sprintf(", by %s:%d.", earlier.Filename, earlier.Start.Line)
	}
	r.diags = append(r.diags, d)
}

// include reads the files that an include block names.
func (r *reader) include(s *source, b *block, chain []string) {
	if len(b.Labels) != 1 || len(b.Body.Attributes)+len(b.Body.Blocks) > 0 {
		r.diags = append(r.diags, complaint(b.DefRange(), "Malformed include",
			`It is written as include "FILES" {}, where FILES may have * and ? in it.`))
		return
	}
	pattern := b.Labels[0]
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(s.dir, pattern)
	}
	names, err := filepath.Glob(pattern)
	if err != nil {
		r.diags = append(r.diags, complaint(b.LabelRanges[0], "Malformed include", "%q is no pattern: %v.", b.Labels[0], err))
		return
	}
	literal := !strings.ContainsAny(pattern, `*?[\`)
	if len(names) == 0 && literal {
		r.diags = append(r.diags, complaint(b.LabelRanges[0], "Missing file", "There is no file %s.", pattern))
	}
	hidden := strings.HasPrefix(filepath.Base(pattern), ".")
	for _, name := range names {
		// What editors leave behind is hidden and not meant by *.hcl.
		if !hidden && strings.HasPrefix(filepath.Base(name), ".") {
			continue
		}
		r.read(name, b, chain)
	}
}

// readFile returns the real path of a file and its text.
func readFile(name string) (real string, text []byte, err error) {
	if real, err = filepath.Abs(name); err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return "", nil, fmt.Errorf("read %s: %w", name, bare(err))
	}
	text, err = readLimited(name)
	return real, text, err
}

// readLimited returns the text of a file that is not larger than maxFile.
func readLimited(name string) ([]byte, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, bare(err))
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, bare(err))
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, maxFile)
	}
	return text, nil
}

// bare takes the path off an error, which says it already.
func bare(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// parse parses HCL. The body is nil if it cannot be made sense of.
func parse(name string, text []byte) (*hclsyntax.Body, hcl.Diagnostics) {
	if strings.HasSuffix(name, ".json") {
		return nil, hcl.Diagnostics{complaint(start(name), "JSON configuration",
			"JSON keeps no order of blocks, and here the order is what counts. Write it in HCL's native syntax.")}
	}
	if deep := tooDeep(name, text); deep != nil {
		return nil, hcl.Diagnostics{deep}
	}
	f, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	for _, d := range diags {
		if strings.HasPrefix(d.Detail, "Template sequences are not allowed") {
			d.Detail += ` A label with a variable in it is written inside the block: host { label = "irc.${var.host}" }.`
		}
	}
	if diags.HasErrors() {
		return nil, diags
	}
	return f.Body.(*hclsyntax.Body), diags
}

// tooDeep reports the place from where on text is nested so deeply that the
// parser, which is recursive, could run out of stack. No stack overflow can be
// recovered from, and one level costs it 6 KB.
func tooDeep(name string, text []byte) *hcl.Diagnostic {
	const maxNesting, maxOperators = 50, 1000
	tokens, _ := hclsyntax.LexConfig(text, name, hcl.InitialPos)
	var open []hclsyntax.TokenType
	operators := 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			open = append(open, t.Type)
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			open = open[:max(0, len(open)-1)]
		case hclsyntax.TokenNewline:
			if len(open) == 0 || open[len(open)-1] == hclsyntax.TokenOBrace {
				operators = 0
			}
		case hclsyntax.TokenIdent, hclsyntax.TokenComma, hclsyntax.TokenDot, hclsyntax.TokenEqual, hclsyntax.TokenComment,
			hclsyntax.TokenNumberLit, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit:
		default:
			operators++
		}
		if len(open) > maxNesting || operators > maxOperators {
			return complaint(t.Range, "Nested too deeply", "There are more than %d levels or %d operators here.", maxNesting, maxOperators)
		}
	}
	return nil
}

// start is the beginning of a file.
func start(name string) hcl.Range {
	return hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
}
