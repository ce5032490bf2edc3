package command

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/cli"
	"github.com/jabberii/server/jabberd/survey"
	"github.com/jabberii/server/plugins/xmpp/jid"
)

// surveys are the commands below check that look at a host from the outside.
func surveys() []*cobra.Command {
	type look func(*survey.Surveyor, context.Context, string) []survey.Finding
	command := func(use, short, long string, look look) *cobra.Command {
		var server, roots string
		var timeout time.Duration
		var asJSON bool
		cmd := &cobra.Command{Use: use + " HOST", Short: short, Long: long + "\n\nThe exit status is 1 if something does not work.", Args: cobra.ExactArgs(1)}
		cmd.Flags().StringVar(&server, "resolver", "", "the DNS server to ask, `address:port`, instead of the system's")
		cmd.Flags().StringVar(&roots, "ca", "", "a PEM `file` with the authorities to believe, instead of the system's")
		cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "how long one connection may take")
		cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			host, err := jid.New("", args[0], "")
			if err != nil {
				return err
			}
			s := &survey.Surveyor{Timeout: timeout}
			if server != "" {
				s.Resolver = resolver(server)
			}
			if roots != "" {
				if s.Roots, err = authorities(roots); err != nil {
					return err
				}
			}
			return report(cmd, look(s, cmd.Context(), host.Domain()), asJSON)
		}
		return cmd
	}
	return []*cobra.Command{
		command("dns", "Look at the DNS records of a host",
			"Look at the SRV records by which clients and other servers find a host, and whether what\nthey name has addresses.", (*survey.Surveyor).DNS),
		command("ports", "Connect to what the DNS says of a host",
			"Connect to every address that clients and other servers would try for a host.", (*survey.Surveyor).Ports),
		command("certs", "Look at the certificates of a host",
			"Begin TLS, with STARTTLS or directly, at every address that clients and other servers\nwould try for a host, and look at the certificate.", (*survey.Surveyor).Certificates),
	}
}

func resolver(address string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}

func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(file + " has no certificate in PEM")
	}
	return pool, nil
}

func report(cmd *cobra.Command, found []survey.Finding, asJSON bool) error {
	var err error
	if asJSON {
		err = printJSON(cmd.OutOrStdout(), found)
	} else {
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, f := range found {
			// An error is that of the writer behind, which Flush returns.
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", f.Level, f.About, f.Text)
		}
		err = table.Flush()
	}
	for _, f := range found {
		if f.Level == survey.Bad && err == nil {
			err = cli.ErrComplaints
		}
	}
	return err
}
