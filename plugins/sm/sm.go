// Package sm is the session manager: the service that stands behind the
// connections of a host's clients. It has the sessions with their presence and
// priority, the rosters and the subscriptions between accounts, decides where
// a stanza to an account goes (RFC 6121), keeps what comes while nobody is
// there (XEP-0160), and counts, repeats and resumes (XEP-0198).
//
// It is a handler of two kinds of packets. A packet of kind session comes from
// the connection of a client and says what the client wants; the session acts
// on it, and what is meant for somebody else goes into the tree as a packet of
// kind normal, also if that is an account of the same host: who stands in the
// chain sees it. A packet of kind normal comes from anywhere and is for an
// account of the host; what reaches one of its sessions goes down to the
// connection as a packet of kind session.
//
//	session up ─▶ stanza.go ─▶ normal ─▶ message.go, presence.go, iq.go ─▶ session down
//
// A session whose client has enabled stream management is kept in a journal
// (plugins/sdk/journal): every stanza of the client before it is acknowledged,
// every stanza to the client until the client acknowledges it. When sm dies
// at any moment, the one that follows has the same sessions, counts and queues
// and goes on where it was. See managed.go and replay.go.
//
// A stanza of a session carries, as a normal packet, where it comes from: Near
// is the token of the session, Seq counts its stanzas. Who keeps the packet
// knows it again by them when it is delivered a second time.
package sm

import (
	"context"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/journal"
	"github.com/jabberii/server/plugins/sdk/xdb"
)

// Module is the service as a configuration names it: load "sm".
var Module = define()

func define() module.Module {
	m := module.Define("sm", "The sessions of a host's accounts: presence, rosters, delivery of messages, "+
		"offline messages and stream management. It stands in a service section, whose hosts are the accounts' domains.",
		module.On(packet.Normal, packet.Session), New)
	m.Needs = module.On(packet.Normal, packet.Session, packet.XDB)
	m.Claims = module.ClaimsRest
	m.XEPs = standards
	return m
}

// Args are the arguments of sm.
type Args struct {
	Sessions   int           `json:"max_sessions" default:"20" doc:"Sessions that an account may have at once, those that wait to be resumed included."`
	Directed   int           `json:"max_directed" default:"1000" doc:"Addresses outside of its roster, such as rooms, to which one session may show its presence."`
	Conflict   string        `json:"conflict" default:"replace" enum:"replace,refuse,rename" doc:"What becomes of a client that asks for a resource which another connection has (RFC 6120 section 7.7.2.2): it replaces that one, it is refused, or it gets another resource."`
	Journal    string        `json:"journal" doc:"Folder of the journal of sessions, below the data folder; by default sm/ and the section's name."`
	Durability string        `json:"durability" default:"process" enum:"process,disk" doc:"What acknowledged stanzas outlive: the death of the process, or also that of the machine, for which every acknowledgement waits for the disk."`
	Unknown    string        `json:"tell_unknown" default:"local" enum:"local,all,none" doc:"Who is told that there is no account which a message is for: users of this server, everybody, or nobody. Others cannot find out which accounts there are."`
	Roster     rosterArgs    `json:"roster" doc:"Limits of rosters."`
	Caps       capsArgs      `json:"caps" doc:"What clients announce in their presence that they can do (XEP-0115)."`
	Offline    offlineArgs   `json:"offline" doc:"Messages that are kept while nobody is there (XEP-0160)."`
	Management managementArg `json:"management" doc:"Stream management (XEP-0198)."`
}

type rosterArgs struct {
	Max   int `json:"max" default:"2000" doc:"Contacts that one account may make; who asks for its presence can be answered yes beyond that, up to 500 more."`
	Cache int `json:"cache" default:"10000" doc:"Accounts without a session whose roster is kept in memory."`
}

type capsArgs struct {
	Optimize bool `json:"optimize" default:"false" doc:"A presence that announces the same as the one before it comes to those who have had that one without the announcement (XEP-0115 section 8.4). This saves traffic to clients and servers that remember what was announced; some do not."`
}

type offlineArgs struct {
	Max  int         `json:"max" default:"1000" doc:"Messages kept for one account; further ones are refused. 0 keeps none."`
	Size module.Size `json:"size" default:"16MiB" doc:"What they may take in storage; a message for which there is no room is refused."`
}

type managementArg struct {
	Resume   module.Duration `json:"resume" default:"10m" doc:"How long a session whose connection is lost waits to be resumed. 0 offers acknowledgements only."`
	Queue    int             `json:"queue" default:"1000" doc:"Stanzas that may wait for their acknowledgement by one client; with more its senders wait, and if the client acknowledges nothing for two seconds its session ends, and messages are kept as if it had not been there."`
	Size     module.Size     `json:"size" default:"4MiB" doc:"What these stanzas may take in memory."`
	Request  int             `json:"request" default:"10" doc:"After so many stanzas the client is asked for an acknowledgement; after fewer, two seconds later."`
	Location string          `json:"location" doc:"Where clients are asked to reconnect to when they have lost their connection, HOST:PORT; by default where they find the server anyway."`
	Timeout  module.Duration `json:"timeout" default:"1m" doc:"How long a client may take to acknowledge when asked; then its connection counts as lost."`
}

