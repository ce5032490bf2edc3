package c2s

import (
	"net"
	"syscall"
	"time"

	"github.com/jabberii/server/jabberd/module"
)

// A peer that is gone without a word (a phone without a network, a machine without
// power) is found out by its kernel's silence, which needs neither a goroutine nor a
// packet of ours. The defaults wake a phone seldom, and still come before the
// quarter of an hour after which many networks forget a connection.
type keepaliveArgs struct {
	Idle     module.Duration `json:"idle" default:"4m" doc:"How long nothing may come from a client until TCP asks whether it is there; 0 never asks. In whole seconds."`
	Interval module.Duration `json:"interval" default:"30s" doc:"How often it is asked again without an answer. In whole seconds."`
	Count    int             `json:"count" default:"4" doc:"How often it is asked in all. Then its connection is lost: a session with stream management waits for the client to resume. What was sent to a client and that it does not confirm has the same time in all."`
}

func (a *keepaliveArgs) check() error {
	const most = module.Duration(9 * time.Hour) // 32767 s, what Linux takes
	switch {
	case a.Idle != 0 && (a.Idle.Std() < time.Second || a.Idle > most):
		return module.BadArg("keepalive.idle", "is %v, not 1s to 9h, or 0", a.Idle.Std())
	case a.Interval.Std() < time.Second || a.Interval > most:
		return module.BadArg("keepalive.interval", "is %v, not 1s to 9h", a.Interval.Std())
	case a.Count < 1 || a.Count > 100:
		return module.BadArg("keepalive.count", "is %d, not 1 to 100", a.Count)
	}
	return nil
}

// watch has the kernel look after a connection. Without, it has Go's settings: 15
// seconds, which would keep a phone awake.
func (s *Service) watch(c net.Conn) {
	if err := s.args.Keepalive.apply(c); err != nil { // it is closed by now
		s.env.Log().Debug("keepalive: "+err.Error(), "client", c.RemoteAddr().String())
	}
}

func (a *keepaliveArgs) apply(c net.Conn) error {
	tcp, ok := c.(interface {
		syscall.Conn
		SetKeepAliveConfig(net.KeepAliveConfig) error
	})
	if !ok {
		return nil // a test's pipe, or a socket of this machine
	}
	config := net.KeepAliveConfig{Enable: a.Idle > 0, Idle: a.Idle.Std(), Interval: a.Interval.Std(), Count: a.Count}
	if err := tcp.SetKeepAliveConfig(config); err != nil || !config.Enable {
		return err
	}
	return limitUnconfirmed(tcp, config.Idle+config.Interval*time.Duration(config.Count))
}
