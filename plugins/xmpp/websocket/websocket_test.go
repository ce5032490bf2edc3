package websocket_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gobwas/ws"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/stream"
	"github.com/jabberii/server/plugins/xmpp/websocket"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// frame makes a frame as a client sends it.
func frame(op ws.OpCode, fin bool, payload string) string {
	f := ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload)))
	var b bytes.Buffer
	ws.WriteFrame(&b, f)
	return b.String()
}

func text(payload string) string { return frame(ws.OpText, true, payload) }

const (
	openFrame  = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='example.org' version='1.0' xml:lang='de'/>"
	closeFrame = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"
	message    = "<message xmlns='jabber:client' to='bob@example.org'><body>hello</body></message>"
)

// told is what a reader has found in what a client says, and what it answers.
func told(in io.Reader, limits xml.Limits) string {
	var out strings.Builder
	r := websocket.NewReader(in, nil, limits, func(frame []byte) {
		h, _ := ws.ReadHeader(bytes.NewReader(frame))
		payload := frame[ws.HeaderSize(h):]
		name := map[ws.OpCode]string{ws.OpPong: "pong ", ws.OpClose: "close "}[h.OpCode]
		if h.OpCode == ws.OpClose && len(payload) >= 2 {
			name += string(rune('0'+binary.BigEndian.Uint16(payload)%1000)) + " "
			payload = payload[2:]
		}
		out.WriteString("{" + name + string(payload) + "}")
	})
	for {
		t, err := r.Next()
		var refused *stream.Error
		var syntax *xml.SyntaxError
		switch {
		case err == io.EOF:
			return out.String() + "EOF"
		case errors.As(err, &refused):
			return out.String() + string(refused.Condition)
		case errors.As(err, &syntax):
			return out.String() + string(stream.ErrorOf(err).Condition)
		case err != nil:
			return out.String() + err.Error()
		}
		out.WriteString("[" + t.Kind.String() + " " + t.Name + " " + t.Lang + " " + string(t.Body) + "]")
		r.Rest()
	}
}

