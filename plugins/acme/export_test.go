package acme

import (
	"github.com/caddyserver/certmagic"

	"github.com/jabberii/server/plugins/sdk/xdb"
)

// NewStorage is what certmagic keeps things in.
func NewStorage(store *xdb.Store, owner string) certmagic.Storage { return newStorage(store, owner) }
