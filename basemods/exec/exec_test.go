package exec_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jabberii/server/basemods/exec"
	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/sdktest"
)

// plan has a program for bot.example.org, and sinks behind it in its chain and
// for example.org.
func plan(t *testing.T, args map[string]any) sdktest.Plan {
	t.Helper()
	raw, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return sdktest.Plan{
		Modules: []module.Module{exec.Module},
		Sections: []module.Section{
			sdktest.Section("bot", packet.Normal, sdktest.Host("bot.example.org"), sdktest.Block("exec", string(raw)), sdktest.Sink()),
			sdktest.Sinks("example.org", packet.Normal),
		},
	}
}

func script(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func bot(t *testing.T, more ...any) map[string]any {
	return with(map[string]any{"command": []string{"python3", "-u", script(t, "bot.py")}, "form": "json"}, more)
}

func echo(t *testing.T, more ...any) map[string]any {
	return with(map[string]any{"command": []string{"sh", script(t, "echo.sh")}}, more)
}

func with(args map[string]any, more []any) map[string]any {
	for i := 0; i+1 < len(more); i += 2 {
		args[more[i].(string)] = more[i+1]
	}
	return args
}

func message(body string) *packet.Packet {
	return &packet.Packet{Kind: packet.Normal, To: "bot.example.org", From: "ann@example.org", Name: "message", Body: []byte(body)}
}

// soon starts a program again at once.
var soon = map[string]string{"after": "1ms"}

func TestXML(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, plan(t, echo(t, "restart", soon)), func(t *testing.T, h *sdktest.Harness) {
		if e := h.Logged("begins"); e.Type != "info" || !strings.Contains(e.Attrs, " program='sh'") {
			t.Errorf("logged %+v", e)
		}
		for n := range 10 {
			body := fmt.Sprintf("<body>it's &lt; %d</body>", n)
			if o := h.Deliver(message(body)); o.Result != packet.Claimed {
				t.Fatalf("ended %+v", o)
			}
			if p := h.Next(); string(p.Body) != body || p.To != "ann@example.org" || p.From != "bot.example.org" {
				t.Fatalf("echoed %+v %s", p, p.Body)
			}
		}
		h.Deliver(message("<a\nb='\n&lt;>'>1\n2<![CDATA[3\n<]]>\n</a\n>"))
		if p := h.Next(); string(p.Body) != "<a b=' &lt;>'>1&#10;2<![CDATA[3]]>&#10;<![CDATA[<]]>&#10;</a >" {
			t.Errorf("echoed %s", p.Body)
		}
		h.Deliver(message("<forge/>"))
		if e := h.Logged("refused"); !strings.Contains(e.Attrs, "its from is of no host") {
			t.Errorf("logged %+v", e)
		}
		r := h.Explain(message("x"))
		if s := r.Sections[0].Steps[0]; s.Verdict != "claim" || !strings.Contains(s.Why, "writes it to sh (process ") {
			t.Errorf("explained as %+v", r)
		}

		h.Deliver(message("<die/>"))
		if e := h.Logged("started again"); !strings.Contains(e.Attrs, "signal: killed") || e.Type != "warn" {
			t.Errorf("logged %+v", e)
		}
		h.Deliver(message("<broken/>"))
		if e := h.Logged("started again"); !strings.Contains(e.Attrs, "what it prints is no XML") {
			t.Errorf("logged %+v", e)
		}
		h.Logged("begins")
		h.Deliver(message("<y/>"))
		if p := h.Next(); string(p.Body) != "<y/>" {
			t.Errorf("echoed %+v %s", p, p.Body)
		}
	})
}

func TestWhatAProgramPrintsIsInOrderAndComplete(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, plan(t, echo(t, "backlog", 10, "window", 4)), func(t *testing.T, h *sdktest.Harness) {
		h.Deliver(message("<many/>"))
		for n := range 3000 {
			if p := h.Next(); string(p.Body) != fmt.Sprintf("<n>%d</n>", n) {
				t.Fatalf("got %s, want %d", p.Body, n)
			}
		}
	})
}

