package survey

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// records are those that a host may have (RFC 6120 section 3.2.1, XEP-0368).
var records = []struct {
	service string
	absent  Finding // what it means that there is none
}{
	{"xmpp-client", Finding{Warning, "", "no record; clients try the host itself, port 5222"}},
	{"xmpps-client", Finding{Good, "", "no record; clients use STARTTLS"}},
	{"xmpp-server", Finding{Warning, "", "no record; other servers try the host itself, port 5269"}},
	{"xmpps-server", Finding{Good, "", "no record; other servers use STARTTLS"}},
}

// DNS looks at the records of a host, and whether what they name has addresses.
func (s *Surveyor) DNS(ctx context.Context, host string) (found []Finding) {
	name := ascii(host)
	addresses, err := s.addresses(ctx, name)
	found = append(found, addressFinding(name, "the host itself", len(addresses), err))
	hostHas := len(addresses) > 0
	for _, r := range records {
		about := "_" + r.service + "._tcp." + name
		_, list, err := s.resolver().LookupSRV(ctx, r.service, "tcp", name+".")
		var dns *net.DNSError
		switch {
		case len(list) > 0:
		case err != nil && !(errors.As(err, &dns) && dns.IsNotFound):
			found = append(found, Finding{Bad, about, err.Error()})
			continue
		default:
			absent := r.absent
			absent.About = about
			if absent.Level == Warning && !hostHas {
				absent.Level = Bad
				absent.Text += ", which has no address"
			}
			found = append(found, absent)
			continue
		}
		for _, record := range list {
			found = append(found, s.record(ctx, about, record))
		}
	}
	if hostHas {
		return found
	}
	for _, f := range found[1:] {
		if f.Level == Bad {
			return found
		}
	}
	found[0].Level = Good // the records name others
	return found
}

func (s *Surveyor) record(ctx context.Context, about string, r *net.SRV) Finding {
	target := strings.TrimSuffix(r.Target, ".")
	if target == "" {
		return Finding{Warning, about, "the domain says that it has no such service"}
	}
	addresses, err := s.addresses(ctx, target)
	what := fmt.Sprintf("%s port %d (priority %d, weight %d)", target, r.Port, r.Priority, r.Weight)
	return addressFinding(about, what, len(addresses), err)
}

func addressFinding(about, what string, count int, err error) Finding {
	switch {
	case err != nil:
		return Finding{Bad, about, what + ": " + err.Error()}
	case count == 0:
		return Finding{Bad, about, what + " has no address"}
	case count == 1:
		return Finding{Good, about, what + " has 1 address"}
	}
	return Finding{Good, about, fmt.Sprintf("%s has %d addresses", what, count)}
}
