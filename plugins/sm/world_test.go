package sm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/sm"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/stanza"
	"github.com/jabberii/server/plugins/xmpp/xml"
	"github.com/jabberii/server/xdb/memory"
)

// A world is a tree in the least, with a session manager for localhost in it,
// a c2s, storage, and other domains that keep what comes. It hands packets over
// at once, on the goroutine that delivers, and what a handler delivers when it
// has returned. What came together is what one test step has delivered. It can
// die at any packet: then nothing of what the session
// manager goes on to do counts, and the next one has the journal as it was. It
// lives in a bubble of package synctest, where nothing is due before the test
// waits for it.
type world struct {
	t     testing.TB
	args  string
	store *xdb.Store

	mu     sync.Mutex
	ask    asker
	env    *env
	conns  []*conn
	remote []packet.Packet
	events []string             // that the log was told of
	dieIn  int                  // entries until death, 0 is never
	hold   func(*packet.Packet) // called with what goes elsewhere
	shown  func(*packet.Packet) // called with what connections are given
	round  bool                 // connections deliver together; see together
}

// env is the environment of one life of the session manager.
type env struct {
	w       *world
	dir     string
	dead    atomic.Bool
	handler packet.Handler
	stop    context.CancelFunc
	ended   chan struct{}
	ends    []func() // of packets that are gathered
}

var errDead = errors.New("the process is dead")

func newWorld(t testing.TB, args string, accounts ...string) *world {
	t.Helper()
	w := &world{t: t, args: args}
	l := &loop{}
	l.Handler = xdb.Serve(l, memory.Open(64<<20), "memory")
	w.ask = l.Ask
	w.store = xdb.New(l, "test")
	for _, jid := range accounts {
		w.register(jid)
	}
	w.start(t.TempDir())
	synctest.Wait() // it does things of its own accord, which the test need not count
	t.Cleanup(func() { w.env.end() })
	return w
}

var password = sync.OnceValue(func() []byte {
	keys, err := sasl.NewKeys(sasl.SHA256, "secret", sasl.NewSalt(), sasl.MinIterations)
	if err != nil {
		panic(err)
	}
	text, err := keys.MarshalText()
	if err != nil {
		panic(err)
	}
	return text
})

func (w *world) register(jid string) {
	w.t.Helper()
	if _, err := w.store.Put(context.Background(), jid, "auth", "scram-sha-256", password()); err != nil {
		w.t.Fatal(err)
	}
}