// Service is the handler: the sessions of one section.
type Service struct {
	env      module.Env
	settings atomic.Pointer[Args]
	store    *xdb.Store
	accounts accounts
	sessions table
	clock    wheel
	doubted  atomic.Int64   // the moment when all connections were asked
	expired  recent[expiry] // sessions, by the name that resumes them
	changes  changes        // of accounts
	rooms    sync.Pool      // of *queueRoom
	parcels  sync.Pool      // of *packet.Packet, on their way to connections
	keys     xdb.Clock      // of offline messages
	dying    graves

	departures   departures // of accounts
	capabilities capabilities

	ctx        context.Context // of what sm does of its own accord
	stop       context.CancelFunc
	background sync.WaitGroup // goroutines that do it
	journal    *journal.Journal
	source     module.Source // probes of connections
	together   together      // what is finished with others
	replay     *replay       // what the journal had to say
	repeats    repeats       // what may come again
	ready      chan struct{} // closed when the sessions of before go on
}

// New makes the service. It has no effects.
func New(env module.Env, a Args) (packet.Handler, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	s := &Service{env: env, store: xdb.New(env, env.Section()), ready: make(chan struct{})}
	s.settings.Store(&a)
	s.accounts.init(a.Roster.Cache)
	s.sessions.init(env.Section())
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

func (a *Args) check() error {
	switch {
	case a.Sessions < 1:
		return module.BadArg("max_sessions", "must be at least 1")
	case a.Directed < 0:
		return module.BadArg("max_directed", "must not be negative")
	case a.Roster.Max < 0:
		return module.BadArg("roster.max", "must not be negative")
	case a.Roster.Cache < 0:
		return module.BadArg("roster.cache", "must not be negative")
	case a.Offline.Max < 0:
		return module.BadArg("offline.max", "must not be negative")
	case a.Offline.Size < 1024:
		return module.BadArg("offline.size", "must be at least 1KiB")
	case a.Management.Queue < 1:
		return module.BadArg("management.queue", "must be at least 1")
	case a.Management.Size < 1024:
		return module.BadArg("management.size", "must be at least 1KiB")
	case a.Management.Request < 1:
		return module.BadArg("management.request", "must be at least 1")
	case a.Management.Timeout.Std() < time.Second:
		return module.BadArg("management.timeout", "must be at least 1s")
	case a.Management.Location != "":
		if _, port, err := net.SplitHostPort(a.Management.Location); err != nil || port == "" {
			return module.BadArg("management.location", "must be HOST:PORT")
		}
	}
	return nil
}

// args returns the settings as they are now.
func (s *Service) args() *Args { return s.settings.Load() }

// Start opens the journal and takes up the sessions of before.
func (s *Service) Start(ctx context.Context) error {
	a := s.args()
	folder := a.Journal
	if folder == "" {
		folder = "sm/" + url.PathEscape(s.env.Section())
	}
	s.changes.begin(time.Now())
	s.replay = newReplay(s)
	s.repeats.on.Store(true)
	j, done, err := journal.Open(ctx, s.env.Path(folder), journal.Options{Sync: a.Durability == "disk"}, s.replay.record)
	if err != nil {
		return err
	}
	s.journal = j
	if done.Torn {
		s.env.Log().Warn("the journal of sessions ends in a record that is not whole", "aside", len(done.Aside))
	}
	s.clock.set(time.Now())
	s.replay.finish()
	s.source = s.env.Source(module.SourceConfig{Window: 4096})
	return nil
}

// Run lets the sessions of before go on, and does what is due until ctx is
// done.
func (s *Service) Run(ctx context.Context) error {
	select {
	case <-s.ready:
	default:
		s.recover()
		close(s.ready)
		s.background.Go(s.askOwn)
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			s.advance(now)
		}
	}
}

// lastWords is how long storage may take, when sm stops, for what is to be written yet.
const lastWords = 5 * time.Second

// Close lets go of the journal.
func (s *Service) Close() error {
	ctx, cancel := context.WithTimeout(s.ctx, lastWords)
	s.departures.drain(ctx)
	cancel()
	s.stop()
	s.background.Wait()
	if s.journal == nil {
		return nil
	}
	return s.journal.Close()
}

// Handle takes session packets from connections and stanzas to the hosts.
func (s *Service) Handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	switch p.Kind {
	case packet.Session:
		return s.up(ctx, p)
	case packet.Normal:
		return s.stanza(ctx, p)
	}
	return packet.Pass, nil
}

// Prepare takes new arguments; where the journal is and what it outlives stays
// as it was.
func (s *Service) Prepare(raw []byte) (commit func(), err error) {
	var a Args
	if err := module.Decode(Module.Args, raw, &a); err != nil {
		return nil, err
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	old := s.args()
	if a.Journal != old.Journal {
		return nil, module.BadArg("journal", "cannot change while the server runs")
	}
	if a.Durability != old.Durability {
		return nil, module.BadArg("durability", "cannot change while the server runs")
	}
	return func() {
		s.settings.Store(&a)
		s.accounts.resize(a.Roster.Cache)
	}, nil
}