func TestTheEndOfAProgram(t *testing.T) {
	t.Parallel()
	h := sdktest.New(t, plan(t, echo(t)), false)
	h.Logged("begins")
	h.Deliver(message("<child/>"))
	child, err := strconv.Atoi(h.Next().ID)
	if err != nil {
		t.Fatal(err)
	}
	h.Restart()
	if err := syscall.Kill(child, 0); !errors.Is(err, syscall.ESRCH) && !zombie(child) {
		t.Errorf("what the program has started is still there: %v", err)
	}
}

// zombie reports whether a process has ended and nobody has asked how.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(b), ") Z ")
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, plan(t, bot(t, "env", map[string]string{"WORD": "words"}, "dir", ".", "limit", 2048, "restart", soon)), func(t *testing.T, h *sdktest.Harness) {
		if e := h.Logged("begins in "); !strings.HasSuffix(string(e.Body), " with words") || !strings.Contains(string(e.Body), h.Data) {
			t.Errorf("logged %s", e.Body)
		}
		for _, c := range []struct {
			word   string
			result packet.Result
			reason string
			logged string
		}{
			{"claim", packet.Claimed, "", ""},
			{"pass", packet.Claimed, "", ""}, // by the sink
			{"skip", packet.Refused, "service-unavailable", ""},
			{"reject", packet.Refused, "not-allowed: no", ""},
			{"maybe", packet.Refused, "internal-server-error", `the verdict "maybe"`},
			{"break", packet.Refused, "internal-server-error", "it is no XML element"},
			{"forge", packet.Refused, "internal-server-error", "its from is of no host"},
			{"garbage", packet.Claimed, "", "what makes no sense"},
		} {
			o := h.Deliver(message(c.word))
			if o.Result != c.result || c.reason != "" && (o.Reason == nil || o.Reason.Error() != c.reason) {
				t.Errorf("%s: ended %+v, %v", c.word, o, o.Reason)
			}
			if c.logged != "" {
				h.Logged(c.logged)
			}
		}
		h.Received()

		h.Deliver(message("change"))
		if p := h.Next(); string(p.Body) != "<x/>" || p.To != "other@example.org" || p.From != "ann@example.org" || p.Hops != 0 {
			t.Errorf("changed to %+v %s", p, p.Body)
		}
		h.Deliver(message("reply"))
		for n := range 3 {
			if p := h.Next(); string(p.Body) != fmt.Sprintf("<body>%d</body>", n) || p.To != "ann@example.org" || p.From != "bot.example.org" {
				t.Errorf("replied %+v %s", p, p.Body)
			}
		}
		if o := h.Deliver(message("long")); o.Result != packet.Refused {
			t.Errorf("ended %+v", o)
		}
		if e := h.Logged("started again"); !strings.Contains(e.Attrs, "the limit") {
			t.Errorf("logged %+v", e)
		}
	})
}

func TestDeaths(t *testing.T) {
	t.Parallel()
	sdktest.Both(t, plan(t, bot(t, "restart", soon)), func(t *testing.T, h *sdktest.Harness) {
		if o := h.Deliver(message("die once")); o.Result != packet.Claimed {
			t.Errorf("ended %+v, %v", o, o.Reason)
		}
		if p := h.Next(); string(p.Body) != "<body>again</body>" || p.Flags&packet.Redelivered != 0 {
			t.Errorf("got %+v %s", p, p.Body)
		}
		bad := h.Send(message("die"))
		good := []<-chan packet.Outcome{}
		for n := range 5 {
			p := message("claim")
			p.From = fmt.Sprintf("user%d@example.org", n)
			good = append(good, h.Send(p))
		}
		for _, g := range good {
			if o := <-g; o.Result != packet.Claimed {
				t.Errorf("one beside it ended %+v, %v", o, o.Reason)
			}
		}
		if o := <-bad; o.Result != packet.Refused || o.Reason.Condition != "internal-server-error" {
			t.Errorf("ended %+v, %v", o, o.Reason)
		}
		h.Logged("ended 3 times while it had this packet")
	})
}

