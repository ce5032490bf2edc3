package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/element"
	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// addresses is how many prepared addresses are remembered.
const addresses = 256

// elements is the form xml.
type elements struct {
	program *program
	backlog *backlog
	limits  xml.Limits
	names   *jid.Cache
}

func newElements(g *program, b *backlog, a args) *elements {
	return &elements{program: g, backlog: b, limits: xml.Limits{Bytes: int(a.Limit)}, names: jid.NewCache(addresses)}
}

// handle writes a packet to whichever process runs. One that has ended before
// the packet was written has not got it.
func (x *elements) handle(ctx context.Context, p *packet.Packet) (packet.Verdict, error) {
	text := appendElement(nil, p)
	for {
		c, err := x.program.process(ctx)
		if err != nil {
			return packet.Pass, err
		}
		if err = c.stdin.write(ctx, text); !errors.Is(err, errEnded) {
			return packet.Claim, err
		}
		select {
		case <-c.ended:
		case <-ctx.Done():
			return packet.Pass, ctx.Err()
		}
	}
}

// appendElement appends a packet as one line. That of a log entry has its host,
// which has no other place, as an attribute.
func appendElement(dst []byte, p *packet.Packet) []byte {
	if p.Kind == packet.Log && p.Host != "" {
		entry := *p
		entry.Attrs = string(xml.AppendAttr(nil, "host", p.Host)) + p.Attrs
		p = &entry
	}
	return append(appendOneLine(dst, element.Append(nil, p)), '\n')
}

// listen delivers what the process prints. The elements stand in a stream of
// which nobody writes the start.
func (x *elements) listen(c *process) error {
	start := strings.NewReader("<packets xmlns='" + ns.Client + "'>")
	in := xml.NewReader(io.MultiReader(start, output{c, c.stdout}), x.limits)
	for {
		t, err := in.Next()
		var bad *xml.SyntaxError
		switch {
		case errors.As(err, &bad):
			return fmt.Errorf("what it prints is no XML: %w", err)
		case err != nil:
			return err
		case t.Kind == xml.Close:
			return io.EOF
		case t.Kind == xml.Open:
			continue
		}
		p, err := element.Packet(t, x.names)
		var malformed *packet.Reject
		if errors.As(err, &malformed) {
			x.backlog.refuse(sent{p: p}, malformed)
			continue
		}
		x.backlog.put(sent{p: p}, c.stdin.late, c.life.Done())
	}
}

func (x *elements) would() (packet.Verdict, string) {
	return packet.Claim, "writes it to " + x.program.name
}
