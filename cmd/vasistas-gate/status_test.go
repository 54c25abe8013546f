// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/client/gate"
)

// TestStatusControlsNoTerminal: no text of a gate's status can move a terminal's cursor, or forge a
// line of the status.
func TestStatusControlsNoTerminal(t *testing.T) {
	const evil = "\x1b[2J\u009b1A\nopens      yes\r\u202e"
	var out bytes.Buffer
	printStatus(&out, &gate.Status{Origin: evil, Custodian: evil, Groups: []string{evil}, Key: evil, LoggedAfter: evil,
		Stopped: evil, Shut: evil, Alarm: evil,
		Pending: []gate.Amendment{{Hash: evil, Changes: []gate.Change{{Text: evil, Means: evil, Direction: evil, Confirm: true}}}}})
	if strings.ContainsAny(out.String(), "\x1b\u009b\r\u202e") || strings.Contains(out.String(), "\nopens      yes") {
		t.Errorf("%q", out.String())
	}
}
