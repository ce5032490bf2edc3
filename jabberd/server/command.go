package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/tree"
	"github.com/jabberii/server/jabberd/wire"
)

// A Status is what a running server says of itself.
type Status struct {
	PID       int             `json:"pid"`
	Started   time.Time       `json:"started"`
	Data      string          `json:"data"`
	Processes []ProcessStatus `json:"processes"`
	Counts    []tree.Count    `json:"counts"` // of the core, by kind
	Dead      int             `json:"dead"`   // packets that processes died with
	Stale     []tree.Stale    `json:"stale"`  // what stores lack of what others have
}

// A ProcessStatus is what is known of one process.
type ProcessStatus struct {
	Name    string    `json:"name"`
	Program string    `json:"program"`
	PID     int       `json:"pid"`
	State   string    `json:"state"` // starting, running, restarting, given up, stopped
	Since   time.Time `json:"since"` // when it was started last
	Deaths  int       `json:"deaths"`
}

// Status returns how the server is.
func (s *Server) Status() Status {
	counts := s.engine.Counts()
	st := Status{PID: os.Getpid(), Started: s.started, Data: s.plan.Data, Counts: counts[:], Dead: len(s.engine.DeadPackets()), Stale: s.engine.Stale()}
	for _, p := range s.processes {
		st.Processes = append(st.Processes, p.status())
	}
	return st
}

func (p *process) status() ProcessStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := ProcessStatus{Name: p.name, Program: p.program.Name, State: p.state, Since: p.since, Deaths: p.died}
	if p.now != nil {
		st.PID = p.now.PID()
	}
	return st
}

// Explain says what the server would do with a packet, without doing it.
func (s *Server) Explain(ctx context.Context, p *packet.Packet) (tree.Report, error) {
	return s.engine.Explain(ctx, p)
}

// DeadPackets returns the packets that processes died with, oldest first.
func (s *Server) DeadPackets() []tree.Dead { return s.engine.DeadPackets() }

// Ask puts a question to the server's storage and waits for the answer.
func (s *Server) Ask(ctx context.Context, question *packet.Packet) (*packet.Packet, error) {
	return s.engine.Ask(ctx, question)
}

// Request sends an IQ from the server itself, packet.ServerHost, and waits for the
// answer. An error answer is a *packet.Reject.
func (s *Server) Request(ctx context.Context, iq *packet.Packet) (*packet.Packet, error) {
	return s.own.asker.Request(ctx, iq)
}

// HostSections are a host and the sections that it has.
type HostSections = tree.HostSections

// A HostSection is one of them.
type HostSection = tree.HostSection

// Hosts lists the hosts that the server has.
func (s *Server) Hosts() []HostSections { return s.engine.Hosts() }

// ErrAway says that no server answers at a socket.
var ErrAway = errors.New("no server answers")

// SocketName is the name of the socket for commands in the data folder.
const SocketName = "jabberd.sock"

// commands is the socket by which commands reach the running server: HTTP with
// JSON, for processes of the same user only.
type commands struct{ http *http.Server }

// commandLimit is how long a command may take, and commandSize how much it may say.
const (
	commandLimit = time.Minute
	commandSize  = 16 << 20
)

func (s *Server) listen() (*commands, error) {
	path := s.plan.Socket
	if path == "" {
		path = filepath.Join(s.plan.Data, SocketName)
	}
	// The data folder is ours (OpenRuntime), so that what is there is the
	// socket of a server that has died.
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("%s is there already and is no socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	listener, err := wire.Listen(path)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Status(), nil) })
	mux.HandleFunc("GET /dead", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.DeadPackets(), nil) })
	mux.HandleFunc("POST /copy", func(w http.ResponseWriter, r *http.Request) {
		withPacket(w, r, func(_ context.Context, p *packet.Packet) (any, error) { return nil, s.CopyAnew(p.Section) })
	})
	mux.HandleFunc("POST /explain", func(w http.ResponseWriter, r *http.Request) {
		withPacket(w, r, func(ctx context.Context, p *packet.Packet) (any, error) { return s.Explain(ctx, p) })
	})
	mux.HandleFunc("POST /ask", func(w http.ResponseWriter, r *http.Request) {
		withPacket(w, r, func(ctx context.Context, p *packet.Packet) (any, error) { return s.Ask(ctx, p) })
	})
	mux.HandleFunc("POST /request", func(w http.ResponseWriter, r *http.Request) {
		withPacket(w, r, func(ctx context.Context, p *packet.Packet) (any, error) { return s.Request(ctx, p) })
	})
	mux.HandleFunc("GET /profile", s.profile)
	mux.HandleFunc("GET /hosts", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Hosts(), nil) })
	c := &commands{&http.Server{Handler: mux, ReadHeaderTimeout: commandLimit}}
	go func() { _ = c.http.Serve(listener) }()
	return c, nil
}