// start begins a life with the journal in a folder.
func (w *world) start(dir string) {
	w.t.Helper()
	e := &env{w: w, dir: dir, ended: make(chan struct{})}
	h, err := sm.Module.New(e, []byte(w.args))
	if err != nil {
		w.t.Fatal(err)
	}
	e.handler = h
	w.mu.Lock()
	w.env = e
	w.mu.Unlock()
	if err := h.(module.Starter).Start(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	go func() {
		defer close(e.ended)
		h.(module.Runner).Run(ctx)
	}()
}

func (e *env) end() {
	e.dead.Store(true)
	e.stop()
	<-e.ended
	e.handler.(io.Closer).Close()
}

// kill ends the life now, as kill -9 does, and begins the next. What c2s has
// not been told the end of, it delivers again.
func (w *world) kill() {
	w.t.Helper()
	old := w.env
	if !old.dead.Swap(true) {
		old.dir = copyDir(w.t, old.dir)
	}
	old.stop()
	<-old.ended
	old.handler.(io.Closer).Close()
	w.start(old.dir)
	synctest.Wait()
	for _, c := range w.conns {
		w.mu.Lock()
		again := c.unsettled
		c.unsettled = nil
		w.mu.Unlock()
		for _, p := range again {
			again := *p
			again.Flags |= packet.Redelivered
			c.deliver(&again)
		}
	}
}

// die has the process die at so many packets from now, 0 being never.
func (w *world) die(in int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dieIn = in
}

// storage has others answer what is asked of storage; it returns who did before.
func (w *world) storage(ask asker) asker {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.ask
	w.ask = ask
	return before
}

type asker func(context.Context, *packet.Packet) (*packet.Packet, error)

func copyDir(t testing.TB, from string) string {
	t.Helper()
	to, err := os.MkdirTemp(t.TempDir(), "")
	if err == nil {
		err = os.CopyFS(to, os.DirFS(from))
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// step counts a packet, and dies if it is time to.
// An eventLog keeps events of sessions.
type eventLog struct {
	slog.Handler
	w *world
}

func (l eventLog) Enabled(context.Context, slog.Level) bool { return true }

func (l eventLog) Handle(_ context.Context, r slog.Record) error {
	fields := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		fields[a.Key] = a.Value.String()
		return true
	})
	if fields["event"] != "" {
		l.w.mu.Lock()
		defer l.w.mu.Unlock()
		l.w.events = append(l.w.events, fields["event"]+" "+fields["session"])
	}
	return nil
}

func (e *env) step() bool {
	w := e.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dieIn > 0 && !e.dead.Load() {
		if w.dieIn--; w.dieIn == 0 {
			e.dir = copyDir(w.t, e.dir)
			e.dead.Store(true)
		}
	}
	return !e.dead.Load()
}

type txnKey struct{}

type txn struct {
	out      []packet.Packet
	gathered bool
}

// Gather implements module.Gatherer.
func (e *env) Gather(ctx context.Context) { ctx.Value(txnKey{}).(*txn).gathered = true }

// finish ends what is gathered. It returns errDead if the life ends before.
func (e *env) finish() error {
	e.w.mu.Lock()
	ends := e.ends
	e.ends = nil
	e.w.mu.Unlock()
	if len(ends) == 0 {
		return nil
	}
	if !e.step() {
		return errDead
	}
	if !e.handler.(module.Finisher).Finish() {
		e.w.t.Error("what was gathered is not finished")
	}
	if !e.step() {
		return errDead
	}
	for _, end := range ends {
		end()
	}
	return nil
}

// enter hands a packet to whom it is for, and finishes what that has gathered.
// It returns errDead if the life ends meanwhile.
func (e *env) enter(p packet.Packet) (packet.Outcome, error) {
	o, err := e.begin(p, func(packet.Outcome) {})
	if err == nil {
		err = e.finish()
	}
	return o, err
}

// begin is enter without finishing: end is called when the packet has ended,
// unless the life does before.
func (e *env) begin(p packet.Packet, end func(packet.Outcome)) (packet.Outcome, error) {
	t := &txn{}
	o, err := e.handle(p, t)
	switch {
	case err != nil:
	case t.gathered:
		e.w.mu.Lock()
		e.ends = append(e.ends, func() { end(o) })
		e.w.mu.Unlock()
	default:
		end(o)
	}
	return o, err
}

func (e *env) handle(p packet.Packet, t *txn) (packet.Outcome, error) {
	if !e.step() {
		return packet.Outcome{}, errDead
	}
	claimed := packet.Outcome{Result: packet.Claimed}
	switch {
	case p.Kind == packet.Session && p.Flags&packet.Down != 0:
		c := e.w.conn(p.Far)
		if c != nil && c.down(&p) {
			if e.w.shown != nil {
				e.w.shown(&p)
			}
			return claimed, nil
		}
		return e.bounce(&p, packet.Refuse("item-not-found", ""))
	case p.Kind == packet.Normal && packet.Domain(p.To) != "localhost":
		if e.w.hold != nil {
			e.w.hold(&p)
		}
		e.w.mu.Lock()
		defer e.w.mu.Unlock()
		e.w.remote = append(e.w.remote, p)
		return claimed, nil
	}
	in := p
	verdict, err := e.handler.Handle(context.WithValue(context.Background(), txnKey{}, t), &p)
	if !e.step() {
		return packet.Outcome{}, errDead
	}
	var reject *packet.Reject
	switch {
	case err != nil && !errors.As(err, &reject):
		e.w.t.Errorf("%s from %s to %s: %v", in.Name, in.From, in.To, err)
		reject = packet.Refuse("internal-server-error", "")
		fallthrough
	case err != nil:
		return e.bounce(&in, reject)
	case verdict != packet.Claim:
		return e.bounce(&in, packet.Refuse("service-unavailable", ""))
	}
	for _, q := range t.out {
		q.Flags |= in.Flags & packet.Redelivered
		if _, err := e.begin(q, func(packet.Outcome) {}); err != nil {
			return packet.Outcome{}, err
		}
	}
	return claimed, nil
}

// bounce answers what nobody has claimed, as the tree does.
func (e *env) bounce(p *packet.Packet, r *packet.Reject) (packet.Outcome, error) {
	refused := packet.Outcome{Result: packet.Refused, Reason: r}
	q := packet.Packet{Kind: p.Kind, Flags: packet.Bounced, To: p.From, From: p.To, Name: p.Name, Type: "error", ID: p.ID}
	s := stanza.Stanza{Name: p.Name, Type: p.Type}
	switch {
	case p.Flags&packet.Bounced != 0:
		return refused, nil
	case p.Kind == packet.Session:
		q.Flags |= p.Flags&packet.Down ^ packet.Down
		q.Host, q.Section, q.Near, q.Far, q.Name, q.Type = p.Near.Host, p.Near.Section, p.Far, p.Near, "end", r.Condition
	case !s.Answerable():
		return refused, nil
	}
	q.Body = (&stanza.Error{Condition: stanza.Condition(r.Condition)}).Append(nil)
	_, err := e.begin(q, func(packet.Outcome) {})
	return refused, err
}

// env is a module.Env.

func (e *env) Section() string                                              { return "sm" }
func (e *env) Kinds() []packet.Kind                                         { return module.On(packet.Normal, packet.Session) }
func (e *env) Place() string                                                { return "test.hcl:1" }
func (e *env) Log() *slog.Logger                                            { return slog.New(eventLog{slog.DiscardHandler, e.w}) }
func (e *env) Attach(string) error                                          { return nil }
func (e *env) Detach(string) error                                          { return nil }
func (e *env) Serves(_ packet.Kind, host string) bool                       { return host == "localhost" }
func (e *env) Hosts() []string                                              { return []string{"localhost"} }
func (e *env) Path(name string) string                                      { return filepath.Join(e.dir, name) }
func (e *env) Answer(context.Context, *packet.Packet, *packet.Packet) error { return nil }

func (e *env) Listen(context.Context, string, string) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}

