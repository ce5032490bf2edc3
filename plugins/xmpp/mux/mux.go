// Package mux gives each stanza of a session to the function that is for it, for bots,
// components and test clients.
//
//	m := mux.Mux{
//		{Name: stanza.IQ, Type: stanza.TypeGet, Payload: "ping", NS: ns.Ping, Do: mux.Pong},
//		{Name: stanza.Message, Type: stanza.TypeChat, Payload: "body", NS: ns.Client, Do: echo},
//		{Name: stanza.Presence, Do: seen},
//	}
//	err := m.Serve(ctx, s)
//
// The first route that matches is taken, in the order in which they are written. A
// request that no route is for is answered with service-unavailable, as RFC 6120 part
// 8.4 asks; other stanzas that none is for are passed over.
package mux

import (
	"context"
	"errors"

	"github.com/jabberii/server/plugins/xmpp/session"
	"github.com/jabberii/server/plugins/xmpp/stanza"
)

// A Func handles one stanza. If its error is a *stanza.Error, the sender is told, where
// a stanza can be answered; any other error ends Serve.
type Func func(ctx context.Context, s *session.Session, st stanza.Stanza) error

// A Route says which stanzas a function is for. An empty field matches all.
type Route struct {
	Name    string // of the stanza
	Type    string // of the stanza; a message without type is of type normal
	Payload string // the name of an element in the stanza; of an IQ, of the first one
	NS      string // the namespace of the payload
	Do      Func
}

// A Mux is a list of routes.
type Mux []Route

// Serve receives stanzas and handles them, one after the other, until the session or ctx
// ends or a function returns an error, and returns why. A function that wants to wait
// for something, an answer for example, does so on a goroutine of its own.
func (m Mux) Serve(ctx context.Context, s *session.Session) error {
	for {
		st, err := s.Receive(ctx)
		if err != nil {
			return err
		}
		if err := m.Handle(ctx, s, st); err != nil {
			return err
		}
	}
}

// Handle gives one stanza to the first route that matches.
func (m Mux) Handle(ctx context.Context, s *session.Session, st stanza.Stanza) error {
	var err error
	if do := m.find(st); do != nil {
		err = do(ctx, s, st)
	} else if st.IsRequest() {
		err = &stanza.Error{Condition: stanza.ServiceUnavailable}
	}
	var e *stanza.Error
	if errors.As(err, &e) {
		if !st.Answerable() {
			return nil
		}
		return s.Send(ctx, st.ErrorReply(e))
	}
	return err
}

func (m Mux) find(st stanza.Stanza) Func {
	for _, r := range m {
		if r.matches(st) {
			return r.Do
		}
	}
	return nil
}

func (r *Route) matches(st stanza.Stanza) bool {
	kind := st.Type
	if kind == "" && st.Name == stanza.Message {
		kind = stanza.TypeNormal
	}
	if r.Name != "" && r.Name != st.Name || r.Type != "" && r.Type != kind {
		return false
	}
	if r.Payload == "" && r.NS == "" {
		return true
	}
	for el := range st.Elements() {
		if (r.Payload == "" || r.Payload == el.Name()) && (r.NS == "" || r.NS == el.NS()) {
			return true
		}
		if st.Name == stanza.IQ {
			return false
		}
	}
	return false
}

// Pong answers a request with an empty result: all that a ping (XEP-0199) wants.
func Pong(ctx context.Context, s *session.Session, st stanza.Stanza) error {
	return s.Send(ctx, st.Result(nil))
}
