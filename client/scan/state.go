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

type state struct {
	Seed        string   `json:"seed"` // hex hash that names the seed
	Notices     uint64   `json:"notices"`
	Hits        []*hit   `json:"found,omitempty"`
	Left        uint64   `json:"left,omitempty"` // hits that are not kept
	Breaches    []Breach `json:"breaches,omitempty"`
	BreachCount uint64   `json:"breachCount,omitempty"`
}

// seedName returns a hash that names a seed and does not reveal it.
func seedName(s *escrow.Seed) string {
	h := sha256.Sum256(append([]byte("vasistas scan seed v1\n"), s.Bytes()...))
	return hex.EncodeToString(h[:])
}

// UnmarshalJSON parses a state, which must be of the same seed.
func (s *state) UnmarshalJSON(b []byte) error {
	type plain state
	seed := s.Seed
	if err := json.Unmarshal(b, (*plain)(s)); err != nil {
		return err
	}
	if s.Seed != seed {
		return errors.New("it is of another seed")
	}
	for i, x := range s.Hits {
		if x == nil || (x.Notice == nil) == (x.Error == "") {
			return fmt.Errorf("notice %d has neither its text nor an error, or both", i)
		}
	}
	return nil
}
