package admin

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jabberii/server/plugins/sdk/halt"
	"github.com/jabberii/server/plugins/xmpp/form"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// halts are the commands that end the server.
func (s *service) halts() []*order {
	ask := func(title string) func(context.Context, call) (*form.Form, error) {
		return asks(title,
			form.Field{Var: "delay", Type: form.ListSingle, Label: "In how many seconds", Values: []string{"60"}, Options: delays()},
			form.Field{Var: "announcement", Type: form.TextMulti, Label: "What all who are online are told"})
	}
	return []*order{
		{"restart", "Restart the server", true, ask("The server ends, with all its hosts, and begins anew"), s.halt(true, "begins anew")},
		{"shutdown", "Shut down the server", true, ask("The server ends, with all its hosts, and does not come back by itself"), s.halt(false, "ends")},
	}
}

func delays() (options []form.Option) {
	for _, seconds := range []int{0, 30, 60, 90, 120, 180, 240, 300} {
		label := fmt.Sprintf("in %v", time.Duration(seconds)*time.Second)
		if seconds == 0 {
			label = "at once"
		}
		options = append(options, form.Option{Value: strconv.Itoa(seconds), Label: label})
	}
	return options
}

// halt has the server end, and tells the users of the section's hosts before. The core
// keeps the time, so that it doesn't matter what becomes of this process until then.
func (s *service) halt(restart bool, verb string) func(context.Context, call, *form.Form) (outcome, error) {
	return func(ctx context.Context, c call, f *form.Form) (outcome, error) {
		seconds, _ := strconv.Atoi(f.Value("delay")) // nothing is at once
		o := halt.Order{Restart: restart, After: time.Duration(seconds) * time.Second}
		if err := halt.Ask(ctx, s.asker, c.host, o); err != nil {
			return outcome{}, err
		}
		if text := f.Text("announcement"); text != "" {
			hosts := s.env.Hosts()
			if !slices.Contains(hosts, c.host) { // it has it by a suffix
				hosts = append(hosts, c.host)
			}
			for _, host := range hosts {
				if _, err := s.tell(ctx, host, xml.AppendElement(nil, "body", "", text), nil); err != nil {
					s.env.Log().Warn("users are not told that the server "+verb+": "+err.Error(), "host", host)
				}
			}
		}
		if seconds == 0 {
			return done("the server " + verb), nil
		}
		return done(fmt.Sprintf("the server %s in %v", verb, o.After)), nil
	}
}
