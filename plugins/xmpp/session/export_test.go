package session

import "runtime"

// Waiting tells whether a call on the session waits for something.
func Waiting(s *Session) bool {
	runtime.Gosched()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting > 0
}
