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

// trust is the last charter that the operator trusts: the first one, which is
// configured, or one that was confirmed, or that changes nobody's trust.
type trust struct {
	charter *ledger.Charter
	index   uint64
	leaf    tlog.Hash

	// What the charter next changes, computed once instead of for each request.
	next    *ledger.Charter
	changes []Change
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
	if b.trusted.charter == in || b.trusted.next == in {
		return nil
	}
	b.trusted.next, b.trusted.changes = in, changes(b.trusted.charter, in)
	if len(b.trusted.changes) == 0 {
		b.trusted = trust{charter: in, index: in.Index, leaf: in.Leaf}
	}
	return nil
}

// pending are the changes that the operator has not confirmed.
func (b *book) pending() []Change {
	in := b.ledger.Charter()
	if in == nil || b.trusted.charter == nil || b.trusted.charter == in {
		return nil
	}
	if b.trusted.next == in {
		return b.trusted.changes
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
	want = slices.Compact(want)
	if !slices.Equal(want, slices.Compact(slices.Sorted(slices.Values(names)))) {
		return fmt.Errorf("the changes to confirm are \"%s\"; name each of them", strings.Join(want, `", "`))
	}
	in := b.ledger.Charter()
	before := b.trusted
	b.trusted = trust{charter: in, index: in.Index, leaf: in.Leaf}
	head := b.head
	if v := b.replica.Tree().Head(); v != nil && v.Checkpoint.Size == b.ledger.Size() {
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

// changes lists what differs between two charters in who is trusted, by name.
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
