package session_test

import (
	"testing"

	"go.uber.org/goleak"
)

// No session, and no negotiation, leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
