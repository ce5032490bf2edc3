package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"sync"
	"testing"
)

// TestFirstCertificate has clients come to c2s and http at once when the server has no
// certificate yet: all are shown the same one, also those after a restart.
func TestFirstCertificate(t *testing.T) {
	for _, file := range []string{"conf/edge.hcl", "jabberd/e2e/testdata/twoprocesses.hcl"} {
		t.Run(file, func(t *testing.T) {
			r := start(t, file, nil)
			first := r.shown("c2s_tls_port", "https_port")
			r.stop()
			r.launch()
			if again := r.shown("https_port", "c2s_tls_port"); !again.Equal(first) {
				t.Errorf("after a restart it is %s, was %s", again.SerialNumber, first.SerialNumber)
			}
		})
	}
}

// shown is the one certificate that is shown on some ports to several clients at once.
func (r *running) shown(ports ...string) *x509.Certificate {
	r.t.Helper()
	const each = 5
	seen := make([]*x509.Certificate, each*len(ports))
	var all sync.WaitGroup
	for i := range seen {
		all.Go(func() {
			conn, err := tls.Dial("tcp", "127.0.0.1:"+r.vars[ports[i%len(ports)]], &tls.Config{ServerName: "localhost", InsecureSkipVerify: true})
			if err != nil {
				r.t.Errorf("%s: %v", ports[i%len(ports)], err)
				return
			}
			seen[i] = conn.ConnectionState().PeerCertificates[0]
			conn.Close()
		})
	}
	all.Wait()
	for i, c := range seen {
		if c == nil || !c.Equal(seen[0]) {
			r.t.Fatalf("%s shows another certificate than %s", ports[i%len(ports)], ports[0])
		}
	}
	return seen[0]
}
