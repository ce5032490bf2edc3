package file

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
)

const suffix = ".xml"

// longest is how long the name of a file or folder may become: less than all
// file systems allow, with room for what is appended to it.
const longest = 200

// escaped makes a name that is safe in all file systems, also in those that
// don't tell upper from lower case: what is not one of a-z 0-9 - _ = + @, or a dot
// within, is %XX. Nothing is %. What gets too long is cut, and has %~ and a
// hash of the whole at its end; the name itself is in the file.
func escaped(name string) string {
	if name == "" {
		return "%"
	}
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', strings.IndexByte("-_=+@", c) >= 0,
			c == '.' && i > 0 && i < len(name)-1:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	s := b.String()
	if len(s) <= longest {
		return s
	}
	cut := longest - len(hashed) - 32
	if i := strings.LastIndexByte(s[:cut], '%'); i > cut-3 {
		cut = i
	}
	sum := sha256.Sum256([]byte(name))
	return s[:cut] + hashed + hex.EncodeToString(sum[:16])
}

const hashed = "%~"

// unescaped undoes escaped, but of a hash.
func unescaped(s string) (name string, ok bool) {
	if s == "%" {
		return "", true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		c, err := hex.DecodeString(s[i+1 : i+3])
		if err != nil {
			return "", false
		}
		b = append(b, c...)
		i += 2
	}
	return string(b), true
}

// rest is an owner without its domain: ann, ann/home, /home or nothing.
func rest(owner string) string {
	return packet.Local(owner) + owner[len(packet.Bare(owner)):]
}

// ownerOf undoes rest.
func ownerOf(domain, rest string) string {
	local := packet.Bare(rest)
	if local != "" {
		domain = local + "@" + domain
	}
	return domain + rest[len(local):]
}

// shardOf is the folder between the domain and the owner, so that none gets
// more than a part of the owners.
func shardOf(rest string) string {
	h := fnv.New32a()
	h.Write([]byte(rest))
	return fmt.Sprintf("%02x", h.Sum32()&0xff)
}

func (s *Store) domainDir(domain string) string { return filepath.Join(s.dir, escaped(domain)) }

func (s *Store) ownerDir(owner string) string {
	r := rest(owner)
	return filepath.Join(s.domainDir(packet.Domain(owner)), shardOf(r), escaped(r))
}

func (s *Store) path(owner, ns string) string {
	return filepath.Join(s.ownerDir(owner), escaped(ns)+suffix)
}
