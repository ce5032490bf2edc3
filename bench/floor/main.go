// Floor is no XMPP server: it does the least that lets xload run, so that its
// cost per message is a lower bound for a server in Go. It takes any password
// (PLAIN), frames the stream, stamps "from", and copies each stanza to the
// connection that "to" names; it checks nothing. A goroutine serves each
// connection; with -epoll, so many loops over epoll do, without the runtime's
// poller, and without TLS.
package main

import (
	"crypto/tls"
	"flag"
	"log"
	"net"
	"sync"
)

// A relay is the whole server.
type relay struct {
	domain string
	each   bool // one write per stanza, instead of one per destination and read
	buffer int  // bytes that a connection reads into
	tls    *tls.Config

	mu    sync.RWMutex
	users map[string]*conn // by local part
}

func main() {
	r := &relay{users: map[string]*conn{}}
	addr := flag.String("addr", "127.0.0.1:5222", "plain and STARTTLS")
	cert := flag.String("cert", "", "file of the certificate")
	key := flag.String("key", "", "file of its key")
	loops := flag.Int("epoll", 0, "serve with so many epoll loops")
	flag.StringVar(&r.domain, "domain", "localhost", "domain")
	flag.BoolVar(&r.each, "each", false, "one write per stanza, instead of one per destination and read")
	flag.IntVar(&r.buffer, "buf", 4096, "read buffer of a connection")
	flag.Parse()
	log.Fatal(r.run(*addr, *cert, *key, *loops))
}

// run serves until it can't.
func (r *relay) run(addr, cert, key string, loops int) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	if loops > 0 {
		return r.epoll(l.(*net.TCPListener), loops)
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return err
		}
		r.tls = &tls.Config{Certificates: []tls.Certificate{pair}, SessionTicketsDisabled: true}
	}
	for {
		socket, err := l.Accept()
		if err != nil {
			return err
		}
		go (&conn{relay: r, socket: socket}).serve()
	}
}
