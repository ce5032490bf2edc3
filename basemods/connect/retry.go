package connect

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jabberii/server/jabberd/module"
)

type retry struct {
	First module.Duration `json:"first" default:"1s" doc:"The time before the first attempt to connect again."`
	Most  module.Duration `json:"most" default:"1m" doc:"The longest time between two attempts. A stream that lasted longer makes the next attempt a first one, and so does a native link once it was made."`
}

// ended is why a link ended that both sides had made: the other server is there,
// and is not spared.
type ended struct{ error }

func (e ended) Unwrap() error { return e.error }

// keep connects, and again whenever the connection has ended, until ctx is done.
func (r retry) keep(ctx context.Context, log *slog.Logger, connect func(context.Context) error) {
	first, most := r.First.Std(), r.Most.Std()
	for pause := first; ; pause = min(2*pause, most) {
		began := time.Now()
		err := connect(ctx)
		if ctx.Err() != nil {
			return
		}
		var made ended
		if errors.As(err, &made) || time.Since(began) > most {
			pause = first
		}
		spread := pause/2 + rand.N(pause/2+1)
		log.Warn("not connected: "+err.Error(), "retry", spread.Round(time.Millisecond).String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(spread):
		}
	}
}
