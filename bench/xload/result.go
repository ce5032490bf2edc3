package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jabberii/server/bench/proc"
)

// A Result is what a run found. Figures that a mode does not know stay out.
type Result struct {
	OK      bool               `json:"ok"`
	Errors  []string           `json:"errors,omitempty"` // the first few
	Figures map[string]float64 `json:"figures"`
}

func (r *Result) print(w io.Writer, inJSON bool) error {
	if inJSON {
		return json.NewEncoder(w).Encode(r)
	}
	var line strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Figures)) {
		digits := 2
		if v := r.Figures[name]; v == float64(int64(v)) || v > 1000 {
			digits = 0
		}
		fmt.Fprintf(&line, "%s=%s ", name, strconv.FormatFloat(r.Figures[name], 'f', digits, 64))
	}
	state := "ok"
	if !r.OK {
		state = "FAILED " + strings.Join(r.Errors, "; ")
	}
	_, err := fmt.Fprintln(w, line.String()+state)
	return err
}

// A reading is that of the clocks at one end of a measured window.
type reading struct {
	at        time.Time
	srv, self proc.CPU
}

func (l *load) read() reading {
	return reading{time.Now(), proc.CPUOf(l.pids...), ownCPU()}
}

func ownCPU() proc.CPU {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return proc.CPU{User: float64(usage.Utime.Nano()) / 1e3, System: float64(usage.Stime.Nano()) / 1e3}
}

// window fills in what every measured window reports, for n operations in it.
func (r *Result) window(from, to reading, n float64, what string) {
	seconds := to.at.Sub(from.at).Seconds()
	srv, self := to.srv.Sub(from.srv), to.self.Sub(from.self)
	if n < 1 {
		n = 1
		r.OK = false
		r.Errors = append(r.Errors, "nothing was done in the measured window")
	}
	maps.Copy(r.Figures, map[string]float64{
		"seconds":       seconds,
		what + "_per_s": n / seconds,
		"srv_us":        srv.Total() / n,
		"srv_user_us":   srv.User / n,
		"srv_sys_us":    srv.System / n,
		"srv_cores":     srv.Total() / 1e6 / seconds,
		"xload_us":      self.Total() / n,
		"xload_cores":   self.Total() / 1e6 / seconds,
	})
}

// latencies are in units of 100 ns.
type latencies []uint32

func since(start time.Time) uint32 { return uint32(time.Since(start) / 100) }

func (r *Result) quantiles(l latencies) {
	if len(l) == 0 {
		return
	}
	slices.Sort(l)
	at := func(q float64) float64 { return float64(l[int(q*float64(len(l)-1))]) / 10 }
	r.Figures["lat_p50_us"], r.Figures["lat_p90_us"], r.Figures["lat_p99_us"] = at(.5), at(.9), at(.99)
	r.Figures["lat_max_us"] = at(1)
}

// failures counts errors and keeps the first few.
type failures struct {
	n     atomic.Int64
	mu    sync.Mutex
	first []string
}

func (f *failures) add(err error) {
	if err == nil {
		return
	}
	if f.n.Add(1) <= 5 {
		fmt.Fprintln(os.Stderr, "xload:", err)
		f.mu.Lock()
		f.first = append(f.first, err.Error())
		f.mu.Unlock()
	}
}

// result makes a result that is well if nothing failed.
func (f *failures) result(figures map[string]float64) *Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	if figures == nil {
		figures = map[string]float64{}
	}
	figures["failures"] = float64(f.n.Load())
	return &Result{OK: f.n.Load() == 0, Errors: slices.Clone(f.first), Figures: figures}
}

// each runs f for 0 to n-1 with several workers, and at so many starts a second
// if there is a rate.
func each(n, workers int, rate float64, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range min(workers, n) {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				if rate > 0 {
					time.Sleep(time.Until(start.Add(time.Duration(float64(i) / rate * 1e9))))
				}
				f(i)
			}
		})
	}
	wg.Wait()
}
