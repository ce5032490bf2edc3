package account

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/jid"
)

// A Credential is an account, a bare JID, and its password.
type Credential struct {
	JID, Password string
	Line          int // of the list, from 1
}

// ParseList reads a list of accounts: one a line, a JID, blanks or tabs, and a
// password, which is the rest of the line and may hold blanks. Empty lines and
// those that begin with # don't count. A line may have 64 KiB. The error is of
// all lines that are wrong, the first ten in words, and then there is no list.
func ParseList(r io.Reader) ([]Credential, error) {
	var list []Credential
	var wrong []error
	first := map[string]int{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		c, err := parseLine(line)
		if before, twice := first[c.JID]; err == nil && twice {
			err = fmt.Errorf("%s is in line %d already", c.JID, before)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		first[c.JID], c.Line = n, n
		list = append(list, c)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(wrong) > 0 {
		return nil, joined(wrong)
	}
	return list, nil
}

// CheckDomains asks once of each domain of a list what is wrong with it, and
// returns an error of all lines with a wrong one, the first ten in words. If
// check fails that is the error.
func CheckDomains(list []Credential, check func(domain string) (wrong, err error)) error {
	said := map[string]error{}
	var wrong []error
	for _, c := range list {
		_, domain, _ := strings.Cut(c.JID, "@")
		why, asked := said[domain]
		if !asked {
			var err error
			if why, err = check(domain); err != nil {
				return err
			}
			said[domain] = why
		}
		if why != nil {
			wrong = append(wrong, fmt.Errorf("line %d: %s: %w", c.Line, c.JID, why))
		}
	}
	return joined(wrong)
}

// joined returns many errors as one, with the first ten in words.
func joined(wrong []error) error {
	const shown = 10
	if more := len(wrong) - shown; more > 0 {
		wrong = append(wrong[:shown], fmt.Errorf("and %d more", more))
	}
	return errors.Join(wrong...)
}

func parseLine(line string) (Credential, error) {
	at := strings.IndexAny(line, " \t")
	if at < 0 {
		return Credential{}, errors.New("there is no password; write it like ann@example.org secret")
	}
	j, err := jid.Parse(line[:at])
	if err != nil {
		return Credential{}, err
	}
	if j.Local() == "" || j.Resource() != "" {
		return Credential{}, fmt.Errorf("%s is no account; write it like ann@example.org", j)
	}
	password := strings.TrimLeft(line[at:], " \t")
	if password == "" {
		return Credential{}, errors.New("the password is empty")
	}
	return Credential{JID: j.String(), Password: password}, nil
}

// Import makes the accounts of a list, several at the same time since their
// keys take the processor long. Accounts that exist are left as they are, so an
// import that was interrupted can be done again. It ends with the first error;
// what was added until then stays.
func Import(ctx context.Context, store *xdb.Store, list []Credential) (added, known int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, made, found atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1) - 1)
				if i >= len(list) {
					return
				}
				switch err := Add(ctx, store, list[i].JID, list[i].Password); {
				case err == nil:
					made.Add(1)
				case errors.Is(err, ErrExists):
					found.Add(1)
				default:
					cancel(err)
				}
			}
		})
	}
	workers.Wait()
	return int(made.Load()), int(found.Load()), context.Cause(ctx)
}
