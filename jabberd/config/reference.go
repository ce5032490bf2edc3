package config

import (
	"fmt"
	"strings"

	"github.com/jabberii/server/jabberd/module"
)

// Reference returns what a configuration can say to a module, in markdown: the
// part of its documentation that is made, not written.
func Reference(m module.Module) string {
	var out strings.Builder
	var facts []string
	if len(m.Kinds) > 0 {
		facts = append(facts, "For "+kindNames(m.Kinds)+" sections.")
	}
	if m.Label != "" {
		facts = append(facts, "Its label is the "+m.Label+".")
	}
	switch {
	case m.Passive:
		facts = append(facts, "It takes no packets.")
	case m.Claims == module.ClaimsAll:
		facts = append(facts, "It claims every packet; blocks behind it are never asked.")
	case m.Claims == module.ClaimsRest:
		facts = append(facts, "It answers what nobody in front has claimed, so it stands last.")
	case m.Claims == module.ClaimsNone:
		facts = append(facts, "It claims no packets.")
	}
	if m.External {
		facts = append(facts, "As storage it shows what is kept elsewhere: its section stands in front of the store that would own the same.")
	}
	if len(facts) > 0 {
		fmt.Fprintf(&out, "%s\n\n", strings.Join(facts, " "))
	}
	if len(m.Args) > 0 {
		out.WriteString("| argument | type | default | |\n|---|---|---|---|\n")
		referenceArgs(&out, "", m.Args)
	} else if len(m.Services) == 0 {
		out.WriteString("It has no arguments of its own.\n")
	}
	if len(m.Services) > 0 {
		out.WriteString("| service | sections | |\n|---|---|---|\n")
		for _, s := range m.Services {
			fmt.Fprintf(&out, "| `%s` | %s | %s |\n", s.Name, kindNames(s.Kinds), cell(Summary(s)))
		}
	}
	if len(m.XEPs) > 0 {
		out.WriteString("\n| standard | version | |\n|---|---|---|\n")
		for _, x := range m.XEPs {
			fmt.Fprintf(&out, "| [%s](https://xmpp.org/extensions/%s.html) %s | %s | %s |\n",
				x.ID(), strings.ToLower(x.ID()), cell(x.Name), cell(x.Version), cell(x.State()))
		}
	}
	return out.String()
}

func referenceArgs(out *strings.Builder, within string, args []module.Arg) {
	for i := range args {
		a := &args[i]
		name := within + a.Name
		text := cell(a.Doc)
		if len(a.Enum) > 0 {
			text = strings.TrimSpace(text + " One of `" + strings.Join(a.Enum, "`, `") + "`.")
		}
		if a.Secret {
			text = strings.TrimSpace(text + " A secret: never shown.")
		}
		fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", name, referenceType(a), referenceDefault(a), text)
		referenceArgs(out, name+".", a.Args)
	}
}

func referenceType(a *module.Arg) string {
	name := string(a.Type)
	if a.Type == module.TypeBlocks {
		name = "block, repeated"
	}
	if isBlock(a) && a.Label != "" {
		name += ", labelled with the " + cell(a.Label)
	}
	return name
}

func referenceDefault(a *module.Arg) string {
	switch {
	case a.Required:
		return "required"
	case a.Default != "":
		return "`" + cell(a.Default) + "`"
	case a.Type == module.TypeBlock && a.Optional:
		return "absent"
	}
	return ""
}

// Summary returns the first sentence of a module's documentation.
func Summary(m module.Module) string {
	text := strings.Join(strings.Fields(m.Doc), " ")
	if first, _, more := strings.Cut(text, ". "); more {
		return first + "."
	}
	return text
}

// cell makes a text fit into a cell of a table.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}
