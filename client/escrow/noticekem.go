// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import "github.com/vasistas/vasistas/log/event"

// NoticeKEM returns the kind of key that a notice of this length is sealed to, false if
// no notice has it: who tries many keys need not try those of the other kind.
func NoticeKEM(length int) (event.KEM, bool) {
	kem := noticeKEM(length)
	return kem, kem != ""
}
