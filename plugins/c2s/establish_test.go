package c2s

import (
	"testing"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/xmpp/ns"
)

// The end of a stream that comes behind the answer which a login waits for is for the
// client, however far the login has come with that answer.
func TestOneAnswerForALogin(t *testing.T) {
	for _, taken := range []bool{false, true} {
		answers := make(chan packet.Packet, 1)
		c := &conn{answers: answers}
		if !c.answer(&packet.Packet{Name: "resumed", NS: ns.StreamManagement, To: "ann@example.org/x"}) {
			t.Fatal("the answer is not taken")
		}
		if taken {
			<-answers
		}
		if c.answer(&packet.Packet{Name: "end", Type: "conflict"}) {
			t.Errorf("the end is taken for an answer (taken %v)", taken)
		}
	}
}
