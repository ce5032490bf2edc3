package wire

import (
	"fmt"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/jabberd/wire/plugin"
)

// What is not on the hot path crosses as generated messages. TestPlanCrosses
// fails if one of the structs here has a field that does not cross.

func each[A, B any](list []A, f func(A) B) []B {
	if len(list) == 0 {
		return nil
	}
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = f(a)
	}
	return out
}

func sendKind(k packet.Kind) plugin.Kind { return plugin.Kind(k) }

func takeKind(k plugin.Kind) packet.Kind {
	if k < 0 || k >= plugin.Kind(packet.NumKinds) {
		return packet.NumKinds // module.Check complains
	}
	return packet.Kind(k)
}

func sendModule(m module.Module) *plugin.Module {
	return &plugin.Module{
		Name: m.Name, Doc: m.Doc, Kinds: each(m.Kinds, sendKind), Args: each(m.Args, sendArg), Label: m.Label,
		Services: each(m.Services, sendModule), Passive: m.Passive, Claims: string(m.Claims), Attaches: m.Attaches,
		Needs: each(m.Needs, sendKind), Xeps: each(m.XEPs, sendXEP), External: m.External,
	}
}

func takeModule(m *plugin.Module) module.Module {
	return module.Module{
		Name: m.Name, Doc: m.Doc, Kinds: each(m.Kinds, takeKind), Args: each(m.Args, takeArg), Label: m.Label,
		Services: each(m.Services, takeModule), Passive: m.Passive, Claims: module.Claims(m.Claims), Attaches: m.Attaches,
		Needs: each(m.Needs, takeKind), XEPs: each(m.Xeps, takeXEP), External: m.External,
	}
}

func sendXEP(x module.XEP) *plugin.XEP {
	return &plugin.XEP{Number: int32(x.Number), Name: x.Name, Version: x.Version, Partial: x.Partial, Note: x.Note}
}

func takeXEP(x *plugin.XEP) module.XEP {
	return module.XEP{Number: int(x.Number), Name: x.Name, Version: x.Version, Partial: x.Partial, Note: x.Note}
}

func sendArg(a module.Arg) *plugin.Arg {
	return &plugin.Arg{
		Name: a.Name, Type: string(a.Type), Doc: a.Doc, Default: a.Default, Required: a.Required, Optional: a.Optional,
		Secret: a.Secret, Enum: a.Enum, Label: a.Label, Args: each(a.Args, sendArg),
		File: string(a.File), Needs: a.Needs, Hosts: a.Hosts,
	}
}

func takeArg(a *plugin.Arg) module.Arg {
	return module.Arg{
		Name: a.Name, Type: module.Type(a.Type), Doc: a.Doc, Default: a.Default, Required: a.Required, Optional: a.Optional,
		Secret: a.Secret, Enum: a.Enum, Label: a.Label, Args: each(a.Args, takeArg),
		File: module.File(a.File), Needs: a.Needs, Hosts: a.Hosts,
	}
}

func sendSection(s module.Section) *plugin.Section {
	return &plugin.Section{
		Id: s.ID, Kinds: each(s.Kinds, sendKind), Place: s.Place, Chain: each(s.Chain, sendLink),
		Observe: s.Observe, Uplink: s.Uplink, Timeout: int64(s.Timeout), Queue: int64(s.Queue), Fallback: s.Fallback,
	}
}

func takeSection(s *plugin.Section) module.Section {
	return module.Section{
		ID: s.Id, Kinds: each(s.Kinds, takeKind), Place: s.Place, Chain: each(s.Chain, takeLink),
		Observe: s.Observe, Uplink: s.Uplink, Timeout: time.Duration(s.Timeout), Queue: int(s.Queue), Fallback: s.Fallback,
	}
}

func sendLink(l module.Link) *plugin.Link {
	return &plugin.Link{
		Module: l.Module, Label: l.Label, Process: l.Process, Args: l.Args, Place: l.Place,
		Optional: l.Optional, Timeout: int64(l.Timeout), OnCrash: string(l.OnCrash),
	}
}

func takeLink(l *plugin.Link) module.Link {
	return module.Link{
		Module: l.Module, Label: l.Label, Process: l.Process, Args: l.Args, Place: l.Place,
		Optional: l.Optional, Timeout: time.Duration(l.Timeout), OnCrash: module.OnCrash(l.OnCrash),
	}
}

func sendRef(r tree.LinkRef) *plugin.LinkRef {
	return &plugin.LinkRef{Section: uint32(r.Section), Link: uint32(r.Link)}
}

func takeRef(r *plugin.LinkRef) tree.LinkRef {
	return tree.LinkRef{Section: int(r.GetSection()), Link: int(r.GetLink())}
}

func sendError(e tree.LinkError) *plugin.LinkError {
	return &plugin.LinkError{At: sendRef(e.LinkRef), Path: e.Path, Text: e.Text}
}

func takeError(e *plugin.LinkError) tree.LinkError {
	return tree.LinkError{LinkRef: takeRef(e.At), Path: e.Path, Text: e.Text}
}

func sendChange(h tree.HostChange) *plugin.HostChange {
	return &plugin.HostChange{Id: h.ID, Section: h.Section, Host: h.Host, Gone: h.Gone, Refused: h.Refused}
}

func takeChange(h *plugin.HostChange) tree.HostChange {
	return tree.HostChange{ID: h.Id, Section: h.Section, Host: h.Host, Gone: h.Gone, Refused: h.Refused}
}

func sendMade(m tree.Made) *plugin.Made {
	return &plugin.Made{Hosts: each(m.Hosts, sendChange), Passive: each(m.Passive, sendRef), Watchers: each(m.Watchers, sendRef)}
}

func takeMade(m *plugin.Made) tree.Made {
	return tree.Made{Hosts: each(m.GetHosts(), takeChange), Passive: each(m.GetPassive(), takeRef), Watchers: each(m.GetWatchers(), takeRef)}
}

// within reports a place that is not in the plan. What a plugin says is
// checked before the engine takes it for an index.
func within(sections []module.Section, m tree.Made, wrong []tree.LinkError) error {
	refs := append([]tree.LinkRef(nil), m.Passive...)
	refs = append(refs, m.Watchers...)
	for _, h := range m.Hosts {
		refs = append(refs, tree.LinkRef{Section: int(h.Section)})
	}
	for _, e := range wrong {
		refs = append(refs, e.LinkRef)
	}
	for _, r := range refs {
		if r.Section >= len(sections) || r.Link >= max(1, len(sections[r.Section].Chain)) {
			return fmt.Errorf("it speaks of link %d of section %d, which is not there", r.Link, r.Section)
		}
	}
	return nil
}
