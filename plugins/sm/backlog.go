package sm

import (
	"context"
	"strconv"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// A backlog is how much an account has in storage. Each message has with it the
// bytes of all that were put there before it and its own: those of all are known
// from the first and the last. What left storage between them counts until those
// before it have left too.
type backlog struct {
	count int    // messages
	begin uint64 // the sum before the first
	end   uint64 // and with the last
}

// unknown is the count of a backlog that has to be asked for.
const unknown = -1

func (b backlog) bytes() uint64 { return b.end - b.begin }

// with is the backlog with one message more, of so many bytes.
func (b backlog) with(size int) backlog {
	return backlog{b.count + 1, b.begin, b.end + uint64(size)}
}

// hasRoom reports whether a message of so many bytes may be added.
func (s *Service) hasRoom(b backlog, size int) bool {
	limits := &s.args().Offline
	return b.count < limits.Max && b.bytes()+uint64(size) <= uint64(limits.Size)
}

// backlogOf returns how much an account has in storage. What is known it does not
// ask, but before it says that there is no room for so many bytes.
func (s *Service) backlogOf(ctx context.Context, a *account, size int) (backlog, error) {
	a.mu.Lock()
	b, forgotten := a.stored, a.forgotten
	a.mu.Unlock()
	if b.count >= 0 && s.hasRoom(b, size) {
		return b, nil
	}
	b, err := s.askBacklog(ctx, a.jid)
	if err != nil {
		return b, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.forgotten == forgotten {
		a.stored = b
	}
	return b, nil
}

func (s *Service) askBacklog(ctx context.Context, owner string) (b backlog, err error) {
	last, err := s.store.Query(ctx, owner, offlineNS, xdb.Query{Reverse: true, Max: 1, Count: true})
	if err != nil || len(last.Items) == 0 {
		return b, err
	}
	s.sawKey(last.Items[0].Key)
	first := last
	if last.Count > 1 {
		if first, err = s.store.Query(ctx, owner, offlineNS, xdb.Query{Max: 1}); err != nil || len(first.Items) == 0 {
			return b, err // that it was empty a moment ago is for the next message to see
		}
	}
	b.count = last.Count
	_, b.end = sumOf(last.Items[0].Value)
	b.begin, _ = sumOf(first.Items[0].Value)
	b.begin = min(b.begin, b.end) // one that has no sum is from before there was a limit
	return b, nil
}

// appendSum adds to a message as it is stored how much there is with it.
func (b backlog) appendSum(value []byte) []byte {
	return xml.AppendEmpty(value, "backlog", originNS, "begin", strconv.FormatUint(b.end-uint64(len(value)), 10), "end", strconv.FormatUint(b.end, 10))
}

// sumOf returns the sums before a stored message and with it.
func sumOf(value []byte) (begin, end uint64) {
	el, ok := xml.Find(value, ns.Client, "backlog", originNS)
	if !ok {
		return 0, 0
	}
	begin, _ = strconv.ParseUint(el.Attr("begin"), 10, 64)
	end, _ = strconv.ParseUint(el.Attr("end"), 10, 64)
	return begin, end
}
