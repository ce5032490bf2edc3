package sasl

import (
	"encoding/base64"
	"slices"
	"strings"
)

// offerHash is the hash of what a server has offered (XEP-0474). SCRAM carries it as
// h= in the server's first message, so that the proofs of both sides cover it: whoever
// takes a mechanism or a channel binding out of the offer on its way is found out. No
// announced types of channel binding (XEP-0440) is not the same as none at all.
func offerHash(h Hash, mechanisms, announced []string) string {
	text := joinSorted(mechanisms)
	if announced != nil {
		text += "\x1f" + joinSorted(announced)
	}
	return base64.StdEncoding.EncodeToString(h.sum([]byte(text)))
}

func joinSorted(names []string) string {
	return strings.Join(slices.Sorted(slices.Values(names)), "\x1e")
}

// offerHashOf finds h= among the extensions of a server's first message, "" if it is
// not there.
func offerHashOf(extensions string) string {
	for part := range strings.SplitSeq(extensions, ",") {
		if value, ok := strings.CutPrefix(part, "h="); ok {
			return value
		}
	}
	return ""
}
