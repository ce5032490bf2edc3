package frame_test

import (
	"github.com/jabberii/server/jabberd/frame"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/wire/plugin"
)

// message makes the generated form of a record.
func message(record any) *plugin.Record {
	switch r := record.(type) {
	case frame.Walk:
		return &plugin.Record{Record: &plugin.Record_Walk{Walk: &plugin.Walk{
			Id: r.ID, Origin: r.Origin, Num: r.Num, Part: r.Part, Settled: r.Settled, Section: r.Section, Link: uint32(r.Link),
			Timeout: int64(r.Timeout), Packet: packetMessage(&r.Packet), Answer: packetMessage(r.Answer),
		}}}
	case frame.Commit:
		c := &plugin.Commit{Settled: r.Settled}
		for _, s := range r.Stops {
			c.Stops = append(c.Stops, &plugin.Stop{
				Walk: s.Walk, Link: uint32(s.Link), Verdict: plugin.Verdict(s.Verdict), Reject: rejectMessage(s.Reject),
				Internal: s.Internal, Changed: packetMessage(s.Changed), Answer: packetMessage(s.Answer),
			})
		}
		for _, d := range r.Deliveries {
			c.Deliveries = append(c.Deliveries, &plugin.Delivery{
				Num: d.Num, Cause: d.Cause, Ask: d.Ask, Timeout: int64(d.Timeout), Packet: packetMessage(&d.Packet), Hop: d.Hop, Patient: d.Patient,
			})
		}
		return &plugin.Record{Record: &plugin.Record_Commit{Commit: c}}
	case frame.Settlement:
		return &plugin.Record{Record: &plugin.Record_Settlement{Settlement: &plugin.Settlement{
			Num: r.Num, Result: plugin.Result(r.Result), Reason: rejectMessage(r.Reason), Answer: packetMessage(r.Answer),
		}}}
	case frame.HostChange:
		return &plugin.Record{Record: &plugin.Record_Host{Host: &plugin.HostChange{
			Id: r.ID, Section: r.Section, Host: r.Host, Gone: r.Gone, Refused: r.Refused,
		}}}
	case frame.Explain:
		e := &plugin.Explain{Id: r.ID, Section: r.Section, Link: uint32(r.Link), Answer: r.Answer, Packet: packetMessage(&r.Packet)}
		for _, s := range r.Steps {
			e.Steps = append(e.Steps, &plugin.Step{
				Module: s.Module, Place: s.Place, Process: s.Process, Verdict: s.Verdict, Why: s.Why, Asked: s.Asked, Label: s.Label,
			})
		}
		return &plugin.Record{Record: &plugin.Record_Explain{Explain: e}}
	}
	panic("no record")
}

func packetMessage(p *packet.Packet) *plugin.Packet {
	if p == nil {
		return nil
	}
	return &plugin.Packet{
		Kind: plugin.Kind(p.Kind), Flags: uint32(p.Flags), Hops: uint32(p.Hops), Host: p.Host, Section: p.Section,
		To: p.To, From: p.From, Name: p.Name, Type: p.Type, Id: p.ID, Ns: p.NS, Lang: p.Lang, Attrs: p.Attrs,
		Near: tokenMessage(p.Near), Far: tokenMessage(p.Far), Seq: p.Seq, Body: p.Body,
	}
}

func tokenMessage(t packet.Token) *plugin.Token {
	if t.IsZero() {
		return nil
	}
	return &plugin.Token{Host: t.Host, Section: t.Section, Slot: t.Slot, Incarnation: t.Incarnation, Node: t.Node}
}

func rejectMessage(r *packet.Reject) *plugin.Reject {
	if r == nil {
		return nil
	}
	return &plugin.Reject{Condition: r.Condition, Text: r.Text, Type: r.Type}
}
