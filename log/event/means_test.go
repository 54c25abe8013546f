// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"strings"
	"testing"
)

// TestMeans: for each change of who is trusted an operator reads what follows from it.
func TestMeans(t *testing.T) {
	for want, change := range map[string]func(*Charter){
		"can no longer be opened: 2 of 3 custodians become 1 of 3": func(ch *Charter) { ch.Groups[0].Threshold = 1 },
		"can no longer be opened: 2 of 3 custodians become 2 of 2": func(ch *Charter) { ch.Groups[0].Members = ch.Groups[0].Members[:2] },
		"can no longer be opened: the group is gone":               func(ch *Charter) { ch.Groups[0].ID = "x" },
		"files can be escrowed to the new group":                   func(ch *Charter) { ch.Groups[0].ID = "x" },
		"2 of 3 shares are left, and 2 open a file":                func(ch *Charter) { ch.Groups[0].Members[0] = "x" },
		"can no longer be opened: 1 of its custodians stay":        func(ch *Charter) { ch.Groups[0].Members[0], ch.Groups[0].Members[1] = "x", "y" },
		"the new key may sign warrants; later warrants of the old key have no effect": func(ch *Charter) {
			ch.Party(RoleAuthority, "ag-berlin").Keys[0] = edSigner("x").Public()
		},
		"only while its gate keeps the file of the old key": func(ch *Charter) { ch.Party(RoleCustodian, "custodian-1").Gates[1].Public[7] ^= 1 },
		"what this key signed counts again":                 func(ch *Charter) { ch.Void = nil },
	} {
		was, is := sampleCharter(), sampleCharter()
		change(is)
		_, _ = sortCharter(testLog, was), sortCharter(testLog, is)
		all := ""
		for _, c := range Diff(was, is) {
			all += c.Means + "\n"
			if c.Means == "" && strings.HasSuffix(c.Path, "keys") {
				t.Errorf("%s says nothing", c.String())
			}
		}
		if !strings.Contains(all, want) {
			t.Errorf("no %q in:\n%s", want, all)
		}
	}
	for _, role := range []Role{RoleAuditor, RoleAuthority, RoleCharter, RoleCustodian, RoleDuty, RoleProvider} {
		if meanings[string(role)+", keys"][1] == "" {
			t.Errorf("a key of the role %s means nothing", role)
		}
	}
}
