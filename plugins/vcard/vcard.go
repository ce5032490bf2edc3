// Package vcard is the module that keeps the business cards of accounts: in the
// form of XEP-0054, which nearly all clients speak, and in that of XEP-0292. It
// also says in the presence of clients that do not which picture an account
// has (XEP-0153).
//
// A card is kept as it was given, namespace "vcard" of the account's storage: key
// "temp" has it in the first form, "4" in the second if it was given in that, and
// "photo" has the hash of the picture.
package vcard

import (
	"context"
	"fmt"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/disco"
	"github.com/jabberii/server/plugins/sdk/request"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/vcard"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Where cards are in storage.
const (
	storage  = "vcard"
	tempKey  = "temp"
	fourKey  = "4"
	photoKey = "photo"
)

// Args are the arguments of vcard.
type Args struct {
	Size  module.Size `json:"size" default:"256KiB" doc:"How long a card may be, with its picture."`
	Photo bool        `json:"photo" default:"true" doc:"Whether presence of clients that say nothing of pictures tells which one the account has (XEP-0153)."`
	Cache int         `json:"cache" default:"10000" doc:"Accounts of which it is kept in memory."`
	Host  *hostCard   `json:"host" doc:"The card of the host itself."`
}

type hostCard struct {
	Name        string `json:"name" required:"true" doc:"What it is called."`
	Description string `json:"description" doc:"What it is."`
	URL         string `json:"url" doc:"Its home page."`
	Email       string `json:"email" doc:"Who runs it."`
}

// Module is the service as a configuration names it: load "vcard".
var Module = define()

func define() module.Module {
	m := module.Define("vcard", "Keeps the business cards of accounts (XEP-0054, XEP-0292), and tells in presence which picture they have (XEP-0153).",
		module.On(packet.Normal, packet.Session), New)
	m.Needs = module.On(packet.Normal, packet.Session, packet.XDB)
	m.XEPs = []module.XEP{
		{Number: 54, Name: "vcard-temp", Version: "1.3.0"},
		{Number: 153, Name: "vCard-Based Avatars", Version: "1.1.1"},
		{Number: 292, Name: "vCard4 Over XMPP", Version: "0.12.0", Partial: true, Note: "over IQ; publishing it is personal eventing's"},
	}
	return m
}

type service struct {
	env    module.Env
	args   Args
	store  *xdb.Store
	photos *photos
	host   []byte // the card of the host; nil if there is none
}

// New makes the handler.
func New(env module.Env, a Args) (packet.Handler, error) {
	switch {
	case a.Size < 1 || a.Size > xdb.MaxValue/2:
		return nil, module.BadArg("size", "must be between 1 and %d bytes", xdb.MaxValue/2)
	case a.Cache < 1:
		return nil, module.BadArg("cache", "must be at least 1")
	}
	s := &service{env: env, args: a, store: xdb.New(env, env.Section())}
	s.photos = &photos{store: s.store, max: a.Cache, known: map[string]string{}}
	if a.Host != nil {
		s.host = a.Host.card()
	}
	return s, nil
}

func (h *hostCard) card() []byte {
	card := xml.AppendStart(nil, "vCard", ns.VCard)
	for _, x := range [...]struct{ name, value string }{{"FN", h.Name}, {"DESC", h.Description}, {"URL", h.URL}} {
		if x.value != "" {
			card = xml.AppendElement(card, x.name, "", x.value)
		}
	}
	if h.Email != "" {
		card = xml.AppendStart(card, "EMAIL", "")
		card = xml.AppendElement(card, "USERID", "", h.Email)
		card = xml.AppendEnd(card, "EMAIL")
	}
	return xml.AppendEnd(card, "vCard")
}

// Handle answers who asks for a card or sets one, and completes presence.
func (s *service) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	switch {
	case p.Name == "message":
		return packet.Pass, nil
	case p.Kind == packet.Session:
		s.presence(ctx, p)
		return packet.Pass, nil
	case disco.AsksInfo(p):
		disco.AddFeature(p, ns.VCard, vcard.NS4)
		return packet.Pass, nil
	case !request.Is(p):
		return packet.Pass, nil
	}
	el, ok := xml.First(p.Body, ns.Client)
	if !ok || !vcard.IsTemp(&el) && !vcard.Is4(&el) {
		return packet.Pass, nil
	}
	var body []byte
	err := s.refuse(p, &el)
	switch {
	case err != nil:
	case p.Type == "set":
		err = s.set(ctx, p.To, &el)
	case packet.Local(p.To) == "":
		body = inForm(s.host, vcard.Is4(&el))
	default:
		if body, err = s.get(ctx, p.To, vcard.Is4(&el)); err == nil && body == nil {
			err = noCard(p)
		}
	}
	if err != nil {
		return packet.Pass, err
	}
	return packet.Claim, s.env.Deliver(ctx, request.Result(p, body))
}

