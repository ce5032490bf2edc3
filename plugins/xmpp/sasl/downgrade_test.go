package sasl_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/plugins/xmpp/sasl"
)

// The example of XEP-0474: its hash is that of the offer of XEP-0388's example.
func TestOfferHash(t *testing.T) {
	auth := accounts(t, "pencil")
	auth.Mechanisms = []string{sasl.ScramSHA1, sasl.ScramSHA1Plus}
	channel := secure
	channel.Announced = []string{sasl.TLSServerEndPoint, sasl.TLSExporter}
	server, err := auth.Start(sasl.ScramSHA1Plus, channel)
	if err != nil {
		t.Fatal(err)
	}
	challenge, _, err := server.Step(t.Context(), []byte("p=tls-exporter,,n=juliet,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6"))
	if err != nil || !strings.HasSuffix(string(challenge), ",h=G6k/rBLDqgOhRRaCuuatSDFkJ08=") {
		t.Errorf("%s, %v", challenge, err)
	}
}

// Somebody takes something out of the offer on its way, or puts something in.
func TestDowngrade(t *testing.T) {
	auth := accounts(t, "pencil")
	channel := secure
	channel.Announced = []string{sasl.TLSExporter, sasl.TLSServerEndPoint}
	all := auth.Offer(channel)
	without := func(list []string, name string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == name })
	}
	for _, test := range []struct {
		name               string
		offered, announced []string
		want               error
	}{
		{"as it was", all, channel.Announced, nil},
		{"in another order", slices.Sorted(slices.Values(all)), []string{sasl.TLSServerEndPoint, sasl.TLSExporter}, nil},
		{"without the best", without(all, sasl.ScramSHA512Plus), channel.Announced, sasl.ErrDowngrade},
		{"without the best binding", all, []string{sasl.TLSServerEndPoint}, sasl.ErrDowngrade},
		{"without bindings", all, nil, sasl.ErrDowngrade},
		{"with more", append(slices.Clone(all), "X"), channel.Announced, sasl.ErrDowngrade},
	} {
		for _, mechanism := range []string{sasl.ScramSHA256, sasl.ScramSHA256Plus} {
			t.Run(test.name+" "+mechanism, func(t *testing.T) {
				c := juliet()
				c.Mechanisms, c.Announced = []string{mechanism}, test.announced
				client, err := sasl.NewClient(c, test.offered)
				if err != nil {
					t.Fatal(err)
				}
				server, err := auth.Start(mechanism, channel)
				if err != nil {
					t.Fatal(err)
				}
				clientErr, serverErr := exchange(client, server, nil)
				if !errors.Is(clientErr, test.want) || serverErr != nil {
					t.Errorf("client: %v, server: %v", clientErr, serverErr)
				}
			})
		}
	}
	// The hash cannot be taken out or be another: the proofs cover it.
	c := juliet()
	c.Mechanisms = []string{sasl.ScramSHA1}
	client, _ := sasl.NewClient(c, []string{sasl.ScramSHA1})
	server, _ := auth.Start(sasl.ScramSHA1, channel)
	_, serverErr := exchange(client, server, func(number int, m []byte) []byte {
		if at := strings.Index(string(m), ",h="); number == 1 && at > 0 {
			return m[:at]
		}
		return m
	})
	if !errors.Is(serverErr, sasl.NotAuthorized) {
		t.Errorf("a hash taken out: %v", serverErr)
	}
}
