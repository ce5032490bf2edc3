package peer

import (
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
)

// ports are those that a lab has given to its servers: one that is about to
// listen does not yet.
type ports struct {
	mu    sync.Mutex
	given int
}

// free finds ports that nobody listens on, below those that the kernel gives to
// outgoing connections, of which a load makes thousands.
func (p *ports) free(n int) ([]int, error) {
	const first, last = 16000, 32000
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []int
	for range last - first {
		port := first + (os.Getpid()*37+p.given)%(last-first)
		p.given++
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		l.Close()
		if found = append(found, port); len(found) == n {
			return found, nil
		}
	}
	return nil, errors.New("no free ports")
}
