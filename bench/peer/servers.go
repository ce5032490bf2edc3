package peer

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/jabberii/server/bench/crowd"
)

//go:embed config
var configs embed.FS

// fill writes a server's settings into its folder.
func (p *place) fill(name string) (string, error) {
	text, err := fs.ReadFile(configs, "config/"+name)
	if err != nil {
		return "", err
	}
	t, err := template.New(name).Parse(string(text))
	if err != nil {
		return "", err
	}
	var filled bytes.Buffer
	if err := t.Execute(&filled, p); err != nil {
		return "", err
	}
	file := filepath.Join(p.Dir, filepath.Base(name))
	return file, os.WriteFile(file, filled.Bytes(), 0o600)
}

// Floor is the relay that does the least; flags are its own.
func Floor(name string, flags ...string) *Server {
	return &Server{
		Name: name, Chat: "PLAIN",
		version: func(*Lab) string { return "" },
		prepare: func(lab *Lab, p *place) ([]*exec.Cmd, error) {
			args := []string{"-addr", "127.0.0.1:" + strconv.Itoa(p.Port), "-domain", Domain,
				"-cert", filepath.Join(p.Dir, "cert.pem"), "-key", filepath.Join(p.Dir, "key.pem")}
			return []*exec.Cmd{exec.Command(filepath.Join(lab.Load, "floor"), append(args, flags...)...)}, nil
		},
	}
}

// Prosody is Debian's, with the epoll backend, internal storage, hashed
// passwords, and the collector settings that suit it best.
func Prosody() *Server {
	return &Server{
		Name: "prosody", Chat: "SCRAM-SHA-1", Login: "SCRAM-SHA-1", Acks: true,
		version: debian("prosody"), Foreign: true, accounts: inBand,
		prepare: func(_ *Lab, p *place) ([]*exec.Cmd, error) {
			if err := os.MkdirAll(filepath.Join(p.Dir, "data"), 0o700); err != nil {
				return nil, err
			}
			file, err := p.fill("prosody.cfg.lua")
			return []*exec.Cmd{exec.Command("prosody", "--config", file, "-F")}, err
		},
	}
}

// Ejabberd is Debian's, with mnesia and hashed passwords. Its schedulers don't
// wait busily, so that processor time is work; it does not listen for other nodes.
func Ejabberd() *Server {
	return &Server{
		Name: "ejabberd", Chat: "SCRAM-SHA-1", Login: "SCRAM-SHA-1", Acks: true,
		version: debian("ejabberd"), Foreign: true, accounts: inBand,
		prepare: func(_ *Lab, p *place) ([]*exec.Cmd, error) {
			for _, dir := range []string{"mnesia", "log", "modules.d"} {
				if err := os.MkdirAll(filepath.Join(p.Dir, dir), 0o700); err != nil {
					return nil, err
				}
			}
			file, err := p.fill("ejabberd.yml")
			if err != nil {
				return nil, err
			}
			libraries, err := filepath.Glob("/usr/lib/*/ejabberd-*")
			if err != nil || len(libraries) == 0 {
				return nil, fmt.Errorf("not installed")
			}
			cmd := exec.Command("erl", "+K", "true", "+P", "250000", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
				"-noinput", "-mnesia", "dir", strconv.Quote(filepath.Join(p.Dir, "mnesia")), "-s", "ejabberd")
			cmd.Env = append(os.Environ(), "HOME="+p.Dir, "EJABBERD_CONFIG_PATH="+file,
				"EJABBERD_LOG_PATH="+filepath.Join(p.Dir, "log", "ejabberd.log"),
				"EJABBERD_PID_PATH="+filepath.Join(p.Dir, "ejabberd.pid"),
				"CONTRIB_MODULES_CONF_DIR="+filepath.Join(p.Dir, "modules.d"),
				"ERL_LIBS="+filepath.Dir(libraries[0]), "ERL_CRASH_DUMP_BYTES=0", "ERL_MAX_ETS_TABLES=1400", "ERL_MAX_PORTS=60000")
			return []*exec.Cmd{cmd}, nil
		},
	}
}

// Jabberd2 is Debian's: router, session manager and c2s, with SQLite that does
// not sync, and passwords in the clear, which is what it has.
func Jabberd2() *Server {
	return &Server{
		Name: "jabberd2", Chat: "PLAIN", Login: "SCRAM-SHA-1", Retry: true,
		version: debian("jabberd2"), Foreign: true, accounts: inBand,
		prepare: func(_ *Lab, p *place) ([]*exec.Cmd, error) {
			if err := jabberd2Database(filepath.Join(p.Dir, "sqlite.db")); err != nil {
				return nil, err
			}
			if _, err := p.fill("jabberd2/router-users.xml"); err != nil {
				return nil, err
			}
			var cmds []*exec.Cmd
			for _, name := range []string{"router", "sm", "c2s"} {
				file, err := p.fill("jabberd2/" + name + ".xml")
				if err != nil {
					return nil, err
				}
				cmds = append(cmds, exec.Command("/usr/sbin/jabberd2-"+name, "-c", file))
			}
			return cmds, nil
		},
	}
}

func jabberd2Database(file string) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	cmd := exec.Command("sh", "-c", `zcat /usr/share/doc/jabberd2/db-setup.sqlite.gz | sqlite3 "$0" >/dev/null`, file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the database: %w: %s", err, out)
	}
	return nil
}

// Jabberd is this server with a configuration, a path from the repository's
// root, that has the variables of conf/jabberd.hcl, and values of its variables.
func Jabberd(name, conf string, vars ...string) *Server {
	programs := "jabberd"
	if slices.Contains(vars, "isolation=none") {
		programs = "jabberd-one"
	}
	return &Server{
		Name: name, Programs: programs, Chat: "SCRAM-SHA-1", Login: "SCRAM-SHA-1", Acks: true, up: "jabberd is up",
		version: func(lab *Lab) string {
			out, _ := exec.Command("git", "-C", lab.Root, "describe", "--always", "--dirty").Output()
			return strings.TrimSpace(string(out))
		},
		prepare: func(lab *Lab, p *place) ([]*exec.Cmd, error) {
			args := []string{"run", conf}
			for _, v := range append([]string{"tls=optional", "data_dir=" + p.Dir, "host=" + Domain,
				fmt.Sprintf("c2s_port=%d", p.Port), fmt.Sprintf("c2s_tls_port=%d", p.TLS),
				"http_port=0", "https_port=0"}, vars...) {
				args = append(args, "--var", v)
			}
			cmd := exec.Command(filepath.Join(lab.Bin, "jabberd"), args...)
			cmd.Dir = lab.Root
			return []*exec.Cmd{cmd}, nil
		},
		accounts: imported,
	}
}

// imported makes accounts with jabberd's own command.
func imported(ctx context.Context, r *Running, c crowd.Crowd) error {
	var list strings.Builder
	c.Domain = Domain
	for i := range c.Users {
		fmt.Fprintf(&list, "%s %s\n", c.JID(i), Password)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(r.lab.Bin, "jabberd"), "user", "import", "-", "--socket", filepath.Join(r.Dir, "jabberd.sock"))
	cmd.Stdin = strings.NewReader(list.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// inBand makes accounts by XEP-0077.
func inBand(ctx context.Context, r *Running, c crowd.Crowd) error {
	_, err := r.Load(ctx, "register", CrowdFlags(c)...)
	return err
}

// debian returns what asks for the version of a package.
func debian(name string) func(*Lab) string {
	return func(*Lab) string {
		out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", name).Output()
		if err != nil {
			return "not installed"
		}
		return string(out)
	}
}