func (e *env) Deliver(ctx context.Context, p *packet.Packet) error {
	if t, ok := ctx.Value(txnKey{}).(*txn); ok {
		t.out = append(t.out, *p)
		return nil
	}
	_, err := e.enter(*p)
	return err
}

func (e *env) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	if e.dead.Load() {
		return nil, errDead
	}
	e.w.mu.Lock()
	ask := e.w.ask
	e.w.mu.Unlock()
	return ask(ctx, q)
}

func (e *env) Source(c module.SourceConfig) module.Source { return &source{e, c} }

type source struct {
	e *env
	c module.SourceConfig
}

func (s *source) Deliver(_ context.Context, p *packet.Packet, tag uint64) error {
	_, err := s.e.begin(*p, func(o packet.Outcome) {
		if s.c.Settled != nil {
			o.Tag = tag
			s.c.Settled([]packet.Outcome{o})
		}
	})
	if err == nil && !s.c.Batch {
		err = s.e.finish()
	}
	return err
}

func (s *source) Flush() { s.e.finish() }

func (s *source) Close() {}

// A loop answers questions out of one handler.
type loop struct{ packet.Handler }

type answerKey struct{}

func (l *loop) Ask(ctx context.Context, q *packet.Packet) (*packet.Packet, error) {
	var answer *packet.Packet
	ask := *q
	if _, err := l.Handle(context.WithValue(ctx, answerKey{}, &answer), &ask); err != nil {
		return nil, err
	}
	return answer, nil
}

func (l *loop) Answer(ctx context.Context, _, answer *packet.Packet) error {
	a := *answer
	*ctx.Value(answerKey{}).(**packet.Packet) = &a
	return nil
}

