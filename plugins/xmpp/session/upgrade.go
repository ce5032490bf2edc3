package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jabberii/server/plugins/xmpp/jid"
	"github.com/jabberii/server/plugins/xmpp/ns"
	"github.com/jabberii/server/plugins/xmpp/sasl"
	"github.com/jabberii/server/plugins/xmpp/xml"
)

// Upgrades add keys of further hashes to accounts, which their clients derive from the
// password (XEP-0480). They are called for many connections at a time.
type Upgrades interface {
	// Missing lists the hashes for which an account has no keys.
	Missing(ctx context.Context, account jid.JID) ([]sasl.Hash, error)
	// Add gives an account keys. If it has some of that hash they stay.
	Add(ctx context.Context, account jid.JID, keys sasl.Keys) error
}

const upgradeTask = "UPGR-SCRAM-"

func appendUpgrades(dst []byte, hashes []sasl.Hash) []byte {
	for _, h := range hashes {
		dst = xml.AppendElement(dst, "upgrade", ns.Upgrade, upgradeTask+string(h))
	}
	return dst
}

// upgrades are the tasks of a login: what the client wants, is offered, and missing.
// Only who has proved the password may give keys of it.
func (o *offerSASL2) upgrades(ctx context.Context, l *login) ([]sasl.Hash, error) {
	mechanism := l.exchange.Mechanism()
	if o.Upgrades == nil || len(l.request.upgrades) == 0 || mechanism != sasl.Plain && !strings.HasPrefix(mechanism, "SCRAM-") {
		return nil, nil
	}
	missing, err := o.Upgrades.Missing(ctx, l.account)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(o.UpgradeTo), func(h sasl.Hash) bool {
		return !slices.Contains(missing, h) || !slices.Contains(l.request.upgrades, upgradeTask+string(h))
	}), nil
}

// appendContinue asks the client to go on with the next task.
func appendContinue(dst []byte, l *login) []byte {
	dst = xml.AppendStart(dst, "continue", ns.SASL2)
	dst = l.appendData(dst)
	dst = xml.AppendStart(dst, "tasks", "")
	dst = xml.AppendElement(dst, "task", "", upgradeTask+string(l.tasks[0]))
	dst = xml.AppendEnd(dst, "tasks")
	return xml.AppendEnd(dst, "continue")
}

var errTask = &sasl.Failure{Condition: sasl.MalformedRequest, Text: "not the task's turn"}

// task takes an element of the task at hand. Without an answer the task is done.
func (o *offerSASL2) task(ctx context.Context, l *login, t *xml.Token) (out []byte, err error) {
	h := l.tasks[0]
	switch {
	case t.Name == "next" && l.salt == nil && string(t.Attr("task")) == upgradeTask+string(h):
		l.salt = sasl.NewSalt()
		out = xml.AppendStart(nil, "task-data", ns.SASL2)
		out = xml.AppendElement(out, "salt", ns.ScramUpgrade, encode(l.salt), "iterations", strconv.Itoa(sasl.MinIterations))
		return xml.AppendEnd(out, "task-data"), nil
	case t.Name != "task-data" || l.salt == nil:
		return nil, errTask
	}
	el, ok := xml.Find(t.Body, ns.SASL2, "hash", ns.ScramUpgrade)
	if !ok {
		return nil, errTask
	}
	salted, err := decode2(el.Text())
	if err != nil {
		return nil, err
	}
	keys, err := sasl.SaltedKeys(h, salted, l.salt, sasl.MinIterations)
	if err != nil {
		return nil, &sasl.Failure{Condition: sasl.MalformedRequest, Cause: err}
	}
	l.salt, l.tasks = nil, l.tasks[1:]
	return nil, o.Upgrades.Add(ctx, l.account, keys)
}

// upgrade does a task on the initiating side: it derives what the server wants.
func (n *Negotiator) upgrade(name, password string) error {
	hash, ok := strings.CutPrefix(name, upgradeTask)
	if !ok || password == "" {
		return fmt.Errorf("unknown task %s", name)
	}
	if err := n.Write(xml.AppendEmpty(nil, "next", ns.SASL2, "task", name)); err != nil {
		return err
	}
	t, err := n.Next()
	if err != nil {
		return err
	}
	if t.NS != ns.SASL2 || t.Name != "task-data" {
		return fmt.Errorf("unexpected element %s", t.Name)
	}
	el, ok := xml.Find(t.Body, ns.SASL2, "salt", ns.ScramUpgrade)
	if !ok {
		return errors.New("task without a salt")
	}
	salt, err := decode2(el.Text())
	if err != nil {
		return err
	}
	iterations, err := strconv.Atoi(el.Attr("iterations"))
	if err != nil || iterations < sasl.MinIterations {
		return errors.New("task with too few iterations")
	}
	salted, err := sasl.SaltedPassword(sasl.Hash(hash), password, salt, iterations)
	if err != nil {
		return err
	}
	out := xml.AppendStart(nil, "task-data", ns.SASL2)
	out = xml.AppendElement(out, "hash", ns.ScramUpgrade, encode(salted))
	return n.Write(xml.AppendEnd(out, "task-data"))
}
