// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// trust is the last charter that the operator trusts: the configured first one, a confirmed
// one, or one that changes no trust.
type trust struct {
	charter *ledger.Charter
	index   uint64
	leaf    tlog.Hash

	// changes are those of the charter next, kept so that requests need not compute them.
	next    *ledger.Charter
	changes []Change
}

// A Change is a charter's change of who is trusted.
type Change struct {
	Name string `json:"name"` // for Confirm
	Text string `json:"text"`
	// Group is the custodian group whose accesses depend on it; "": all do.
	Group string `json:"group,omitempty"`
}

// updateTrust trusts the charter in force if that changes no trust.
func (f *follower) updateTrust() error {
	in := f.ledger.Charter()
	if f.trusted.charter == nil {
		c := f.ledger.CharterAt(f.trusted.index + 1)
		if c == nil || c.Index != f.trusted.index || c.Leaf != f.trusted.leaf {
			return f.stop(fmt.Errorf("the charter that the operator trusts is not entry %d of this log", f.trusted.index))
		}
		f.trusted.charter = c
	}
	if f.trusted.charter == in || f.trusted.next == in {
		return nil
	}
	f.trusted.next, f.trusted.changes = in, changes(f.trusted.charter, in)
	if len(f.trusted.changes) == 0 {
		f.trusted = trust{charter: in, index: in.Index, leaf: in.Leaf}
	}
	return nil
}

// pending returns the changes that the operator must confirm.
func (f *follower) pending() []Change {
	in := f.ledger.Charter()
	if in == nil || f.trusted.charter == nil || f.trusted.charter == in {
		return nil
	}
	if f.trusted.next == in {
		return f.trusted.changes
	}
	return changes(f.trusted.charter, in)
}

// confirm is Gate.Confirm, after a sync.
func (f *follower) confirm(names []string) error {
	list := f.pending()
	if len(list) == 0 {
		return errors.New("there is no change of who is trusted to confirm")
	}
	var want []string
	for _, c := range list {
		want = append(want, c.Name)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if !slices.Equal(want, slices.Compact(slices.Sorted(slices.Values(names)))) {
		return fmt.Errorf("name each of the changes to confirm: \"%s\"", strings.Join(want, `", "`))
	}
	in := f.ledger.Charter()
	before := f.trusted
	f.trusted = trust{charter: in, index: in.Index, leaf: in.Leaf}
	head := f.head
	if v := f.replica.Tree().Head(); v != nil && v.Checkpoint.Size == f.ledger.Size() {
		var err error
		if head, err = in.Witnesses.Verify(v.Checkpoint, f.cfg.Origin); err != nil {
			f.trusted = before
			return fmt.Errorf("the log's head does not meet the new policy: %w", err)
		}
	}
	if err := f.record(head); err != nil {
		f.trusted = before
		return err
	}
	f.head = head
	return nil
}

// changes returns the changes of who is trusted between two charters, by name.
func changes(was, is *ledger.Charter) []Change {
	var out []Change
	for _, c := range event.Diff(was.Charter, is.Charter) {
		if c.Name == "" {
			continue
		}
		if c.Groups == nil {
			c.Groups = []string{""}
		}
		for _, g := range c.Groups {
			out = append(out, Change{Name: c.Name, Text: c.String(), Group: g})
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
