package config

import (
	"bytes"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns the text of a configuration in the one layout that all have:
// indented by two, values of neighbours aligned, one newline at the end and at
// most one empty line in a row. Comments, texts and order stay. A text with a
// syntax error is not touched; the File is there to print the complaint with.
func Format(name string, text []byte) ([]byte, *File, hcl.Diagnostics) {
	f := &File{Path: name, sources: []*source{{name: name, text: text}}}
	if _, diags := parse(name, text); diags.HasErrors() {
		return nil, f, diags
	}
	return oneEmptyLine(hclwrite.Format(lineEnds.ReplaceAll(text, []byte("\n")))), f, nil
}

// lineEnds are ends of lines as other systems have them, and as files do that
// went through several.
var lineEnds = regexp.MustCompile(`\r+\n`)

// oneEmptyLine takes out empty lines behind an empty line, at the beginning
// and at the end. It goes by tokens, for the lines of a heredoc are text.
func oneEmptyLine(text []byte) []byte {
	tokens, _ := hclsyntax.LexConfig(text, "", hcl.InitialPos)
	var out bytes.Buffer
	end, newlines := 0, 2
	for _, t := range tokens {
		newline := t.Type == hclsyntax.TokenNewline
		if newline && newlines >= 2 {
			end = t.Range.End.Byte
			continue
		}
		out.Write(text[end:t.Range.End.Byte]) // with the space before it, which is no token
		end = t.Range.End.Byte
		switch {
		case newline:
			newlines++
		case t.Type == hclsyntax.TokenComment && bytes.HasSuffix(t.Bytes, []byte("\n")):
			newlines = 1
		default:
			newlines = 0
		}
	}
	trimmed := bytes.TrimRight(out.Bytes(), " \t\r\n")
	if len(trimmed) == 0 {
		return trimmed
	}
	return append(trimmed, '\n')
}
