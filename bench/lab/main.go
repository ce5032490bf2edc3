// Lab measures servers beside each other and writes what it found into
// docs/performance.md. README.md beside it says how to use it.
//
//	lab peers      the same loads on jabberd, in several layouts, and on other servers
//	lab growth     what becomes of the figures when something grows tenfold, and again
//	lab overload   more than the server can carry
//	lab storage    logins, rosters and offline messages with several backends
//	lab profile    where jabberd's processes spend their time under the loads of peers
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jabberii/server/bench/peer"
	"github.com/jabberii/server/bench/report"
)

// A lab is what the flags say.
type lab struct {
	peer.Lab
	servers, cases []string // those to measure, all if empty
	short          bool     // for a glance: short windows, one repetition
	fresh          bool     // forget what earlier runs have left
	repetitions    int
	neighbours     string // what else the machine did
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	measurements := map[string]func(context.Context, *lab) error{
		"peers": peers, "growth": measureGrowth, "overload": overload, "storage": storage, "profile": profile,
	}
	if len(args) == 0 || measurements[args[0]] == nil {
		return fmt.Errorf("usage: lab peers|growth|overload|storage|profile [flags]")
	}
	l := new(lab)
	flags := flag.NewFlagSet("lab "+args[0], flag.ExitOnError)
	flags.StringVar(&l.Root, "root", ".", "the repository")
	servers := flags.String("servers", "", "only these servers, names with blanks or commas between")
	cases := flags.String("cases", "", "only these cases")
	flags.BoolVar(&l.short, "short", false, "a glance: short windows, once")
	flags.BoolVar(&l.fresh, "fresh", false, "begin with empty data folders")
	flags.IntVar(&l.repetitions, "reps", 3, "repetitions, of which the median counts")
	flags.Parse(args[1:])
	l.servers, l.cases = words(*servers), words(*cases)
	root, err := filepath.Abs(l.Root)
	if err != nil {
		return err
	}
	l.Root, l.Bin = root, filepath.Join(root, "bin")
	l.Load, l.Data = filepath.Join(l.Bin, "bench"), filepath.Join(l.Bin, "bench", "data")
	if l.short {
		l.repetitions = 1
	}
	if l.fresh {
		if err := os.RemoveAll(l.Data); err != nil {
			return err
		}
	}
	if err := raiseFileLimit(); err != nil {
		return err
	}
	l.neighbours = neighbours()
	return measurements[args[0]](ctx, l)
}

func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// raiseFileLimit allows as many connections as this user may have.
func raiseFileLimit() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// neighbours says what the machine does without us.
func neighbours() string {
	text, _ := os.ReadFile("/proc/loadavg")
	load, _, _ := strings.Cut(string(text), " ")
	return fmt.Sprintf("the load average of the last minute was %s.", load)
}

// wants reports whether a name was asked for.
func wants(names []string, name string) bool { return len(names) == 0 || slices.Contains(names, name) }

// whole reports whether all is measured, as the document says it was.
func (l *lab) whole() bool { return len(l.servers) == 0 && len(l.cases) == 0 && !l.short }

// publish puts text between the document's marks, or, if only a part was
// measured, on the terminal.
func (l *lab) publish(name, text string) error {
	if !l.whole() {
		_, err := fmt.Println("\n" + text)
		return err
	}
	file := filepath.Join(l.Root, "docs", "performance.md")
	document, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	changed, err := report.Replace(string(document), name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	fmt.Println("\n" + text)
	return os.WriteFile(file, []byte(changed), 0o644)
}

// circumstances says where, when and of what the figures are.
func (l *lab) circumstances(command string, servers []*peer.Server) string {
	kernel, _ := exec.Command("uname", "-sr").Output()
	processor := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(text), "model name"); ok {
			name, _, _ := strings.Cut(after, "\n")
			processor = strings.Trim(name, " \t:")
		}
	}
	var versions []string
	for _, s := range servers {
		if v := s.Version(&l.Lab); v != "" {
			versions = append(versions, s.Name+" "+v)
		}
	}
	return fmt.Sprintf("`%s`, %s. %d processors (%s), %s, %s. %s. When it began, %s\n", command, time.Now().Format(time.DateOnly),
		runtime.NumCPU(), processor, strings.TrimSpace(string(kernel)), runtime.Version(), strings.Join(versions, ", "), l.neighbours)
}
