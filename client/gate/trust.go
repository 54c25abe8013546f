// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// trust is the last charter that the operator trusts: the configured first one, a confirmed
// one, or one that changes nothing that must be confirmed.
type trust struct {
	charter *ledger.Charter
	index   uint64
	leaf    tlog.Hash

	// pending are the amendments from charter to next, kept so that requests need not
	// compare charters.
	next    *ledger.Charter
	pending []Amendment
}

// An Amendment is a charter that the operator has not confirmed.
type Amendment struct {
	Version uint64   `json:"version"`
	Hash    string   `json:"hash"` // event hash in hex, for Confirm
	Changes []Change `json:"changes"`

	charter *ledger.Charter
}

// A Change is one difference to the charter before.
type Change struct {
	Text  string `json:"text"`
	Means string `json:"means,omitempty"` // what follows from it, in words
	// Direction is weaker, stronger or "either way"; "" if the change concerns neither
	// trust nor demands.
	Direction event.Direction `json:"direction,omitempty"`
	Confirm   bool            `json:"confirm,omitempty"` // it must be confirmed
}

func amendment(was, is *ledger.Charter) Amendment {
	a := Amendment{Version: is.Version, Hash: fmt.Sprintf("%x", is.Hash()), charter: is}
	for _, c := range event.Diff(was.Charter, is.Charter) {
		a.Changes = append(a.Changes, Change{c.String(), c.Means, c.Direction, c.Confirm})
	}
	return a
}

func (a *Amendment) needsConfirmation() bool {
	return slices.ContainsFunc(a.Changes, func(c Change) bool { return c.Confirm })
}

// updateTrust trusts the amendments that the operator has confirmed or need not confirm, and
// lists the others.
func (f *follower) updateTrust() error {
	if err := f.trustConfirmed(); err != nil {
		return err
	}
	return f.list()
}

// list keeps the pending amendments, perhaps none, in the file that [Confirm] reads.
func (f *follower) list() error {
	list := f.pending()
	same := func(a, b Amendment) bool { return a.Hash == b.Hash }
	if f.trusted.charter == nil || f.listed != nil && slices.EqualFunc(list, f.listed, same) {
		return nil
	}
	list = append([]Amendment{}, list...)
	b, err := json.Marshal(list)
	if err == nil {
		err = durable.WriteFile(filepath.Join(f.cfg.Dir, pendingFile), b, 0o600)
	}
	if err == nil {
		f.listed = list
	}
	return err
}

// trustConfirmed trusts the amendments in their order. A charter's prev binds it to those
// before, so its hash confirms them, too.
func (f *follower) trustConfirmed() error {
	in := f.ledger.Charter()
	if f.trusted.charter == nil {
		c := f.ledger.CharterAt(f.trusted.index + 1)
		if c == nil || c.Index != f.trusted.index || c.Leaf != f.trusted.leaf {
			return f.stop(fmt.Errorf("the charter that the operator trusts is not entry %d of this log", f.trusted.index))
		}
		f.trusted.charter = c
	}
	if f.trusted.index == in.Index {
		return nil
	}
	list := f.pending()
	confirmed, err := f.confirmed(charterFile)
	if err != nil {
		return err
	}
	// An amendment that another one takes back is confirmed, too: entries between them may
	// rely on it.
	n := 1 + slices.IndexFunc(list, func(a Amendment) bool { return a.Hash == confirmed })
	for n < len(list) && !list[n].needsConfirmation() {
		n++
	}
	if n > 0 {
		c := list[n-1].charter
		f.trusted = trust{charter: c, index: c.Index, leaf: c.Leaf, next: in, pending: list[n:]}
		f.cfg.Logger.Info("the gate trusts a charter", "version", c.Version, "hash", list[n-1].Hash)
	}
	return nil
}

// pending returns the amendments from the trusted charter to the one in force.
func (f *follower) pending() []Amendment {
	in := f.ledger.Charter()
	if in == nil || f.trusted.charter == nil || f.trusted.index == in.Index {
		return nil
	}
	if f.trusted.next == nil || f.trusted.next.Index != in.Index {
		var list []Amendment
		for c := in; c.Index > f.trusted.index; {
			was := f.ledger.CharterAt(c.Index)
			list = append(list, amendment(was, c))
			c = was
		}
		slices.Reverse(list)
		f.trusted.next, f.trusted.pending = in, list
	}
	return f.trusted.pending
}

// ErrNotPending: what the operator confirms waits for no confirmation. Nothing was recorded.
var ErrNotPending = errors.New("nothing is recorded")

// Confirm records what a gate's operator decides, durably and in the gate's state directory.
// The gate takes it up at its next update from the log, whether it runs or not. what is the
// hash of an amendment ([Amendment]) or, after a fork, one of the two heads as SIZE:ROOT, the
// root in hex. Confirm returns the amendments that the hash confirms; with [ErrNotPending] it
// returns all that the gate waits for. A gate that has not read its log yet knows of none, and
// takes any hash.
func Confirm(dir, what string) ([]Amendment, error) {
	check, name := pendingUpTo, charterFile
	if strings.Contains(what, ":") {
		check, name = forkHas, survivorFile
	}
	if _, err := os.Stat(filepath.Join(dir, headFile)); err != nil {
		return nil, fmt.Errorf("no gate's state: %w", err)
	}
	list, err := check(dir, what)
	if err != nil {
		return list, err
	}
	return list, durable.WriteFile(filepath.Join(dir, name), []byte(what+"\n"), 0o600)
}

// pendingUpTo returns the amendments that a hash confirms, as the gate listed them last.
func pendingUpTo(dir, hash string) (list []Amendment, err error) {
	if raw, err := hex.DecodeString(hash); err != nil || len(raw) != len(tlog.Hash{}) || hex.EncodeToString(raw) != hash {
		return nil, fmt.Errorf("%q is not a hash of 64 hex digits; see status", hash)
	}
	b, err := durable.ReadFile(filepath.Join(dir, pendingFile), maxPending)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		return nil, err
	}
	n := 1 + slices.IndexFunc(list, func(a Amendment) bool { return a.Hash == hash })
	switch {
	case n > 0:
		return list[:n], nil
	case len(list) == 0:
		return nil, fmt.Errorf("%w: no charter waits for a confirmation at what the gate has read of the log", ErrNotPending)
	}
	return list, fmt.Errorf("%w: no charter of this hash waits for a confirmation; the last that does is %s", ErrNotPending, list[len(list)-1].Hash)
}

// forkHas returns nil if a head is one of the two of the fork that stops the gate.
func forkHas(dir, head string) ([]Amendment, error) {
	fork, err := evidence(dir, forkFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no fork stops this gate", ErrNotPending)
	} else if err != nil {
		return nil, err
	}
	small, large := survivor(&fork.Small.Head), survivor(&fork.Large.Head)
	if head != small && head != large {
		return nil, fmt.Errorf("%w: the fork is between %s and %s", ErrNotPending, small, large)
	}
	return nil, nil
}

// confirmed returns what the operator confirmed last, "" for nothing.
func (f *follower) confirmed(name string) (string, error) {
	b, err := durable.ReadFile(filepath.Join(f.cfg.Dir, name), 256)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSuffix(string(b), "\n"), err
}