func TestWhatAProgramSendsByItself(t *testing.T) {
	t.Parallel()
	p := plan(t, bot(t))
	p.Sections = append(p.Sections, sdktest.Section("store", packet.XDB, sdktest.Host("example.org"),
		sdktest.Block("exec", `{"command":["python3","-u","`+script(t, "bot.py")+`"],"form":"json"}`)))
	sdktest.Both(t, p, func(t *testing.T, h *sdktest.Harness) {
		h.Deliver(message("send"))
		if p := h.Next(); string(p.Body) != "<body>mine</body>" || p.From != "bot.example.org" {
			t.Errorf("sent %+v %s", p, p.Body)
		}
		said := map[string]bool{"forged was dropped not-allowed": true, "broken was dropped bad-request": true, "good was claimed": true, "bounced was refused service-unavailable": true}
		for len(said) > 0 {
			e := h.Logged(" was ")
			if !said[string(e.Body)] {
				t.Errorf("told: %s", e.Body)
			}
			delete(said, string(e.Body))
		}

		h.Deliver(message("ask"))
		answers := map[string]bool{"q is &lt;item key='urn:x'/&gt;": true, "r is service-unavailable": true}
		for range 2 {
			if e := h.Logged(" is "); !answers[string(e.Body)] {
				t.Errorf("told: %s", e.Body)
			}
		}

		h.Deliver(message("claim and flood")) // nobody waits for it meanwhile, so that none may be refused
		for n := range 5000 {
			if p := h.Next(); string(p.Body) != fmt.Sprintf("<n>%d</n>", n) {
				t.Fatalf("got %s, want %d", p.Body, n)
			}
		}
	})
}

func TestHanging(t *testing.T) {
	t.Parallel()
	plan := plan(t, bot(t, "restart", soon))
	plan.Sections[0].Timeout = 500 * time.Millisecond
	h := sdktest.New(t, plan, true)
	h.Logged("begins")
	if o := h.Deliver(message("ignore")); o.Result != packet.Refused || o.Reason.Condition != "remote-server-timeout" {
		t.Errorf("ended %+v, %v", o, o.Reason)
	}
	if o := h.Deliver(message("claim")); o.Result != packet.Claimed {
		t.Errorf("ended %+v, %v", o, o.Reason)
	}
}

func TestPings(t *testing.T) {
	t.Parallel()
	h := sdktest.New(t, plan(t, bot(t, "ping", "1s", "restart", soon)), false)
	h.Logged("begins")
	hung := h.Send(message("hang"))
	if e := h.Logged("started again"); !strings.Contains(e.Attrs, "nothing was heard of it for 1s") {
		t.Errorf("logged %+v", e)
	}
	if o := <-hung; o.Result != packet.Refused {
		t.Errorf("ended %+v", o)
	}
	if o := h.Deliver(message("claim")); o.Result != packet.Claimed {
		t.Errorf("ended %+v, %v", o, o.Reason)
	}
}

func TestGivenUp(t *testing.T) {
	t.Parallel()
	p := plan(t, map[string]any{"command": []string{"true"}, "restart": map[string]any{"after": "1ms", "times": 2}})
	h := sdktest.New(t, p, false)
	if e := h.Logged("is given up"); !strings.Contains(e.Attrs, "exit status 0") {
		t.Errorf("logged %+v", e)
	}
	if o := h.Deliver(message("x")); o.Result != packet.Refused || o.Reason.Condition != "service-unavailable" {
		t.Errorf("ended %+v, %v", o, o.Reason)
	}
	if r := h.Explain(message("x")); !strings.Contains(r.Sections[0].Steps[0].Why, "not running any more") {
		t.Errorf("explained as %+v", r)
	}
}

func BenchmarkHandle(b *testing.B) {
	for form, args := range map[string]map[string]any{
		"xml":  {"command": []string{"sh", "-c", "exec cat >/dev/null"}},
		"json": {"command": []string{"python3", "-u", "testdata/bot.py"}, "form": "json"},
	} {
		b.Run(form, func(b *testing.B) {
			raw, err := json.Marshal(args)
			if err != nil {
				b.Fatal(err)
			}
			h, err := exec.Module.New(env{kinds: module.On(packet.Normal)}, raw)
			if err != nil {
				b.Fatal(err)
			}
			if err := h.(module.Starter).Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			defer h.(io.Closer).Close()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if v, err := h.Handle(b.Context(), message("claim")); v != packet.Claim {
						b.Error(err)
					}
				}
			})
		})
	}
}
