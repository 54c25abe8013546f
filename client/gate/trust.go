// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// trust is the last charter that the operator trusts: the first one, which is
// configured, or one that was confirmed, or that changes nobody's trust.
type trust struct {
	charter *ledger.Charter
	index   uint64
	leaf    [32]byte
}

// A Change is what a charter changes about who is trusted.
type Change struct {
	Name string `json:"name"` // what it is confirmed by
	Text string `json:"text"`
	// Group is the custodian group whose accesses depend on it; "": all do.
	Group string `json:"group,omitempty"`
}

// settleTrust goes on to the charter in force if that changes nobody's trust.
func (b *book) settleTrust() error {
	in := b.ledger.Charter()
	if b.trusted.charter == nil {
		c := b.ledger.CharterAt(b.trusted.index + 1)
		if c == nil || c.Index != b.trusted.index || c.Leaf != b.trusted.leaf {
			return b.stop(fmt.Errorf("the charter that the operator trusts is not entry %d of this log", b.trusted.index))
		}
		b.trusted.charter = c
	}
	if b.trusted.charter != in && len(changes(b.trusted.charter, in)) == 0 {
		b.trusted = trust{in, in.Index, in.Leaf}
	}
	return nil
}

// pending are the changes that the operator has not confirmed.
func (b *book) pending() []Change {
	in := b.ledger.Charter()
	if in == nil || b.trusted.charter == nil || b.trusted.charter == in {
		return nil
	}
	return changes(b.trusted.charter, in)
}

// confirm makes the charter in force the trusted one, if the names are exactly
// those of its changes.
func (b *book) confirm(names []string) error {
	list := b.pending()
	if len(list) == 0 {
		return errors.New("no change of trust waits to be confirmed")
	}
	var want []string
	for _, c := range list {
		want = append(want, c.Name)
	}
	slices.Sort(want)
	got := slices.Sorted(slices.Values(names))
	if !slices.Equal(slices.Compact(want), slices.Compact(got)) {
		return fmt.Errorf("the changes to confirm are %s; name each of them", quoted(want))
	}
	in := b.ledger.Charter()
	before := b.trusted
	b.trusted = trust{in, in.Index, in.Leaf}
	head := b.head
	if v := b.follower.Head(); v != nil && v.Checkpoint.Size == b.ledger.Size() {
		var err error
		if head, err = in.Witnesses.Verify(v.Checkpoint, b.cfg.Origin); err != nil {
			b.trusted = before
			return fmt.Errorf("the log's head does not meet the new policy: %w", err)
		}
	}
	if err := b.record(head); err != nil {
		b.trusted = before
		return err
	}
	b.head = head
	return nil
}

func quoted(list []string) string {
	var out []string
	for _, s := range slices.Compact(list) {
		out = append(out, fmt.Sprintf("%q", s))
	}
	return strings.Join(out, ", ")
}

// changes lists what differs between two charters in who is trusted, by name.
func changes(was, is *ledger.Charter) []Change {
	var out []Change
	note := func(group, name, format string, args ...any) {
		out = append(out, Change{Name: name, Text: fmt.Sprintf(format, args...), Group: group})
	}
	diff(was.LogKeys, is.LogKeys, func(s, how string) { note("", "log key "+keyName(s), "log key %s %s", s, how) })
	policy := func(who, from, to string) {
		diff(strings.Split(from, "\n"), strings.Split(to, "\n"), func(line, how string) {
			name := who + " policy"
			if words := strings.Fields(line); len(words) > 2 && words[0] == "witness" {
				name = who + " " + keyName(words[2])
			}
			note("", name, "%s %s", line, how)
		})
	}
	policy("witness", was.WitnessPolicy, is.WitnessPolicy)
	policy("auditor", was.AuditPolicy, is.AuditPolicy)
	if was.Thresholds != is.Thresholds {
		note("", "thresholds", "charter keys that amend and recover: %v, and were %v", is.Thresholds, was.Thresholds)
	}
	for _, role := range []event.Role{event.RoleCharter, event.RoleAuditor, event.RoleCustodian} {
		for _, name := range partyNames(role, was.Charter, is.Charter) {
			a, b := was.Party(role, name), is.Party(role, name)
			if reflect.DeepEqual(partyKeys(a), partyKeys(b)) {
				continue
			}
			how := "has other keys"
			if a == nil {
				how = "is new"
			} else if b == nil {
				how = "is gone"
			}
			if role != event.RoleCustodian {
				note("", string(role)+" "+name, "%s %s %s", role, name, how)
				continue
			}
			for _, g := range groupsOf(name, was.Charter, is.Charter) {
				note(g, "custodian "+name, "custodian %s of group %s %s", name, g, how)
			}
		}
	}
	for _, id := range groupNames(was.Charter, is.Charter) {
		if a, b := group(was.Charter, id), group(is.Charter, id); !reflect.DeepEqual(a, b) {
			note(id, "group "+id, "group %s: %s, and was %s", id, groupText(b), groupText(a))
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// diff calls do for what is in one list only; the order decides nothing.
func diff(was, is []string, do func(s, how string)) {
	for _, s := range was {
		if s != "" && !slices.Contains(is, s) {
			do(s, "is gone")
		}
	}
	for _, s := range is {
		if s != "" && !slices.Contains(was, s) {
			do(s, "is new")
		}
	}
}

// keyName shortens a verifier key to its name and key id.
func keyName(vkey string) string {
	k, err := tlog.ParseVerifierKey(vkey)
	if err != nil {
		return vkey
	}
	return fmt.Sprintf("%s+%08x", k.Name, k.ID)
}

// partyKeys is what of a party is trusted.
func partyKeys(p *event.Party) any {
	if p == nil {
		return nil
	}
	var ids []string
	for _, k := range p.Keys {
		ids = append(ids, k.KeyID())
	}
	return []any{ids, p.Cosigners, p.Gates}
}

func partyNames(role event.Role, charters ...*event.Charter) []string {
	var out []string
	for _, c := range charters {
		for _, p := range c.Parties {
			if p.Role == role {
				out = append(out, p.Name)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func groupNames(charters ...*event.Charter) []string {
	var out []string
	for _, c := range charters {
		for _, g := range c.Groups {
			out = append(out, g.ID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func groupsOf(custodian string, charters ...*event.Charter) []string {
	var out []string
	for _, c := range charters {
		for _, g := range c.Groups {
			if slices.Contains(g.Members, custodian) {
				out = append(out, g.ID)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func group(c *event.Charter, id string) *event.Group {
	for i := range c.Groups {
		if c.Groups[i].ID == id {
			return &c.Groups[i]
		}
	}
	return nil
}

func groupText(g *event.Group) string {
	if g == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d of %s", g.Threshold, strings.Join(g.Members, " "))
}
