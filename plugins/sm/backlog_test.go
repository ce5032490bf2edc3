package sm_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/jabberd/packet"
)

// The bytes of an account's offline messages are limited, whether or not sm has
// been told how many they are by the same process; who sends more is told, and
// what leaves storage makes room.
func TestOfflineBytesAreLimited(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for _, dies := range []bool{false, true} {
		bubble(t, fmt.Sprintf("dies %v", dies), func(t *testing.T) {
			w := newWorld(t, `{"offline":{"size":"8KiB"}}`, "ann@localhost")
			send := func(i int, text string) packet.Result {
				return w.incoming(`<message id='%d' from='bob@elsewhere/x' to='ann@localhost'><body>%d%s</body></message>`, i, i, text)
			}
			for i := 1; i <= 3; i++ {
				if result := send(i, long); result != packet.Claimed {
					t.Fatalf("message %d: %v", i, result)
				}
				if dies {
					w.kill()
				}
			}
			w.elsewhere()
			if result := send(4, long); result != packet.Refused {
				t.Errorf("a fourth: %v", result)
			}
			expect(t, "its sender", w.elsewhere(), "message:error ann@localhost>bob@elsewhere/x service-unavailable")
			if result := send(5, ""); result != packet.Claimed {
				t.Errorf("a short one: %v", result)
			}
			if dies {
				w.kill()
			}
			ann := w.available("ann@localhost/phone", 0)
			synctest.Wait()
			ann.take()
			expect(t, "left in storage", w.keptFor("ann@localhost"))
			ann.close()
			if dies {
				w.kill()
			}
			for i := 6; i <= 8; i++ {
				if result := send(i, long); result != packet.Claimed {
					t.Errorf("message %d, where there is room again: %v", i, result)
				}
			}
			if result := send(9, long); result != packet.Refused {
				t.Errorf("one too many again: %v", result)
			}
		})
	}
}

// A message that is larger than all that may be kept is refused; others are not.
func TestOfflineMessageThatIsTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"offline":{"size":"1KiB"}}`, "ann@localhost")
		if result := w.incoming(`<message from='bob@elsewhere/x' to='ann@localhost'><body>%s</body></message>`, strings.Repeat("x", 2000)); result != packet.Refused {
			t.Errorf("a large one: %v", result)
		}
		if result := w.incoming(`<message from='bob@elsewhere/x' to='ann@localhost'><body>x</body></message>`); result != packet.Claimed {
			t.Errorf("a small one: %v", result)
		}
	})
}

// Messages that were stored before there was a limit count as nothing.
func TestOfflineMessagesOfBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{"offline":{"size":"4KiB"}}`, "ann@localhost")
		old := fmt.Sprintf("<message xmlns='jabber:client' from='bob@elsewhere' to='ann@localhost'><body>%s</body></message>", strings.Repeat("x", 5000))
		if _, err := w.store.Append(context.Background(), "ann@localhost", "offline", "bob@elsewhere", []byte(old)); err != nil {
			t.Fatal(err)
		}
		for i, want := range []packet.Result{packet.Claimed, packet.Refused} {
			if result := w.incoming(`<message id='%d' from='bob@elsewhere/x' to='ann@localhost'><body>%s</body></message>`, i, strings.Repeat("x", 2000)); result != want {
				t.Errorf("message %d: %v, want %v", i, result, want)
			}
		}
	})
}
