// Package proc reads what processes cost from Linux's /proc: processor time and
// memory of a process and of all that descend from it.
//
// A process that has ended is in its parent's figures once it was waited for.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time in /proc/PID/stat, USER_HZ.
const tick = 10 * time.Millisecond

// A stat is what /proc/PID/stat says, from the state on.
type stat []string

// Fields of stat, counted from the state.
const (
	parent       = 1
	userTime     = 11
	systemTime   = 12
	userWaited   = 13
	systemWaited = 14
	startTime    = 19
)

func statOf(pid int) stat {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) <= startTime {
		return nil
	}
	return fields
}

func (s stat) number(field int) int64 {
	n, _ := strconv.ParseInt(s[field], 10, 64)
	return n
}

// A Process is told from a later one with the same number by when it started.
type Process struct {
	PID     int
	started int64
}

// Lives reports whether it is still this process, and has not ended.
func (p Process) Lives() bool {
	s := statOf(p.PID)
	return s != nil && s[0] != "Z" && s.number(startTime) == p.started
}

// Tree returns the processes with the given numbers and all their descendants.
func Tree(roots ...int) []Process {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if s := statOf(pid); s != nil {
			up := int(s.number(parent))
			children[up] = append(children[up], pid)
		}
	}
	var tree []Process
	seen := map[int]bool{}
	for queue := roots; len(queue) > 0; queue = queue[1:] {
		pid := queue[0]
		s := statOf(pid)
		if seen[pid] || s == nil {
			continue
		}
		seen[pid] = true
		tree = append(tree, Process{pid, s.number(startTime)})
		queue = append(queue, children[pid]...)
	}
	return tree
}

// CPU is processor time in microseconds, good to a tick of 10 ms a process.
type CPU struct{ User, System float64 }

// Sub returns what was used since an earlier reading.
func (c CPU) Sub(earlier CPU) CPU { return CPU{c.User - earlier.User, c.System - earlier.System} }

// Total is the time in the program and in the kernel for it.
func (c CPU) Total() float64 { return c.User + c.System }

// CPUOf sums what processes and their descendants have used, and what the
// children had used that they waited for.
func CPUOf(roots ...int) CPU {
	var sum CPU
	for _, p := range Tree(roots...) {
		if s := statOf(p.PID); s != nil {
			us := float64(tick.Microseconds())
			sum.User += float64(s.number(userTime)+s.number(userWaited)) * us
			sum.System += float64(s.number(systemTime)+s.number(systemWaited)) * us
		}
	}
	return sum
}

// Memory is in KiB.
type Memory struct {
	RSS int64 // resident
	PSS int64 // resident, pages that several processes share divided among them
}

// MemoryOf sums the memory of processes and their descendants.
func MemoryOf(roots ...int) Memory {
	var sum Memory
	for _, p := range Tree(roots...) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) < 2 {
				continue
			}
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			switch fields[0] {
			case "Rss:":
				sum.RSS += kib
			case "Pss:":
				sum.PSS += kib
			}
		}
	}
	return sum
}
