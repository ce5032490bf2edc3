package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/jabberii/server/jabberd/module"
	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/jabberd/server"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/invite"
	"github.com/jabberii/server/plugins/xmpp/form"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/registration"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// invitations makes, lists and takes back the invitations of a running server's hosts.
func invitations() *cobra.Command {
	cmd := &cobra.Command{Use: "invite", Short: "Invite people to accounts of a running server"}
	socket := socketOf(cmd)
	cmd.AddCommand(addInvitation(socket), listInvitations(socket), removeInvitation(socket))
	return cmd
}

func addInvitation(socket *string) *cobra.Command {
	var by, lifetime string
	uses := 1
	cmd := &cobra.Command{
		Use: "add HOST|JID", Short: "Make an invitation to an account, and print its address", Args: cobra.ExactArgs(1),
		Long: `Make an invitation to an account of a host, or to the account with a JID, and print
the address to hand on. Who opens it in an XMPP client registers there (XEP-0445):
the host's section has to load register, and c2s to name the host in registration. Where
register has invite.page, the https address of the invitation's page follows.`,
		Example: "  jabberd invite add example.org\n  jabberd invite add bob@example.org --by ann@example.org --expires 2d",
	}
	cmd.Flags().StringVar(&by, "by", "", "an account of the host that invites; the two become contacts")
	cmd.Flags().StringVar(&lifetime, "expires", "7d", "how long the invitation can be used")
	cmd.Flags().IntVar(&uses, "uses", 1, "how many accounts can be registered with it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := module.ParseDuration(lifetime)
		if err != nil || d <= 0 {
			return fmt.Errorf("--expires %s: write it like 7d or 12h", lifetime)
		}
		i := &invite.Invitation{Register: true, New: true, Uses: uses, Expires: time.Now().Add(d.Std()).Truncate(time.Second)}
		c := server.Dial(*socket)
		if err := complete(cmd.Context(), c, i, args[0], by); err != nil {
			return err
		}
		if err := invite.Create(cmd.Context(), accountsOf(c), i); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		where := i.URI()
		page, err := pageOf(cmd.Context(), c, i.Host)
		if page != "" {
			where += "\n" + page + i.Token
		}
		_, failed := fmt.Fprintln(cmd.OutOrStdout(), where)
		return errors.Join(err, failed)
	}
	return cmd
}

// complete fills in what the invitation is to and by whom it is made, if it would be of use.
func complete(ctx context.Context, c *server.Client, i *invite.Invitation, to, by string) error {
	j, err := jid.Parse(to)
	switch {
	case err != nil:
		return err
	case !j.IsBare():
		return fmt.Errorf("%s is a session; write it like bob@example.org or example.org", to)
	case j.Local() != "" && i.Uses != 1:
		return fmt.Errorf("%s is one account: --uses is for invitations to a host", to)
	}
	i.Host, i.Username = j.Domain(), j.Local()
	if by != "" {
		inviter, err := bare(by)
		if err != nil {
			return err
		}
		if inviter.Domain() != i.Host {
			return fmt.Errorf("%s is no account of %s", inviter, i.Host)
		}
		there, err := account.Enabled(ctx, accountsOf(c), inviter.String())
		if err == nil && !there {
			err = account.ErrNone
		}
		if err != nil {
			return fmt.Errorf("%s: %w", inviter, err)
		}
		i.By, i.Contact = inviter.String(), true
	}
	return registers(ctx, c, i.Host)
}

// registers fails if nobody can register at a host, since it has no module for it.
func registers(ctx context.Context, c *server.Client, host string) error {
	if why, err := unserved(ctx, c, host); err != nil || why != nil {
		return cmp.Or(err, why)
	}
	answer, err := c.Request(ctx, &packet.Packet{To: host, Name: "iq", Type: "get", Body: xml.AppendEmpty(nil, "query", ns.DiscoInfo)})
	if err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	query, _ := xml.Find(answer.Body, ns.Client, "query", ns.DiscoInfo)
	for el := range query.Elements() {
		if el.Name() == "feature" && el.Attr("var") == registration.NS {
			return nil
		}
	}
	return fmt.Errorf("nobody can register at %s: the section of its users does not load register", host)
}

// pageOf is where the pages of a host's invitations are, "" if there are none.
func pageOf(ctx context.Context, c *server.Client, host string) (string, error) {
	answer, err := c.Request(ctx, &packet.Packet{To: host, Name: "iq", Type: "get", Body: xml.AppendEmpty(nil, "query", ns.DiscoInfo, "node", invite.Node)})
	if err != nil {
		return "", fmt.Errorf("%s: %w", host, err)
	}
	query, _ := xml.Find(answer.Body, ns.Client, "query", ns.DiscoInfo)
	said, err := form.Find(&query)
	if err != nil || said == nil {
		return "", nil // it has no form
	}
	return said.Value(invite.PageField), nil
}

func listInvitations(socket *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{Use: "list HOST", Short: "List the invitations of a host", Args: cobra.ExactArgs(1)}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		list := []*invite.Invitation{}
		err := invite.List(cmd.Context(), accountsOf(server.Dial(*socket)), args[0], "", func(i *invite.Invitation) bool {
			list = append(list, i)
			return true
		})
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), list)
		}
		table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, i := range list {
			// An error is that of the writer behind, which Flush returns.
			_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", i.URI(), madeBy(i), usesOf(i))
		}
		return table.Flush()
	}
	return cmd
}

func madeBy(i *invite.Invitation) string {
	if i.By == "" {
		return "by the server"
	}
	return "by " + i.By
}

func usesOf(i *invite.Invitation) string {
	text := fmt.Sprintf("used %d of %d times", len(i.Used), i.Uses)
	if len(i.Used) > 0 {
		text += " (" + strings.Join(i.Used, ", ") + ")"
	}
	switch {
	case i.Expires.IsZero():
	case time.Now().After(i.Expires):
		text += ", too old"
	default:
		text += ", until " + i.Expires.Local().Format("2006-01-02 15:04")
	}
	return text
}

func removeInvitation(socket *string) *cobra.Command {
	return &cobra.Command{
		Use: "remove HOST TOKEN|ADDRESS", Short: "Take an invitation back", Args: cobra.ExactArgs(2),
		Long: "Take an invitation back, by its address or by what stands behind preauth= in it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			token := args[1]
			if _, after, ok := strings.Cut(token, "preauth="); ok {
				token, _, _ = strings.Cut(after, ";")
			} else {
				token = token[strings.LastIndexByte(token, '/')+1:]
			}
			if err := invite.Revoke(cmd.Context(), accountsOf(server.Dial(*socket)), args[0], token); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "the invitation is taken back")
			return err
		},
	}
}
