package wire

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// followStep is how soon following ends when there is a link.
const followStep = time.Second

// follow deserts the service if its core dies before it has had a link, which
// shows otherwise. The core alone has the other end of the process's standard
// error, and closes it only by its own end; so no pid that becomes another's has
// to be trusted, and a core that was dead already is seen too.
func (s *service) follow(stderr int) {
	for !s.wasLinked() && !done(s.stopped) {
		fds := []unix.PollFd{{Fd: int32(stderr)}} // of an end it tells unasked
		n, err := unix.Poll(fds, int(followStep.Milliseconds()))
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return
		case n <= 0:
		case fds[0].Revents&unix.POLLERR == 0: // closed by a module: it is no pipe any more
			return
		case !s.wasLinked():
			s.desert()
			return
		}
	}
}

func (s *service) wasLinked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.linked
}

// desert ends a service whose core is gone before it ran: the next core would
// start another one in any case.
func (s *service) desert() {
	if !s.lasting && !done(s.stopped) {
		s.orphans.Do(func() { close(s.orphan) })
	}
}
