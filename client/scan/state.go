// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/vasistas/vasistas/client/escrow"
)

// state is what a scan has found so far: its part of the snapshot.
type state struct {
	Seed        string   `json:"seed"` // hex hash that names the seed
	Notices     uint64   `json:"notices"`
	Found       []*found `json:"found,omitempty"`
	Left        uint64   `json:"left,omitempty"` // notices beyond those that are kept
	Breaches    []Breach `json:"breaches,omitempty"`
	BreachCount uint64   `json:"breachCount,omitempty"`
}

// seedName names a seed by a hash that tells nothing of it.
func seedName(s *escrow.Seed) string {
	h := sha256.Sum256(append([]byte("vasistas scan seed v1\n"), s.Bytes()...))
	return hex.EncodeToString(h[:])
}

// UnmarshalJSON takes up a state of the same seed.
func (s *state) UnmarshalJSON(b []byte) error {
	type plain state
	seed := s.Seed
	if err := json.Unmarshal(b, (*plain)(s)); err != nil {
		return err
	}
	if s.Seed != seed {
		return errors.New("it is of another seed")
	}
	for i, x := range s.Found {
		if x == nil || (x.Notice == nil) == (x.Error == "") {
			return fmt.Errorf("want notice %d, or why it is none", i)
		}
	}
	return nil
}
