package badger

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// Keys of the database. Parts end with a NUL, which is in no name. The owner is
// its domain and then the rest, so that the owners of a domain are together.
//
//	i DOMAIN 0 REST 0 NS 0 KEY         an item: its revision, with and value
//	w DOMAIN 0 REST 0 NS 0 WITH 0 KEY  finds the items about a bare address; holds the rest of the address
//	d DOMAIN 0 REST 0 NS 0 BEFORE      a drop that has not come to its end
//	c                                  written with each commit, so that the last commit's number is never lost
const (
	itemKey  = 'i'
	withKey  = 'w'
	dropKey  = 'd'
	clockKey = "c"
)

// end is greater than what follows any prefix, since names are UTF-8.
const end = "\xff"

// domainPrefix begins the keys of a domain's owners.
func domainPrefix(kind byte, domain string) []byte {
	b := make([]byte, 0, 256)
	b = append(b, kind)
	b = append(b, domain...)
	return append(b, 0)
}

func ownerPrefix(kind byte, owner string) []byte {
	domain := packet.Domain(owner)
	b := domainPrefix(kind, domain)
	local := len(packet.Bare(owner)) - len(domain)
	b = append(b, owner[:local]...)
	b = append(b, owner[local+len(domain):]...)
	return append(b, 0)
}

// ownerOf undoes ownerPrefix.
func ownerOf(domain, rest string) string {
	bare := packet.Bare(rest)
	return bare[:strings.IndexByte(bare, '@')+1] + domain + rest[len(bare):]
}

func spacePrefix(kind byte, owner, ns string) []byte {
	b := append(ownerPrefix(kind, owner), ns...)
	return append(b, 0)
}

// withPrefix begins the keys that find the items about a bare address.
func withPrefix(owner, ns, bare string) []byte {
	b := append(spacePrefix(withKey, owner, ns), bare...)
	return append(b, 0)
}

// cut returns the part of a key after a prefix, and what is after the part.
func cut(key []byte, prefix int) (part, rest string) {
	part, rest, _ = strings.Cut(string(key[prefix:]), "\x00")
	return part, rest
}

// The value of an item: 8 bytes revision, the length of with, with, value.
func appendItem(dst []byte, it *xdb.Item) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(it.Rev))
	dst = binary.AppendUvarint(dst, uint64(len(it.With)))
	dst = append(dst, it.With...)
	return append(dst, it.Value...)
}

var errDamaged = errors.New("an item of the database is damaged")

// readItem reads what appendItem wrote. The item's value is a part of b.
func readItem(key string, b []byte) (xdb.Item, error) {
	if len(b) < 9 {
		return xdb.Item{}, errDamaged
	}
	it := xdb.Item{Key: key, Rev: xdb.Rev(binary.BigEndian.Uint64(b))}
	length, n := binary.Uvarint(b[8:])
	b = b[8:]
	if n <= 0 || uint64(len(b)-n) < length {
		return xdb.Item{}, errDamaged
	}
	it.With = string(b[n : n+int(length)])
	it.Value = b[n+int(length):]
	return it, nil
}