// A conn is a connection as c2s has it.
type conn struct {
	recheck   bool // the session came with packet.Recheck
	w         *world
	token     packet.Token
	far       packet.Token
	address   string
	sent      uint64
	seen      uint64
	unsettled []*packet.Packet
	lost      bool

	inbox []packet.Packet
	some  chan struct{} // has a token while there is something in inbox
}

// connect makes a connection of an account that has authenticated.
func (w *world) connect(jid string) *conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := &conn{w: w, address: jid, some: make(chan struct{}, 1)}
	c.token = packet.Token{Host: "c2s", Section: "c2s", Slot: uint32(len(w.conns)), Incarnation: 7}
	w.conns = append(w.conns, c)
	return c
}

func (w *world) conn(token packet.Token) *conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if int(token.Slot) >= len(w.conns) || w.conns[token.Slot].token != token {
		return nil
	}
	return w.conns[token.Slot]
}

// down takes a packet from the session.
func (c *conn) down(p *packet.Packet) bool {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.recheck = c.recheck || p.Flags&packet.Recheck != 0
	if c.lost {
		return false
	}
	if p.Seq != 0 {
		if p.Seq <= c.seen {
			return true
		}
		c.seen = p.Seq
	}
	if !p.Near.IsZero() && p.Flags&packet.Bounced == 0 {
		c.far = p.Near
		if packet.Resource(p.To) != "" && packet.Resource(c.address) == "" {
			c.address = p.To
		}
	}
	if p.Name == "sync" {
		return true
	}
	c.lost = p.Name == "end" // and gets nothing more, whatever is under way
	c.inbox = append(c.inbox, *p)
	if p.Flags&packet.WantsAck != 0 {
		c.inbox = append(c.inbox, packet.Packet{Name: "r", NS: ns.StreamManagement})
	}
	select {
	case c.some <- struct{}{}:
	default:
	}
	return true
}

// up sends a packet to the session.
func (c *conn) up(p packet.Packet) {
	c.w.mu.Lock()
	c.sent++
	p.Kind, p.Host, p.From, p.Near, p.Far, p.Seq = packet.Session, "localhost", c.address, c.token, c.far, c.sent
	c.w.mu.Unlock()
	c.deliver(&p)
}

// deliver delivers a packet, which is unsettled until it has ended.
func (c *conn) deliver(p *packet.Packet) {
	w, own := c.w, new(*p)
	w.mu.Lock()
	c.unsettled = append(c.unsettled, own)
	env, alone := w.env, !w.round
	w.mu.Unlock()
	env.begin(*own, func(packet.Outcome) {
		w.mu.Lock()
		defer w.mu.Unlock()
		c.unsettled = slices.DeleteFunc(c.unsettled, func(q *packet.Packet) bool { return q == own })
	})
	if alone {
		_ = env.finish()
	}
}

// together has what connections deliver in f come together. What has not ended
// when the life ends they deliver again.
func (w *world) together(f func()) {
	w.rounds(true)
	f()
	w.rounds(false)
	_ = w.env.finish()
}

func (w *world) rounds(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.round = on
}

// send sends an element that is written out.
func (c *conn) send(format string, args ...any) {
	c.w.t.Helper()
	c.up(parse(c.w.t, fmt.Sprintf(format, args...)))
}

