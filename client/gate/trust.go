// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
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
// keeps the others in a file for [Pending].
func (f *follower) updateTrust() error {
	if err := f.trustConfirmed(); err != nil {
		return err
	}
	list := f.pending()
	if len(list) == 0 || list[len(list)-1].Hash == f.shown {
		return nil
	}
	f.shown = list[len(list)-1].Hash
	b, err := json.Marshal(list)
	if err == nil {
		err = durable.WriteFile(filepath.Join(f.cfg.Dir, pendingFile), b, 0o600)
	}
	if err != nil {
		f.cfg.Logger.Warn("confirm will not show what it confirms; status does", "err", err)
	}
	return nil
}

// Pending returns the amendments that a gate with this state directory waits for, or waited for
// last, up to the one with this hash: those that the hash confirms. It returns none for another
// hash. The gate may be running.
func Pending(dir, hash string) ([]Amendment, error) {
	b, err := durable.ReadFile(filepath.Join(dir, pendingFile), maxPending)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var list []Amendment
	err = json.Unmarshal(b, &list)
	return list[:1+slices.IndexFunc(list, func(a Amendment) bool { return a.Hash == hash })], err
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

// Confirm records what a gate's operator decides, durably and in the gate's state directory.
// The gate takes it up at its next update from the log, whether it runs or not. what is the
// hash of an amendment ([Amendment]) or, after a fork, the surviving head as SIZE:ROOT, the
// root in hex.
func Confirm(dir, what string) error {
	name := charterFile
	if strings.Contains(what, ":") {
		name = survivorFile
		if _, _, err := parseSurvivor(what); err != nil {
			return err
		}
	} else if _, err := parseHash(what); err != nil {
		return err
	}
	if _, err := durable.ReadFile(filepath.Join(dir, headFile), maxHead+1024); err != nil {
		return fmt.Errorf("no gate's state: %w", err)
	}
	return durable.WriteFile(filepath.Join(dir, name), []byte(what+"\n"), 0o600)
}

// parseHash parses 64 lower-case hex digits.
func parseHash(s string) (h tlog.Hash, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) || hex.EncodeToString(b) != s {
		return h, fmt.Errorf("%q is not a hash of 64 hex digits; see status", s)
	}
	return tlog.Hash(b), nil
}

func parseSurvivor(s string) (size uint64, root tlog.Hash, err error) {
	number, hash, _ := strings.Cut(s, ":")
	if size, err = strconv.ParseUint(number, 10, 64); err != nil {
		return 0, root, fmt.Errorf("%q is no size of a head: %w", number, err)
	}
	root, err = parseHash(hash)
	return size, root, err
}

// confirmed returns what the operator confirmed last, "" for nothing.
func (f *follower) confirmed(name string) (string, error) {
	b, err := durable.ReadFile(filepath.Join(f.cfg.Dir, name), 256)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSuffix(string(b), "\n"), err
}
