//go:build !linux

package peer

import "net"

func boundUnsent(*net.TCPConn) {}
