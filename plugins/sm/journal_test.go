package sm_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sm"
)

// restart begins another life with a journal that the test has made.
func (w *world) restart(dir string) {
	w.t.Helper()
	w.env.end()
	w.start(dir)
	synctest.Wait()
}

// A journal of before copies and client states: ann's phone waits to be resumed, has shown its
// presence to a room and has one message to come; her desk has asked for the
// roster.
func TestJournalOfOlderBuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost", "bob@localhost")
		w.item("ann@localhost", "bob@elsewhere", "both")
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata/journal-1")); err != nil {
			t.Fatal(err)
		}
		w.connect("ann@localhost")
		desk := w.connect("ann@localhost/desk")
		w.restart(dir)
		if desk.far.IsZero() {
			t.Fatal("the session of the desk is gone")
		}
		phone := &client{w: w, full: "ann@localhost/phone", resumes: "AAAAAFGALHAmGgYnJL0C6SG5r2UOWoEt", h: 2, sent: 2, shown: map[string]string{}}
		phone.resume()
		expect(t, "what waited", phone.bodies, "unread")
		desk.send(rosterSet, "<item jid='carl@elsewhere'/>")
		if got := desk.got(); len(got) != 2 {
			t.Errorf("the desk is told of a change to the roster: %q", got)
		}
		phone.close()
		expect(t, "who saw the phone", sorted(w.elsewhere()),
			"presence:unavailable ann@localhost/phone>bob@elsewhere", "presence:unavailable ann@localhost/phone>room@elsewhere/ann")
	})
}

// What this build cannot read it refuses to start with, and says what to do.
func TestJournalOfNewerBuild(t *testing.T) {
	for name, record := range map[string][]byte{"a record": {200, 1, 2, 3}, "part of a state": sm.StateWith(200)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := sm.WriteRecords(context.Background(), filepath.Join(dir, "sm", "sm"), record); err != nil {
				t.Fatal(err)
			}
			h, err := sm.Module.New(&env{dir: dir}, []byte(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			err = h.(module.Starter).Start(context.Background())
			if err == nil || !strings.Contains(err.Error(), "move the folder away") {
				t.Errorf("it starts: %v", err)
			}
		})
	}
}

// Counts of stanzas go round at 2^32, in both directions (XEP-0198 section 4).
func TestCountsBeyond32Bits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, `{}`, "ann@localhost")
		dir := t.TempDir()
		token := packet.Token{Host: "localhost", Section: "sm", Incarnation: 1}
		const near = math.MaxUint32 - 1
		name, err := sm.WriteSession(t.Context(), filepath.Join(dir, "sm", "sm"), token, "ann@localhost/phone", sm.Counts{Received: near, Acked: near})
		if err != nil {
			t.Fatal(err)
		}
		w.restart(dir)
		ann := &client{w: w, full: "ann@localhost/phone", resumes: name, h: near, sent: near, shown: map[string]string{}}
		for round := range 2 {
			ann.resume()
			for range 3 {
				ann.say(`<message to='bob@elsewhere'/>`)
				w.incoming(`<message from='bob@elsewhere' to='ann@localhost/phone'/>`)
			}
			ann.read()
			ann.request()
			ann.read()
			if want := uint32((near + 3*(round+1)) & math.MaxUint32); ann.h != want || ann.sent != want || len(ann.unacked) > 0 || len(ann.ends) > 0 {
				t.Errorf("has %d, has sent %d, of which %d unacknowledged; want %d; ends %q", ann.h, ann.sent, len(ann.unacked), want, ann.ends)
			}
			ann.ack()
			expect(t, "ended", ann.ends)
			ann.lose()
			w.kill()
		}
	})
}
