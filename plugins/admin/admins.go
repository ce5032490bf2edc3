package admin

import (
	"context"
	"fmt"
	"slices"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/form"
)

// The admins of a host are those whom the file names, and those whom these have named:
// an item for each, by address, in namespace "admins" of the host's storage.
const adminsNS = "admins"

// maxNamed is how many may be named for one host.
const maxNamed = 100

// isChief reports whether p comes from somebody whom the file names.
func (s *service) isChief(p *packet.Packet) bool {
	return slices.Contains(s.admins, packet.Bare(p.From))
}

// isAdmin reports whether p comes from an admin of the host that it is to.
func (s *service) isAdmin(ctx context.Context, p *packet.Packet) (bool, error) {
	if s.isChief(p) {
		return true, nil
	}
	if packet.Local(p.From) == "" {
		return false, nil
	}
	named, err := s.named.get(ctx, p.To, s.readNamed)
	return slices.Contains(named, packet.Bare(p.From)), err
}

// mayOrder refuses a command to who may not have it done.
func (s *service) mayOrder(ctx context.Context, p *packet.Packet, o *order) error {
	admin, err := s.isAdmin(ctx, p)
	switch {
	case err != nil:
		return err
	case !admin:
		return packet.Refuse("forbidden", "this is for admins")
	case o.chief && !s.isChief(p):
		return packet.Refuse("forbidden", "this is for those admins whom the configuration names")
	}
	return nil
}

func (s *service) readNamed(ctx context.Context, host string) (named []string, err error) {
	items, err := s.store.GetAll(ctx, host, adminsNS)
	for _, it := range items {
		named = append(named, it.Key)
	}
	slices.Sort(named)
	return named, err
}

// administration are the commands about admins.
func (s *service) administration() []*order {
	return []*order{{"edit-admin", "Change who are admins", true, func(ctx context.Context, c call) (*form.Form, error) {
		named, err := s.readNamed(ctx, c.host)
		return &form.Form{
			Type: form.Ask, Title: "The admins of " + c.host, FormType: formType,
			Instructions: "Those whom the configuration names stay; only they may change this, and restart or shut down the server.",
			Fields:       []form.Field{{Var: "adminjids", Type: form.JIDMulti, Label: "The admins", Values: slices.Concat(s.admins, named)}},
		}, err
	}, s.editAdmins}}
}

// editAdmins has those of a form be the admins, beside those whom the file names.
func (s *service) editAdmins(ctx context.Context, c call, f *form.Form) (outcome, error) {
	wanted := f.Values("adminjids")
	for _, jid := range wanted {
		if packet.Local(jid) == "" || packet.Resource(jid) != "" {
			return outcome{}, refusal(jid + " is no account")
		}
	}
	wanted = slices.DeleteFunc(slices.Clone(wanted), func(jid string) bool { return slices.Contains(s.admins, jid) })
	slices.Sort(wanted)
	if wanted = slices.Compact(wanted); len(wanted) > maxNamed {
		return outcome{}, refusal(fmt.Sprintf("there can be no more than %d", maxNamed))
	}
	old, err := s.readNamed(ctx, c.host)
	if err != nil {
		return outcome{}, err
	}
	var changes []xdb.Change
	for _, jid := range wanted {
		if !slices.Contains(old, jid) {
			changes = append(changes, xdb.Change{Op: xdb.Put, NS: adminsNS, Key: jid})
		}
	}
	for _, jid := range old {
		if !slices.Contains(wanted, jid) {
			changes = append(changes, xdb.Change{Op: xdb.Delete, NS: adminsNS, Key: jid})
		}
	}
	if len(changes) > 0 {
		err = s.store.Batch(ctx, c.host, changes)
		s.named.forget(c.host)
	}
	return done(fmt.Sprintf("%s has %d admins", c.host, len(s.admins)+len(wanted))), err
}
