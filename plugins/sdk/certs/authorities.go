package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jabberii/server/jabberd/module"
)

// Authorities are those who sign the certificates of others, such as clients: the
// certificates, PEM, in one file. It is looked at again as the files of a [Store] are:
// when somebody asks, at most once in a few seconds, and while it is not right what
// was read before stays. An Authorities is for any number of goroutines.
type Authorities struct {
	env    module.Env
	file   string
	pool   atomic.Pointer[x509.CertPool]
	looked atomic.Int64 // Unix nanoseconds

	mu    sync.Mutex // of whoever looks
	stamp stamp
}

// NewAuthorities is for a file, below the data folder if its name is relative. It has
// no effects.
func NewAuthorities(env module.Env, file string) *Authorities {
	return &Authorities{env: env, file: env.Path(file)}
}

// Start reads the file. That it is not right is an error.
func (a *Authorities) Start(context.Context) error {
	a.looked.Store(time.Now().UnixNano())
	_, err := a.look()
	return err
}

// Pool returns the certificates. It is another pool once the file has changed, and the
// same until then. It never waits for the file.
func (a *Authorities) Pool() *x509.CertPool {
	now, last := time.Now().UnixNano(), a.looked.Load()
	if now-last > int64(lookEvery) && a.looked.CompareAndSwap(last, now) {
		go a.lookAgain()
	}
	return a.pool.Load()
}

func (a *Authorities) lookAgain() {
	switch changed, err := a.look(); {
	case err != nil:
		a.env.Log().Error("authorities: " + err.Error() + "; those that were read before stay")
	case changed:
		a.env.Log().Info("read new authorities", "file", a.file)
	}
}

// look reads the file if it has changed.
func (a *Authorities) look() (changed bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	stamp, err := stampOf(place{a.file, a.file})
	if stamp == a.stamp && (err == nil || a.pool.Load() != nil) {
		return false, nil // with an error: it was not there the last time either
	}
	a.stamp = stamp
	if err != nil {
		return false, err
	}
	text, err := os.ReadFile(a.file)
	if err != nil {
		return false, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return false, fmt.Errorf("%s: %w", a.file, errNoAuthority)
	}
	a.pool.Store(pool)
	return true, nil
}

var errNoAuthority = errors.New("there is no certificate in it")
