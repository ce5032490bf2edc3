package module

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
)

// A Duration is a length of time, written as people write it: "10m", "1h30m",
// "250ms", also with days and weeks, "7d", "2w". Never negative.
type Duration time.Duration

// ParseDuration reads a duration as people write it.
func ParseDuration(s string) (Duration, error) {
	rest, total := strings.TrimSpace(s), time.Duration(0)
	if rest == "0" {
		return 0, nil
	}
	for _, u := range []struct {
		name string
		is   time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, found := strings.Cut(rest, u.name)
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(number, 64)
		if err != nil || n < 0 || n*float64(u.is) > math.MaxInt64/4 {
			return 0, durationError(s)
		}
		total, rest = total+time.Duration(n*float64(u.is)), strings.TrimSpace(after)
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || d > math.MaxInt64/4 {
			return 0, durationError(s)
		}
		total += d
	} else if total == 0 && !strings.ContainsAny(s, "wd") {
		return 0, durationError(s)
	}
	return Duration(total), nil
}

func durationError(s string) error {
	return fmt.Errorf("%q is no duration; write it like 30s, 10m, 1h30m or 7d", s)
}

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String returns d in a form that ParseDuration reads.
func (d Duration) String() string {
	const day = Duration(24 * time.Hour)
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return time.Duration(d).String()
}

// UnmarshalJSON reads a string.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return durationError(string(b))
	}
	v, err := ParseDuration(s)
	*d = v
	return err
}

// MarshalJSON writes a string.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// A Size is a number of bytes, written as people write it: "64MiB", "10kB",
// "1GiB", or a plain number.
type Size int64

var sizeUnits = []struct {
	name string
	is   float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"B", 1}, {"", 1},
}

// ParseSize reads a size as people write it.
func ParseSize(s string) (Size, error) {
	t := strings.TrimSpace(s)
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(t, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || n < 0 || math.IsNaN(n) || n*u.is > math.MaxInt64/4 {
			break
		}
		return Size(n * u.is), nil
	}
	return 0, fmt.Errorf("%q is no size; write it like 512KiB, 64MiB or 10MB", s)
}

// String returns z in the largest unit that divides it.
func (z Size) String() string {
	for i := 3; i >= 0; i-- {
		if u := sizeUnits[i]; z != 0 && z%Size(u.is) == 0 {
			return strconv.FormatInt(int64(z)/int64(u.is), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(z), 10)
}

// UnmarshalJSON reads a string or a number of bytes.
func (z *Size) UnmarshalJSON(b []byte) error {
	s := string(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	}
	v, err := ParseSize(s)
	*z = v
	return err
}

// MarshalJSON writes a string.
func (z Size) MarshalJSON() ([]byte, error) { return json.Marshal(z.String()) }

// CheckListen returns an *ArgError for the first of an argument's addresses
// that nothing can listen on, whatever the machine. An address is HOST:PORT with
// HOST left out for all interfaces. No host is looked up.
func CheckListen(name string, addresses []string) error {
	for i, a := range addresses {
		_, port, err := net.SplitHostPort(a)
		if err == nil {
			_, err = net.LookupPort("tcp", port)
		}
		if err != nil {
			return BadArg(name+"."+strconv.Itoa(i), "%q is no address to listen on; write it like :5222, 127.0.0.1:5222 or [::1]:5222", a)
		}
	}
	return nil
}
