// Xload generates the load of XMPP clients and measures what it costs the
// server: anything that speaks RFC 6120 and 6121 on a TCP port can be measured.
//
//	xload MODE [flags]      xload MODE -h lists the flags
//
// A mode is one load: register (accounts, by XEP-0077), contacts (rosters, by
// subscription handshakes), chat, login, idle, roster, offline. Each prints what
// it measured, as one object of JSON with -json, and exits with 1 if anything
// was lost, repeated, out of order or refused.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A load is what the flags say.
type load struct {
	Config
	workers          int
	pairs, window    int
	body, beside     int
	warm, messages   int
	rate             float64
	duration, warmup time.Duration
	hold, drain      time.Duration
	say              int
	coalesce, flood  bool
	online           bool
	to               string
	pids             []int
}

type mode struct {
	run   func(*load) *Result
	about string
}

func modes() map[string]mode {
	return map[string]mode{
		"register": {register, "make accounts (XEP-0077)"},
		"contacts": {contacts, "make users contacts of each other, by subscription handshakes"},
		"chat":     {chat, "pairs of users, messages from one to the other"},
		"login":    {logins, "log in and out"},
		"idle":     {idle, "sessions that do nothing"},
		"roster":   {rosters, "fetch rosters, over and over"},
		"offline":  {offline, "messages to users who are away, who come for them in the end"},
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "xload:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	all := modes()
	if len(args) == 0 || all[args[0]].run == nil {
		names := slices.Sorted(maps.Keys(all))
		text := "usage: xload MODE [flags]; modes:"
		for _, name := range names {
			text += fmt.Sprintf("\n  %-10s %s", name, all[name].about)
		}
		return fmt.Errorf("%s", text)
	}
	l := new(load)
	flags := flag.NewFlagSet("xload "+args[0], flag.ExitOnError)
	inJSON := flags.Bool("json", false, "print the result as JSON")
	pids := flags.String("pid", "", "the server's root processes, comma between; their children count")
	hybrid := flags.Bool("hybrid", false, "offer X25519MLKEM768 too; without, every server does the same X25519 handshake")
	gogc := flags.Int("gogc", 800, "xload's own garbage collection target")
	l.connectionFlags(flags)
	l.loadFlags(flags)
	flags.Parse(args[1:])
	debug.SetGCPercent(*gogc)
	for field := range strings.FieldsFuncSeq(*pids, func(r rune) bool { return r == ',' }) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return fmt.Errorf("-pid %s", *pids)
		}
		l.pids = append(l.pids, pid)
	}
	if !slices.Contains([]string{"off", "starttls", "direct"}, l.TLS) {
		return fmt.Errorf("-tls %s", l.TLS)
	}
	l.tls = &tls.Config{InsecureSkipVerify: true, SessionTicketsDisabled: true}
	if !*hybrid {
		l.tls.CurvePreferences = []tls.CurveID{tls.X25519}
	}
	result := all[args[0]].run(l)
	if err := result.print(os.Stdout, *inJSON); err != nil {
		return err
	}
	if !result.OK {
		os.Exit(1)
	}
	return nil
}

func (l *load) connectionFlags(flags *flag.FlagSet) {
	l.keys = newDerived()
	flags.StringVar(&l.Addr, "addr", "127.0.0.1:5222", "server `host:port`")
	flags.StringVar(&l.Domain, "domain", "localhost", "XMPP domain")
	flags.StringVar(&l.Prefix, "prefix", "u", "user name prefix; users are PREFIX0, PREFIX1, ...")
	flags.IntVar(&l.Hosts, "hosts", 1, "spread pairs of users over so many hosts h0.DOMAIN, h1.DOMAIN, ...")
	flags.IntVar(&l.First, "first", 0, "number of the first user")
	flags.StringVar(&l.Password, "password", "pw", "password of every user")
	flags.StringVar(&l.TLS, "tls", "off", "off, starttls or direct")
	flags.StringVar(&l.Mechanism, "mech", "PLAIN", "PLAIN, SCRAM-SHA-1 or SCRAM-SHA-256")
	flags.StringVar(&l.Resource, "resource", "x", "resource to bind")
	flags.DurationVar(&l.Timeout, "timeout", 30*time.Second, "time limit of one negotiation")
	flags.IntVar(&l.Retries, "retries", 0, "times to repeat a failed login")
	flags.IntVar(&l.Acks, "acks", 0, "XEP-0198 on every stream, a request with every so many messages; 0: without")
	flags.IntVar(&l.workers, "conc", 16, "negotiations at the same time")
}

func (l *load) loadFlags(flags *flag.FlagSet) {
	flags.IntVar(&l.Users, "users", 100, "number of users; login, roster: users to rotate over; offline: who are sent to")
	flags.Float64Var(&l.rate, "rate", 0, "messages or logins a second, over all; 0: as fast as the window lets")
	flags.DurationVar(&l.duration, "dur", 15*time.Second, "length of the measured window")
	flags.DurationVar(&l.warmup, "warmup", 2*time.Second, "load before the measured window")
	flags.DurationVar(&l.drain, "drain", 10*time.Second, "longest wait for messages in flight at the end")
	flags.DurationVar(&l.hold, "hold", 5*time.Second, "idle: time to hold the sessions before memory is read")
	flags.IntVar(&l.warm, "warm", 24, "idle: sessions opened before the first reading of memory")
	flags.IntVar(&l.say, "say", 0, "idle: so many messages each says to its neighbour in the end, bodies of -body bytes")
	flags.IntVar(&l.Contacts, "contacts", 0, "contacts: how many each user gets; others: how many each must have, rosters are fetched")
	flags.IntVar(&l.Hubs, "hubs", 0, "contacts: only the first so many users get them, from the users behind")
	flags.BoolVar(&l.online, "online", false, "login: go online too, with roster and presence")
	flags.IntVar(&l.beside, "beside", 0, "chat: so many sessions more that do nothing, of the users behind")
	flags.IntVar(&l.messages, "messages", 50, "offline: messages for each user")
	flags.IntVar(&l.pairs, "pairs", 50, "chat: number of pairs")
	flags.IntVar(&l.window, "window", 16, "chat: messages in flight per pair")
	flags.BoolVar(&l.flood, "flood", false, "chat: send at -rate without any window, as fast as the socket takes it; no latencies")
	flags.IntVar(&l.body, "body", 100, "chat: length of the body in bytes")
	flags.BoolVar(&l.coalesce, "coalesce", false, "chat: all messages that one read has released in one write")
	flags.StringVar(&l.to, "to", "bare", "chat: address bare or full JIDs")
}
