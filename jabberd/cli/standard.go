package cli

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/jabberii/server/jabberd/module"
)

// standards writes one line an extension of XMPP.
func standards(w io.Writer, list []module.Standard, asJSON bool) error {
	if asJSON {
		return writeJSON(w, list)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range list {
		// An error is that of the writer behind, which Flush returns.
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.ID(), s.Version, s.Name, strings.Join(s.Modules, ", "), s.State())
	}
	return table.Flush()
}

// rfcs are what the server as a whole implements.
var rfcs = []int{4505, 4616, 5802, 5929, 6120, 6121, 6122, 7395, 7590, 7622, 7628, 7677, 9266}

const (
	doapHead = `<?xml version='1.0' encoding='UTF-8'?>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns='http://usefulinc.com/ns/doap#' xmlns:xmpp='https://linkmauve.fr/ns/xmpp-doap#'>
  <Project>
    <name>jabberd</name>
    <shortdesc xml:lang='en'>a packet engine with a delivery tree, and an XMPP server on it</shortdesc>
    <programming-language>Go</programming-language>
    <category rdf:resource='https://linkmauve.fr/ns/xmpp-doap#category-jabber'/>
    <category rdf:resource='https://linkmauve.fr/ns/xmpp-doap#category-server'/>
`
	doapTail = "  </Project>\n</rdf:RDF>\n"
)

// doap writes what the XSF's list of software is made from (XEP-0453).
func doap(w io.Writer, list []module.Standard) error {
	var out strings.Builder
	out.WriteString(doapHead)
	for _, n := range rfcs {
		fmt.Fprintf(&out, "    <implements rdf:resource='https://xmpp.org/rfcs/rfc%d.html'/>\n", n)
	}
	for _, s := range list {
		status := "complete"
		if s.Partial {
			status = "partial"
		}
		fmt.Fprintf(&out, "    <implements>\n      <xmpp:SupportedXep>\n"+
			"        <xmpp:xep rdf:resource='https://xmpp.org/extensions/%s.html'/>\n        <xmpp:version>%s</xmpp:version>\n        <xmpp:status>%s</xmpp:status>\n",
			strings.ToLower(s.ID()), escape(s.Version), status)
		if s.Note != "" {
			fmt.Fprintf(&out, "        <xmpp:note>%s</xmpp:note>\n", escape(s.Note))
		}
		out.WriteString("      </xmpp:SupportedXep>\n    </implements>\n")
	}
	out.WriteString(doapTail)
	_, err := io.WriteString(w, out.String())
	return err
}

func escape(s string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(s)) // a Builder takes everything
	return out.String()
}