func TestReader(t *testing.T) {
	long := "<body>" + strings.Repeat("x", 70000) + "</body>"
	for name, c := range map[string]struct{ in, want string }{
		"a stream":                  {text(openFrame) + text(message) + text(closeFrame), "[open open de ][child message de <body>hello</body>][close close de ]EOF"},
		"fragments":                 {frame(ws.OpText, false, message[:20]) + frame(ws.OpPing, true, "p") + frame(ws.OpContinuation, false, "") + frame(ws.OpContinuation, true, message[20:]) + text(message), "{pong p}[child message  <body>hello</body>][child message  <body>hello</body>]EOF"},
		"a long one":                {text("<message>" + long + "</message>"), "[child message  " + long + "]EOF"},
		"a ping":                    {frame(ws.OpPing, true, "") + frame(ws.OpPong, true, "x"), "{pong }EOF"},
		"the end":                   {frame(ws.OpClose, true, "\x03\xe8bye") + text(message), "{close 0 }EOF"},
		"the end without a code":    {frame(ws.OpClose, true, ""), "{close }EOF"},
		"an end in a frame":         {text(message)[:30], "EOF"},
		"no mask":                   {string(ws.MustCompileFrame(ws.NewTextFrame([]byte(message)))), "{close 2 frames from client to server must be masked}bad-format"},
		"compressed":                {"\xc1" + text(message)[1:], "{close 2 non-zero rsv bits with no extension negotiated}bad-format"},
		"binary":                    {frame(ws.OpBinary, true, message), "{close 3 messages are text}bad-format"},
		"a continuation of nothing": {frame(ws.OpContinuation, true, message), "{close 2 unexpected continuation data frame}bad-format"},
		"a fragmented ping":         {frame(ws.OpPing, false, ""), "{close 2 control frame is not final}bad-format"},
		"an impossible length":      {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xffmask", "{close 2 header error: the most significant bit must be 0}bad-format"},
		"too long":                  {text("<message>" + strings.Repeat("x", 100000) + "</message>"), "policy-violation"},
		"too long in fragments":     {frame(ws.OpText, false, "<message>") + strings.Repeat(frame(ws.OpContinuation, false, strings.Repeat("x", 30000)), 4), "policy-violation"},
		"two in one":                {text(message + message), "not-well-formed"},
		"half of one":               {text(message[:30]), "not-well-formed"},
		"space in front":            {text(" " + message), "not-well-formed"},
		"nothing":                   {text(""), "not-well-formed"},
		"no UTF-8":                  {text("<message>\xff</message>"), "unsupported-encoding"},
		"a comment":                 {text("<message><!-- --></message>"), "restricted-xml"},
		"a declaration":             {text("<?xml version='1.0'?>" + message), "restricted-xml"},
		"another frame element":     {text("<reopen xmlns='" + ns.Framing + "'/>"), "bad-format"},
	} {
		t.Run(name, func(t *testing.T) {
			for how, in := range map[string]io.Reader{
				"whole": strings.NewReader(c.in), "in bytes": iotest.OneByteReader(strings.NewReader(c.in)),
			} {
				if got := told(in, xml.Limits{Bytes: 80000}); got != c.want {
					t.Errorf("%s: %.300s\nwant %.300s", how, got, c.want)
				}
			}
		})
	}
}

// A time-out of the source changes nothing, wherever it is.
func TestReaderGoesOn(t *testing.T) {
	in := text(message) + text(message)
	for at := range len(in) {
		src := io.MultiReader(strings.NewReader(in[:at]), &oneError{}, strings.NewReader(in[at:]))
		r := websocket.NewReader(src, nil, xml.Limits{}, func([]byte) {})
		n, timeouts := 0, 0
		for n < 2 {
			token, err := r.Next()
			switch {
			case errors.Is(err, os.ErrDeadlineExceeded):
				timeouts++
				r.Rest()
			case err != nil || token.Name != "message":
				t.Fatalf("at %d: %v", at, err)
			default:
				n++
			}
		}
		if timeouts != 1 {
			t.Fatalf("at %d: %d time-outs", at, timeouts)
		}
	}
}

// oneError times out once and is at its end then.
type oneError struct{ done bool }

func (e *oneError) Read([]byte) (int, error) {
	if e.done {
		return 0, io.EOF
	}
	e.done = true
	return 0, os.ErrDeadlineExceeded
}

func TestAppend(t *testing.T) {
	for _, size := range []int{0, 1, 125, 126, 127, 65535, 65536, 100000} {
		b := websocket.AppendMessage([]byte("before"), func(dst []byte) []byte { return append(dst, strings.Repeat("x", size)...) })
		b = websocket.AppendClose(websocket.AppendPing(b), ws.StatusNormalClosure, "bye")
		in := bytes.NewReader(b[len("before"):])
		var got []string
		for in.Len() > 0 {
			h, err := ws.ReadHeader(in)
			if err != nil || ws.CheckHeader(h, ws.StateClientSide) != nil {
				t.Fatalf("%d: %+v, %v", size, h, err)
			}
			payload := make([]byte, h.Length)
			io.ReadFull(in, payload)
			got = append(got, string(payload))
		}
		if len(got) != 3 || got[0] != strings.Repeat("x", size) || got[1] != "" || got[2] != "\x03\xe8bye" {
			t.Errorf("%d: %.200q", size, got)
		}
	}
}

// serve answers on WebSocket with what it is told, element by element.
func serve(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, early, err := websocket.Accept(w, r)
		if err != nil {
			return
		}
		defer conn.Close()
		in := websocket.NewReader(conn, early, xml.Limits{}, func(b []byte) { conn.Write(b) })
		for {
			token, err := in.Next()
			if err != nil {
				return
			}
			element := "<message xmlns='jabber:client' id='" + string(token.ID) + "'>" + string(token.Body) + "</message>"
			switch token.Kind {
			case xml.Open:
				element = strings.Replace(openFrame, "to=", "from=", 1)
			case xml.Close:
				element = closeFrame
			}
			conn.Write(websocket.AppendMessage(nil, func(dst []byte) []byte { return append(dst, element...) }))
			conn.Write(websocket.AppendPing(nil)) // is answered, or the connection ends
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestDial(t *testing.T) {
	s := serve(t)
	conn, err := websocket.Dial(context.Background(), "ws"+strings.TrimPrefix(s.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := xml.NewReader(conn, xml.Limits{})
	for range 2 { // a stream begins again on the same connection
		in.Reset(conn)
		io.WriteString(conn, "<?xml version='1.0'?><stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='"+ns.Stream+"'>")
		if token, err := in.Next(); err != nil || token.Kind != xml.Open || string(token.From) != "example.org" {
			t.Fatalf("%+v, %v", token, err)
		}
		for _, part := range []string{"<message id='1", "'><body>a</body></message><message id='2'><x:y xmlns:x='urn:x'/></message>"} {
			if _, err := io.WriteString(conn, part); err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"<body>a</body>", "<x:y xmlns:x='urn:x'/>"} {
			if token, err := in.Next(); err != nil || token.NS != ns.Client || string(token.Body) != want {
				t.Fatalf("%+v, %v", token, err)
			}
		}
	}
	io.WriteString(conn, stream.Close)
	if token, err := in.Next(); err != nil || token.Kind != xml.Close {
		t.Fatalf("%+v, %v", token, err)
	}
}

func TestAcceptRefuses(t *testing.T) {
	s := serve(t)
	for name, header := range map[string]http.Header{
		"no WebSocket":         {},
		"another subprotocol":  {"Sec-Websocket-Protocol": {"chat, xmpp2"}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Version": {"13"}},
		"an upgrade to others": {"Sec-Websocket-Protocol": {"xmpp"}, "Upgrade": {"h2c"}, "Connection": {"Upgrade"}},
		"an old version":       {"Sec-Websocket-Protocol": {"xmpp"}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Version": {"8"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := http.NewRequest(http.MethodGet, s.URL, nil)
			r.Header = header
			answer, err := s.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode < 400 || answer.StatusCode > 499 {
				t.Errorf("status %d", answer.StatusCode)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(text(openFrame) + text(message) + frame(ws.OpPing, true, "p") + text(closeFrame)))
	f.Add([]byte(frame(ws.OpText, false, message[:20]) + frame(ws.OpContinuation, true, message[20:])))
	f.Add([]byte(frame(ws.OpClose, true, "\x03\xe8")))
	f.Fuzz(func(t *testing.T, in []byte) {
		limits := xml.Limits{Bytes: 1000}
		whole := told(bytes.NewReader(bytes.Clone(in)), limits)
		if pieces := told(iotest.OneByteReader(bytes.NewReader(in)), limits); pieces != whole {
			t.Errorf("%q in one piece, %q in bytes", whole, pieces)
		}
	})
}
