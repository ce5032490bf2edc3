package account_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jabberii/server/jabberd/packet"
	"github.com/jabberii/server/plugins/sdk/account"
	"github.com/jabberii/server/plugins/sdk/xdb"
	"github.com/jabberii/server/plugins/xmpp/sasl"
)

func TestParseList(t *testing.T) {
	many := strings.Repeat("nobody\n", 12)
	tests := []struct {
		name, text string
		want       []account.Credential
		errs       []string
	}{
		{"empty", "", nil, nil},
		{"comments and empty lines", "# all of them\n\n  # indented\nann@example.org secret\n",
			[]account.Credential{{"ann@example.org", "secret", 4}}, nil},
		{"blanks and tabs between", "ann@example.org \t two words \nbob@example.org\tx",
			[]account.Credential{{"ann@example.org", "two words ", 1}, {"bob@example.org", "x", 2}}, nil},
		{"carriage returns", "ann@example.org secret\r\n", []account.Credential{{"ann@example.org", "secret", 1}}, nil},
		{"an address is prepared", "ANN@Example.ORG x", []account.Credential{{"ann@example.org", "x", 1}}, nil},
		{"no password", "ann@example.org\n", nil, []string{"line 1: there is no password"}},
		{"an empty password", "ann@example.org  \n", nil, []string{"line 1: the password is empty"}},
		{"a domain", "\nexample.org x\n", nil, []string{"line 2: example.org is no account"}},
		{"a full address", "ann@example.org/home x\n", nil, []string{"is no account"}},
		{"no address", "@ x\nann@example.org x\n", nil, []string{"line 1: "}},
		{"twice", "ann@example.org x\nAnn@example.org y\n", nil, []string{"line 2: ann@example.org is in line 1 already"}},
		{"all that is wrong", "nobody\nann@example.org x\nnobody\n", nil, []string{"line 1: ", "line 3: "}},
		{"much that is wrong", many, nil, []string{"line 10: ", "and 2 more"}},
		{"a long line", "ann@example.org " + strings.Repeat("x", 70000), nil, []string{"too long"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := account.ParseList(strings.NewReader(test.text))
			if !slices.Equal(got, test.want) {
				t.Errorf("list %+v, want %+v", got, test.want)
			}
			if (err != nil) != (test.errs != nil) {
				t.Fatalf("error %v", err)
			}
			for _, want := range test.errs {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestCheckDomains(t *testing.T) {
	list, err := account.ParseList(strings.NewReader("# all\nann@here x\nbob@there x\neve@there x\n"))
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]int{}
	check := func(domain string) (wrong, err error) {
		asked[domain]++
		if domain == "there" {
			return errors.New("not ours"), nil
		}
		return nil, nil
	}
	err = account.CheckDomains(list, check)
	if want := "line 3: bob@there: not ours\nline 4: eve@there: not ours"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if asked["here"] != 1 || asked["there"] != 1 {
		t.Errorf("asked %v", asked)
	}
	if err := account.CheckDomains(list[:1], check); err != nil {
		t.Error(err)
	}
	away := errors.New("nobody answers")
	if err := account.CheckDomains(list, func(string) (error, error) { return nil, away }); !errors.Is(err, away) || err.Error() != "nobody answers" {
		t.Errorf("%v", err)
	}
}

func TestImport(t *testing.T) {
	ctx, s := context.Background(), store(t)
	if err := account.Add(ctx, s, "u3@example.org", "before"); err != nil {
		t.Fatal(err)
	}
	var list []account.Credential
	for i := range 20 {
		list = append(list, account.Credential{JID: fmt.Sprintf("u%d@example.org", i), Password: fmt.Sprint("pw", i)})
	}
	added, known, err := account.Import(ctx, s, list)
	if added != 19 || known != 1 || err != nil {
		t.Errorf("added %d, known %d, %v", added, known, err)
	}
	for i, c := range list {
		want := c.Password
		if i == 3 {
			want = "before"
		}
		if k, err := account.Keys(ctx, s, c.JID, sasl.SHA256); err != nil || !k.Verify(want) {
			t.Errorf("%s does not have the password %q: %v", c.JID, want, err)
		}
	}
	if added, known, err := account.Import(ctx, s, list); added != 0 || known != 20 || err != nil {
		t.Errorf("again: added %d, known %d, %v", added, known, err)
	}
}

// A broken store answers nothing.
type broken struct{}

var errBroken = errors.New("the disk is full")

func (broken) Ask(context.Context, *packet.Packet) (*packet.Packet, error) { return nil, errBroken }

func TestImportEndsWithAnError(t *testing.T) {
	list := make([]account.Credential, 1000)
	for i := range list {
		list[i] = account.Credential{JID: fmt.Sprintf("u%d@example.org", i), Password: "x"}
	}
	added, _, err := account.Import(context.Background(), xdb.New(broken{}, "test"), list)
	if added != 0 || !errors.Is(err, errBroken) {
		t.Errorf("added %d, %v", added, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if added, _, err := account.Import(ctx, store(t), list); added != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: added %d, %v", added, err)
	}
}
