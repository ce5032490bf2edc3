package peer

import (
	"errors"
	"net"
	"os"
	"strconv"
)

// freePorts finds ports that nobody listens on, below those that the kernel
// gives to outgoing connections, of which a load makes thousands.
func freePorts(n int) ([]int, error) {
	const first, last = 16000, 32000
	var ports []int
	for i := range last - first {
		port := first + (os.Getpid()*37+i)%(last-first)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free ports")
}
