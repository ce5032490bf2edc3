package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jabberii/server/bench/crowd"
	"github.com/jabberii/server/bench/peer"
)

// A change of a configuration replaces one place in its text.
type change struct{ old, new string }

// layout writes conf/jabberd.hcl with changes, and returns where.
func (l *lab) layout(name string, changes ...change) (string, error) {
	text, err := os.ReadFile(filepath.Join(l.Root, "conf", "jabberd.hcl"))
	if err != nil {
		return "", err
	}
	changed := string(text)
	for _, c := range changes {
		if strings.Count(changed, c.old) != 1 {
			return "", fmt.Errorf("conf/jabberd.hcl does not have %q once", c.old)
		}
		changed = strings.Replace(changed, c.old, c.new, 1)
	}
	file := filepath.Join(l.Data, "conf", name+".hcl")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, []byte(changed), 0o600)
}

// onHosts serves so many hosts with one session manager.
func onHosts(n int) change {
	var hosts strings.Builder
	for i := range n {
		host := peer.Domain
		if n > 1 {
			host = crowd.HostName(peer.Domain, i)
		}
		fmt.Fprintf(&hosts, "  host %q {}\n", host)
	}
	return change{"  host { label = var.host }\n", hosts.String()}
}

// behind puts so many links that do nothing before the session manager, in its
// process or each in one of its own.
func behind(object string, n int, apart bool) change {
	var links strings.Builder
	for i := range n {
		process := ""
		if apart {
			process = fmt.Sprintf(" process = \"link%d\" ", i)
		}
		fmt.Fprintf(&links, "  load %q {%s}\n", object, process)
	}
	return change{"  load \"sm\" {\n", links.String() + "  load \"sm\" {\n"}
}

// storedIn is the storage, with the cache of conf/jabberd.hcl before it or without.
func storedIn(block string, cached bool) []change {
	changes := []change{{"  badger { path = \"xdb\" }\n", "  " + block + "\n"}}
	if !cached {
		changes = append(changes, change{"  cache { ttl = \"10m\" }\n", ""})
	}
	return changes
}