func (c *commands) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c.http.Shutdown(ctx) != nil {
		_ = c.http.Close()
	}
}

func withPacket(w http.ResponseWriter, r *http.Request, do func(context.Context, *packet.Packet) (any, error)) {
	ctx, cancel := context.WithTimeout(r.Context(), commandLimit)
	defer cancel()
	var p packet.Packet
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, commandSize)).Decode(&p); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := do(ctx, &p)
	reply(w, answer, err)
}

// refused is the body of an answer that is an error: the condition and text of
// a Reject, else only a text.
type refused struct {
	Condition string `json:"condition,omitempty"`
	Text      string `json:"text"`
}

func reply(w http.ResponseWriter, answer any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		answer = refused{Text: err.Error()}
		var reject *packet.Reject
		if errors.As(err, &reject) {
			answer = refused{Condition: reject.Condition, Text: reject.Text}
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// A Client gives commands to a running server.
type Client struct {
	path string
	http http.Client
}

// Dial returns a client of the server with a socket. It connects with the
// first command.
func Dial(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks how the server is.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	return st, c.do(ctx, "GET", "status", nil, &st)
}

// DeadPackets asks for the packets that processes died with.
func (c *Client) DeadPackets(ctx context.Context) (dead []tree.Dead, err error) {
	return dead, c.do(ctx, "GET", "dead", nil, &dead)
}

// Explain asks what the server would do with a packet.
func (c *Client) Explain(ctx context.Context, p *packet.Packet) (r tree.Report, err error) {
	return r, c.do(ctx, "POST", "explain", p, &r)
}

// Ask puts a question to the server's storage. An error answer is a
// *packet.Reject.
func (c *Client) Ask(ctx context.Context, question *packet.Packet) (*packet.Packet, error) {
	answer := new(packet.Packet)
	if err := c.do(ctx, "POST", "ask", question, answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// Request has the server send an IQ in its own name and waits for the answer. An
// error answer is a *packet.Reject.
func (c *Client) Request(ctx context.Context, iq *packet.Packet) (*packet.Packet, error) {
	answer := new(packet.Packet)
	if err := c.do(ctx, "POST", "request", iq, answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// Hosts asks which hosts the server has.
func (c *Client) Hosts(ctx context.Context) (hosts []HostSections, err error) {
	return hosts, c.do(ctx, "GET", "hosts", nil, &hosts)
}

// CopyAnew has all that a store has copies of copied there anew; see Status for
// what is left to do.
func (c *Client) CopyAnew(ctx context.Context, section string) error {
	var none any
	return c.do(ctx, "POST", "copy", &packet.Packet{Kind: packet.XDB, Section: section}, &none)
}

func (c *Client) do(ctx context.Context, method, command string, in, out any) error {
	body, w := io.Pipe()
	go func() { _ = w.CloseWithError(json.NewEncoder(w).Encode(in)) }()
	r, err := http.NewRequestWithContext(ctx, method, "http://jabberd/"+command, body)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(r)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			hint := "jabberd run starts one, --socket names that of another data folder"
			if errors.Is(err, fs.ErrPermission) {
				hint = "it takes commands of the user only that it runs as"
			}
			return fmt.Errorf("%w at %s: %w; %s", ErrAway, c.path, op.Err, hint)
		}
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode == http.StatusOK {
		return json.NewDecoder(answer.Body).Decode(out)
	}
	command, _, _ = strings.Cut(command, "?")
	var no refused
	if json.NewDecoder(answer.Body).Decode(&no) != nil {
		return fmt.Errorf("%s: %s", command, answer.Status)
	}
	if no.Condition != "" {
		return &packet.Reject{Condition: no.Condition, Text: no.Text}
	}
	return fmt.Errorf("%s: %s", command, no.Text)
}