func parse(t testing.TB, text string) packet.Packet {
	t.Helper()
	tok, err := xml.NewScanner(xml.Limits{}).Document([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	p := packet.Packet{
		Name: tok.Name, NS: tok.NS, Type: tok.Type, To: string(tok.To), From: string(tok.From), ID: string(tok.ID), Lang: tok.Lang,
		Attrs: string(tok.Rest), Body: bytes.Clone(tok.Body),
	}
	if p.NS == ns.Client {
		p.NS = ""
	}
	return p
}

// lose says that the connection is lost, close that the client closed it.
func (c *conn) lose()  { c.gone("lost") }
func (c *conn) close() { c.gone("end") }

func (c *conn) gone(how string) {
	c.w.mu.Lock()
	c.lost = true
	c.w.mu.Unlock()
	c.up(packet.Packet{Name: "close", Type: how})
}

// take returns what has come since.
func (c *conn) take() []packet.Packet {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	in := c.inbox
	c.inbox = nil
	return in
}

// got returns what has come since, written out.
func (c *conn) got() []string {
	var list []string
	for _, p := range c.take() {
		list = append(list, text(&p))
	}
	return list
}

// elsewhere returns what has gone to other domains since, written out.
func (w *world) elsewhere() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, p := range w.remote {
		list = append(list, text(&p))
	}
	w.remote = nil
	return list
}

// incoming delivers a stanza from another domain, and reports how it ended.
func (w *world) incoming(format string, args ...any) packet.Result {
	w.t.Helper()
	p := parse(w.t, fmt.Sprintf(format, args...))
	p.Kind = packet.Normal
	o, _ := w.env.enter(p)
	return o.Result
}

// text writes a packet out: name type from>to content.
func text(p *packet.Packet) string {
	name := p.Name
	if p.Type != "" {
		name += ":" + p.Type
	}
	s := name + " " + p.From + ">" + p.To
	if p.NS == ns.StreamManagement || p.Name == "end" {
		s = name + p.Attrs
	}
	if len(p.Body) > 0 {
		s += " " + brief(string(p.Body))
	}
	return strings.TrimSpace(s)
}

var (
	anyNS    = regexp.MustCompile(` xmlns='[^']*'`)
	anyVer   = regexp.MustCompile(`(<query) ver='[^']*'`)
	anyStamp = regexp.MustCompile(` stamp='[^']*'`)
	anyID    = regexp.MustCompile(`<stanza-id by='[^']*' id='[-_0-9A-Za-z]{16}'/>`)
	anyError = regexp.MustCompile(`<error type='([a-z]+)'><([-a-z]+)/>(<text>[^<]*</text>)?</error>`)
)

func brief(body string) string {
	body = anyStamp.ReplaceAllString(anyNS.ReplaceAllString(body, ""), "")
	body = anyID.ReplaceAllString(body, "") // see TestStanzaIDs
	body = anyVer.ReplaceAllString(body, "$1")
	return anyError.ReplaceAllString(body, "$2")
}

// login gives an account a session.
func (w *world) login(full string) *conn {
	w.t.Helper()
	c := w.connect(packet.Bare(full))
	c.send(`<iq type='set' id='b'><bind xmlns='%s'><resource>%s</resource></bind></iq>`, ns.Bind, packet.Resource(full))
	if c.address != full {
		w.t.Fatalf("%s has no session: %q", full, c.got())
	}
	c.take()
	return c
}

// available is login with presence.
func (w *world) available(full string, priority int) *conn {
	w.t.Helper()
	c := w.login(full)
	c.send(`<presence><priority>%d</priority></presence>`, priority)
	c.take()
	return c
}

// befriend makes subscriptions: the first account sees the second, and the
// other way round.
func (w *world) befriend(a, b string) {
	w.t.Helper()
	w.item(a, b, "both")
	w.item(b, a, "both")
}

// item puts a contact into a roster in storage.
func (w *world) item(owner, contact, subscription string) {
	w.t.Helper()
	if packet.Domain(owner) != "localhost" {
		return
	}
	value := fmt.Sprintf("<item xmlns='%s' jid='%s' subscription='%s'/>", ns.Roster, contact, subscription)
	if _, err := w.store.Put(context.Background(), owner, "roster", contact, []byte(value)); err != nil {
		w.t.Fatal(err)
	}
}

// expect compares what has come with what should have, in any order if sorted
// is wanted.
func expect(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// bubble runs a test in a bubble of its own.
func bubble(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

// property is rapid.Check with each run in a bubble of its own.
func property(t *testing.T, test func(*testing.T, *rapid.T)) {
	rapid.Check(t, func(r *rapid.T) {
		var stop any // rapid ends a run with a panic
		synctest.Test(t, func(t *testing.T) {
			defer func() { stop = recover() }()
			test(t, r)
		})
		if stop != nil {
			panic(stop)
		}
	})
}

// explain returns what the session manager says of a stanza.
func (w *world) explain(stanza string) string {
	w.t.Helper()
	p := parse(w.t, stanza)
	_, why := w.env.handler.(module.Explainer).Explain(context.Background(), &p)
	return why
}
