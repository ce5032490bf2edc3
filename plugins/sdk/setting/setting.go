// Package setting reads the running configuration.
//
// The server answers for it as storage does: namespace [NS] of the owner
// packet.ServerHost has an item for each block at the top of the configuration,
// engine, plugin/NAME, process/NAME and section/ID, whose value is a
// [module.Setting] in JSON (XEP-0335). It is as it holds, with variables, env()
// and file() worked out and secrets masked. Any module may ask, with the xdb of
// its environment or with Read; nothing in the configuration has to provide for
// it, and nothing in it can take the place. It is read only.
package setting

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// NS is the namespace of the server's own storage that settings are in.
const NS = "config"

// nsJSON is the namespace of a container of JSON (XEP-0335).
const nsJSON = "urn:xmpp:json:0"

// Read returns all settings, in their order.
func Read(ctx context.Context, store *xdb.Store) ([]module.Setting, error) {
	var list []module.Setting
	for q := (xdb.Query{}); ; {
		page, err := store.Query(ctx, packet.ServerHost, NS, q)
		if err != nil {
			return nil, err
		}
		for i := range page.Items {
			s, err := decode(&page.Items[i])
			if err != nil {
				return nil, err
			}
			list = append(list, s)
			q.After = s.Key
		}
		if !page.More || len(page.Items) == 0 {
			slices.SortFunc(list, func(a, b module.Setting) int { return cmp.Compare(a.Order, b.Order) })
			return list, nil
		}
	}
}

// Get returns one setting, and whether there is one of the key.
func Get(ctx context.Context, store *xdb.Store, key string) (s module.Setting, found bool, err error) {
	it, found, err := store.Get(ctx, packet.ServerHost, NS, key)
	if err != nil || !found {
		return s, false, err
	}
	s, err = decode(&it)
	return s, err == nil, err
}

func decode(it *xdb.Item) (s module.Setting, err error) {
	el, ok := xml.First(it.Value, "")
	if !ok || !el.Is("json", nsJSON) {
		return s, fmt.Errorf("setting %s has no JSON", it.Key)
	}
	if err := json.Unmarshal([]byte(el.Text()), &s); err != nil {
		return s, fmt.Errorf("setting %s: %w", it.Key, err)
	}
	s.Key = it.Key
	return s, nil
}

func encode(s module.Setting) ([]byte, error) {
	text, err := json.Marshal(s)
	return xml.AppendElement(nil, "json", nsJSON, text), err
}
