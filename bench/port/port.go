// Package port finds ports for servers that are about to be started.
//
// A port that was free a moment ago may be somebody else's by the time a server
// listens: another test's, or the near end of a connection. So ports are taken in
// turn from a range that the kernel gives to no connection, and all programs of a
// user that ask take the same turns.
package port

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// The range, below what Linux gives to connections (ip_local_port_range).
const first, last = 16000, 32000

// Free returns n ports of the loopback address that nobody listens on, and that
// nobody else is given before all others of the range had their turn. It may be
// called by several goroutines and processes at once.
func Free(n int) ([]int, error) {
	turns, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("jabberd-ports-%d", os.Getuid())), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer turns.Close()
	if err := syscall.Flock(int(turns.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", turns.Name(), err)
	}
	var text [16]byte
	length, _ := turns.ReadAt(text[:], 0)
	turn, _ := strconv.Atoi(strings.TrimSpace(string(text[:length]))) // what is no number begins anew
	var found []int
	for range last - first {
		port := first + turn%(last-first)
		turn = port - first + 1
		if !isFree(port) {
			continue
		}
		if found = append(found, port); len(found) == n {
			_, err := turns.WriteAt(fmt.Appendf(nil, "%-15d\n", turn), 0)
			return found, err
		}
	}
	return nil, errors.New("no free ports")
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	l.Close()
	return true
}
