// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"encoding/binary"
	"fmt"

	"github.com/vasistas/vasistas/log/event"
)

// Bytes returns the notice as a subject keeps it once it is opened: its canonical
// JSON, without what hides its length. It sorts the openings in place.
func (n *Notice) Bytes() ([]byte, error) {
	b, err := n.plaintext()
	if err != nil {
		return nil, err
	}
	return b[4 : 4+binary.BigEndian.Uint32(b)], nil
}

// ParseNotice reads what Bytes writes, and nothing else. Errors wrap ErrMalformed.
func ParseNotice(b []byte) (*Notice, error) {
	padded, err := padNotice(b)
	if err == nil {
		var n *Notice
		if n, err = parseNotice(padded); err == nil {
			return n, nil
		}
	}
	return nil, fmt.Errorf("notice: %w", err)
}

// NoticeKEM returns the kind of key that a notice of this length is sealed to, false if
// no notice has it: who tries many keys need not try those of the other kind.
func NoticeKEM(length int) (event.KEM, bool) {
	kem := noticeKEM(length)
	return kem, kem != ""
}
