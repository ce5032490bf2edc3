package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/jabberii/server/jabberd/survey"
)

// TestCheckFromOutside has the commands that look at a host look at a running
// server, as the DNS of the test tells where it is.
func TestCheckFromOutside(t *testing.T) {
	r := start(t, "conf/jabberd.hcl", map[string]string{"isolation": "none", "host": "example.org"})
	closed := freePort(t)
	resolver := nameserver(t, fmt.Sprintf(`
example.org.                    300 IN A 127.0.0.1
xmpp.example.org.               300 IN A 127.0.0.1
_xmpp-client._tcp.example.org.  300 IN SRV 10 1 %[1]s xmpp.example.org.
_xmpps-client._tcp.example.org. 300 IN SRV 20 1 %[2]s xmpp.example.org.
alone.org.                      300 IN A 127.0.0.1
_xmpp-client._tcp.alone.org.    300 IN SRV 10 1 %[1]s xmpp.example.org.
_xmpp-server._tcp.example.org.  300 IN SRV 0 0 0 .
_xmpps-server._tcp.example.org. 300 IN SRV 0 0 0 .
_xmpp-client._tcp.wrong.org.    300 IN SRV 10 1 %[3]s xmpp.example.org.
_xmpp-client._tcp.wrong.org.    300 IN SRV 20 1 5222 nowhere.example.org.
_xmpp-server._tcp.wrong.org.    300 IN SRV 0 0 0 .
_xmpps-server._tcp.wrong.org.   300 IN SRV 0 0 0 .
`, r.vars["c2s_port"], r.vars["c2s_tls_port"], closed))
	own := filepath.Join(r.data, "certs", "example.org.crt")
	for _, c := range []struct {
		args  string
		level survey.Level
		about string
		text  string
		fails bool
	}{
		{"dns example.org", survey.Good, "_xmpp-client._tcp.example.org", "xmpp.example.org port " + r.vars["c2s_port"] + " (priority 10, weight 1) has 1 address", false},
		{"dns example.org", survey.Warning, "_xmpp-server._tcp.example.org", "the domain says that it has no such service", false},
		{"dns wrong.org", survey.Bad, "_xmpp-client._tcp.wrong.org", "nowhere.example.org port 5222 (priority 20, weight 1): ", true},
		{"dns none.org", survey.Bad, "_xmpp-client._tcp.none.org", "no record; clients try the host itself, port 5222, which has no address", true},
		{"ports example.org", survey.Good, "xmpp-client xmpp.example.org:" + r.vars["c2s_tls_port"] + " (127.0.0.1, TLS)", "open, ", false},
		{"ports wrong.org", survey.Bad, "xmpp-client xmpp.example.org:" + closed + " (127.0.0.1, STARTTLS)", "refused", true},
		{"ports alone.org", survey.Warning, "xmpp-server alone.org:5269", "if the host is not for other servers, let its record", false},
		// The first login with TLS makes the certificate that --ca names later.
		{"certs example.org", survey.Bad, "xmpp-client xmpp.example.org:" + r.vars["c2s_port"] + " (127.0.0.1, STARTTLS)", "self-signed: ", true},
		{"certs example.org --ca " + own, survey.Good, "xmpp-client xmpp.example.org:" + r.vars["c2s_port"] + " (127.0.0.1, STARTTLS)", "good until ", false},
		{"certs example.org --ca " + own, survey.Good, "xmpp-client xmpp.example.org:" + r.vars["c2s_tls_port"] + " (127.0.0.1, TLS)", "TLS 1.3", false},
		{"certs wrong.org --ca " + own, survey.Bad, "xmpp-client xmpp.example.org:" + closed, "refused", true},
	} {
		args := append([]string{"check"}, strings.Fields(c.args)...)
		out, err := r.command(append(args, "--json", "--resolver", resolver)...)
		if (err != nil) != c.fails {
			t.Errorf("%s: %v, %s", c.args, err, out)
		}
		var found []survey.Finding
		if err := json.Unmarshal([]byte(out), &found); err != nil {
			t.Fatalf("%s: %v in %s", c.args, err, out)
		}
		if !has(found, c.level, c.about, c.text) {
			t.Errorf("%s: no %s, %s: %s in\n%s", c.args, c.level, c.about, c.text, out)
		}
	}
	out, err := r.command("check", "ports", "example.org", "--resolver", resolver)
	if err != nil || !strings.Contains(out, "ok       xmpp-client xmpp.example.org:"+r.vars["c2s_port"]) {
		t.Errorf("%v, %s", err, out)
	}
}

func has(found []survey.Finding, level survey.Level, about, text string) bool {
	for _, f := range found {
		if f.Level == level && strings.HasPrefix(f.About, about) && strings.Contains(f.Text, text) {
			return true
		}
	}
	return false
}

// nameserver serves a zone on loopback and returns its address.
func nameserver(t *testing.T, zone string) string {
	t.Helper()
	records := map[dns.Question][]dns.RR{}
	parser := dns.NewZoneParser(strings.NewReader(zone), "", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		q := dns.Question{Name: rr.Header().Name, Qtype: rr.Header().Rrtype, Qclass: dns.ClassINET}
		records[q] = append(records[q], rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: socket, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		answer.Answer = records[q.Question[0]]
		if len(answer.Answer) == 0 {
			answer.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(answer)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	return socket.LocalAddr().String()
}
