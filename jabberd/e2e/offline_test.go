package e2e_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// TestOfflineMessagesOutliveDeath has processes killed (kill -9) while messages
// to somebody who is away are stored, and while they are delivered: each comes
// once and in order.
func TestOfflineMessagesOutliveDeath(t *testing.T) {
	const away, live = 800, 200 // sent while the receiver is away, and when it has come
	storing := map[int]string{200: "sm", 400: "xdb", 600: "core"}
	reading := map[int]string{100: "sm", 300: "xdb", 500: "edge", 700: "sm"}

	r := start(t, "conf/edge.hcl", nil)
	x := r.pairs(1)
	from, to := x.links[0].from, x.links[0].to
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	go x.drain(ctx, x.links[0])
	for i := 1; i <= away; i++ {
		x.say(ctx, x.links[0], i)
		if victim := storing[i]; victim != "" {
			r.kill(victim)
		}
	}
	if err := from.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	to = x.login(to.Local().Bare().String())
	go func() {
		for i := away + 1; i <= away+live; i++ {
			x.say(ctx, x.links[0], i)
		}
	}()
	var got []int
	for len(got) < away+live {
		m, err := to.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			t.Fatalf("%d have come, the last is %v\n%s", len(got), got[max(0, len(got)-1):], x.complaints())
		case err != nil:
			x.resume(ctx, to, err)
			continue
		case m.Name != stanza.Message:
			continue
		}
		body, _ := xml.Find(m.Body, "jabber:client", "body", "jabber:client")
		n, _ := strconv.Atoi(body.Text())
		if got = append(got, n); n != len(got) {
			t.Fatalf("%d comes as number %d, after %v", n, len(got), got[max(0, len(got)-5):])
		}
		if victim := reading[len(got)]; victim != "" {
			r.kill(victim)
		}
	}
	t.Logf("figure: conf/edge.hcl, 7 kills -9, %d messages to somebody who is away and %d to who comes: none lost, repeated or out of order", away, live)
}

// say sends a numbered message to the account of a link's receiver.
func (x *traffic) say(ctx context.Context, l *link, n int) {
	text := strconv.Itoa(n)
	m := stanza.Stanza{Name: stanza.Message, Type: "chat", ID: text, To: l.to.Local().Bare(), Body: []byte("<body>" + text + "</body>")}
	for l.from.Send(ctx, m) != nil && ctx.Err() == nil {
		select {
		case <-l.again: // drain has taken the session up again
		case <-ctx.Done():
		}
	}
}