// refuse says what is wrong with a request, whatever is stored.
func (s *service) refuse(p *packet.Packet, el *xml.Element) error {
	switch {
	case p.Type == "get" && packet.Local(p.To) == "" && s.host == nil:
		return packet.Refuse("service-unavailable", "")
	case p.Type == "set" && (!request.IsOwn(p) || packet.Local(p.To) == ""):
		return packet.Refuse("forbidden", "")
	case p.Type == "set" && len(el.Outer()) > int(s.args.Size):
		return packet.Refuse("resource-constraint", fmt.Sprintf("a card is at most %d bytes long", s.args.Size))
	}
	return nil
}

// inForm returns a vcard-temp in the form that was asked for.
func inForm(card []byte, four bool) []byte {
	if !four {
		return card
	}
	el, ok := xml.First(card, ns.VCard)
	if !ok {
		return xml.AppendEmpty(nil, "vcard", vcard.NS4)
	}
	return vcard.To4(nil, &el)
}

// get returns a card, nil if there is none.
func (s *service) get(ctx context.Context, owner string, four bool) ([]byte, error) {
	items, err := s.store.GetAll(ctx, owner, storage, tempKey, fourKey)
	if err != nil {
		return nil, err
	}
	var temp []byte
	for _, it := range items {
		switch {
		case four && it.Key == fourKey:
			return it.Value, nil
		case it.Key == tempKey:
			temp = it.Value
		}
	}
	if temp == nil {
		return nil, nil
	}
	return inForm(temp, four), nil
}

// noCard is what is told of an account without a card: to others it is as if it
// did not exist.
func noCard(p *packet.Packet) *packet.Reject {
	if request.IsOwn(p) {
		return packet.Refuse("item-not-found", "")
	}
	return packet.Refuse("service-unavailable", "")
}

// set keeps a card, in both forms if it is in the new one.
func (s *service) set(ctx context.Context, owner string, el *xml.Element) error {
	four := xdb.Change{Op: xdb.Delete, NS: storage, Key: fourKey}
	temp := xdb.Change{Op: xdb.Put, NS: storage, Key: tempKey, Value: el.Append(nil)}
	if vcard.Is4(el) {
		four.Op, four.Value = xdb.Put, temp.Value
		temp.Value = vcard.ToTemp(nil, el)
	}
	card, _ := xml.First(temp.Value, ns.VCard)
	photo := xdb.Change{Op: xdb.Put, NS: storage, Key: photoKey, Value: []byte(vcard.PhotoHash(&card))}
	if err := s.store.Batch(ctx, owner, []xdb.Change{temp, four, photo}); err != nil {
		return err
	}
	s.photos.set(owner, string(photo.Value))
	return nil
}

// Explain says what Handle would do.
func (s *service) Explain(ctx context.Context, p *packet.Packet) (packet.Verdict, string) {
	if s.completes(p) {
		return packet.Pass, "adds which picture " + packet.Bare(p.From) + " has, if any"
	}
	if disco.AsksInfo(p) {
		disco.AddFeature(p, ns.VCard, vcard.NS4)
		return packet.Pass, "adds to what " + p.To + " offers"
	}
	el, ok := xml.First(p.Body, ns.Client)
	switch {
	case !request.Is(p) || !ok || !vcard.IsTemp(&el) && !vcard.Is4(&el):
		return packet.Pass, "it is not about a card"
	case s.refuse(p, &el) != nil:
		return packet.Refuses, s.refuse(p, &el).Error()
	case p.Type == "set":
		return packet.Claim, "keeps the card of " + p.To
	case packet.Local(p.To) == "":
		return packet.Claim, "answers with the card of " + p.To
	}
	return s.explainGet(ctx, p, &el)
}

// explainGet says what comes of a request for a card.
func (s *service) explainGet(ctx context.Context, p *packet.Packet, el *xml.Element) (packet.Verdict, string) {
	card, err := s.get(ctx, p.To, vcard.Is4(el))
	switch {
	case err != nil:
		return packet.Claim, "answers with the card of " + p.To + ", if it has one, which storage does not say: " + err.Error()
	case card == nil:
		return packet.Refuses, p.To + " has no card, which its sender is told: " + noCard(p).Condition
	}
	return packet.Claim, "answers with the card of " + p.To
}
