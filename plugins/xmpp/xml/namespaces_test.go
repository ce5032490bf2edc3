package xml_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/xml"
)

// author writes a well-formed stream in which prefixes and default namespaces
// are declared, hidden and borrowed at random. Its choices are bytes.
type author struct {
	choices []byte
	out     strings.Builder
}

func (a *author) choose(n int) int {
	if len(a.choices) == 0 {
		return 0
	}
	c := int(a.choices[0])
	a.choices = a.choices[1:]
	return c % n
}

var (
	prefixes = []string{"p", "q", "stream"}
	uris     = []string{"jabber:client", "urn:u", "urn:&amp;&#x20;v", "http://etherx.jabber.org/streams"}
	locals   = []string{"a", "message", "xmlns-", "p"}
)

// startTag writes a start tag but for its last character, and returns the name
// and the prefixes that are bound after it, with what to.
func (a *author) startTag(bound map[string]string) (name string, inner map[string]string) {
	inner = map[string]string{}
	maps.Copy(inner, bound)
	var declarations []string
	if a.choose(3) == 1 {
		uri := append(uris, "")[a.choose(5)]
		declarations = append(declarations, fmt.Sprintf("xmlns='%s'", uri))
	}
	for _, p := range prefixes {
		if a.choose(4) == 1 {
			inner[p] = uris[a.choose(4)]
			declarations = append(declarations, fmt.Sprintf("xmlns:%s=%q", p, inner[p]))
		}
	}
	name = locals[a.choose(4)]
	usable := slices.Sorted(maps.Keys(inner))
	if len(usable) > 0 && a.choose(3) == 1 {
		name = usable[a.choose(len(usable))] + ":" + name
	}
	var attrs []string
	if a.choose(3) == 1 {
		attrs = append(attrs, "to='x &lt; y'")
	}
	if len(usable) > 0 && a.choose(3) == 1 {
		attrs = append(attrs, usable[a.choose(len(usable))]+`:to="z'"`)
	}
	if a.choose(4) == 1 {
		attrs = append(attrs, "xml:lang = 'de'")
	}
	all := append(declarations, attrs...)
	if a.choose(2) == 1 {
		all = append(attrs, declarations...)
	}
	a.out.WriteString("<" + name)
	for _, attr := range all {
		a.out.WriteString([]string{" ", "\n\t"}[a.choose(2)] + attr)
	}
	return name, inner
}

func (a *author) element(bound map[string]string, depth int) {
	name, inner := a.startTag(bound)
	if depth > 4 || a.choose(3) == 0 {
		a.out.WriteString("/>")
		return
	}
	a.out.WriteString(">")
	for range a.choose(4) {
		switch a.choose(4) {
		case 0, 1:
			a.element(inner, depth+1)
		case 2:
			a.out.WriteString("text &amp; \r\n")
		case 3:
			a.out.WriteString("<![CDATA[</p:a> xmlns:p='' p: ]]>")
		}
	}
	a.out.WriteString("</" + name + ">")
}

// FuzzNamespaces: a well-formed stream is accepted, and each body stands alone.
func FuzzNamespaces(f *testing.F) {
	f.Add([]byte{1, 0, 1, 1, 1, 2, 1, 3, 1, 0, 1, 2, 1, 1, 1, 3, 1, 1, 1, 1, 1, 2, 1, 1, 0, 1, 1, 2, 2, 1, 1, 0, 1})
	f.Add([]byte("any text is a sequence of choices, and a longer one makes a longer stream of elements"))
	f.Fuzz(func(t *testing.T, choices []byte) {
		a := author{choices: choices}
		_, bound := a.startTag(nil)
		a.out.WriteString(">")
		for len(a.choices) > 0 {
			a.element(bound, 1)
		}
		data := []byte(a.out.String())
		whole := scanIn(t, data, xml.Limits{}, func() int { return len(data) })
		if whole.err != nil || whole.consumed != len(data) {
			t.Fatalf("%s: consumed %d of %d: %v", data, whole.consumed, len(data), whole.err)
		}
		same(t, whole, scanIn(t, data, xml.Limits{}, func() int { return 7 }))
		agrees(t, data, whole)
	})
}
