// Package websocket carries XMPP over WebSocket (RFC 7395): each element of a
// stream is a message of its own, and the elements open and close stand for its
// start and end tag.
//
// A server upgrades a request with [Accept], finds elements in what it reads
// with a [Reader], and writes what [AppendMessage] makes. Nothing of this needs
// a goroutine or, between two elements, a buffer: a connection may be parked. A
// client has [Dial], whose connection is spoken to like one over TCP.
//
// Frames are those of RFC 6455 without extensions: what XMPP says is short, and
// a compressor would cost a connection more memory than all else together.
package websocket

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"
)

// Protocol is the name of the subprotocol (RFC 7395, 3.1).
const Protocol = "xmpp"

// ErrProtocol is the error of a client that does not offer the subprotocol.
var ErrProtocol = errors.New("websocket: the client does not offer the subprotocol xmpp")

// answerTime bounds the answer to a request.
const answerTime = 10 * time.Second

// Accept upgrades a request to a connection, which has no deadlines then. Early
// is what the client has said already. On an error the client was told.
func Accept(w http.ResponseWriter, r *http.Request) (conn net.Conn, early []byte, err error) {
	if !offers(r.Header) {
		http.Error(w, "This is for XMPP over WebSocket, subprotocol xmpp.", http.StatusBadRequest)
		return nil, nil, ErrProtocol
	}
	conn, buffered, _, err := ws.HTTPUpgrader{
		Timeout:  answerTime,
		Protocol: func(name string) bool { return name == Protocol },
	}.Upgrade(r, w)
	if err == nil {
		early, err = io.ReadAll(io.LimitReader(buffered, int64(buffered.Reader.Buffered())))
	}
	if err != nil && conn != nil {
		conn.Close()
	}
	return conn, early, err
}

// offers reports whether a request offers the subprotocol.
func offers(h http.Header) bool {
	return slices.ContainsFunc(h.Values("Sec-WebSocket-Protocol"), func(list string) bool {
		return slices.ContainsFunc(strings.Split(list, ","), func(name string) bool {
			return strings.TrimSpace(name) == Protocol
		})
	})
}
