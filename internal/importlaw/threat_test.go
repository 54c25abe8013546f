// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package importlaw

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Each row of the threat model's tables of attacks names tests, and each of these exists.
func TestThreatModel(t *testing.T) {
	out, err := exec.Command("git", "-C", root, "grep", "-h", "--untracked", "-oE", `^func (Test|Fuzz)[A-Za-z0-9_]+`, "--", "*_test.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	exists := make(map[string]bool)
	for name := range strings.Lines(string(out)) {
		exists[strings.TrimSpace(strings.TrimPrefix(name, "func "))] = true
	}
	b, err := os.ReadFile(root + "/docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((Test|Fuzz)[A-Za-z0-9_]+)`")
	rows, in := 0, false
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		switch last := strings.TrimSpace(cells[len(cells)-1]); {
		case !strings.HasPrefix(line, "|"):
			in = false
		case last == "test":
			in = true
		case in && !strings.HasPrefix(last, "---"):
			rows++
			tests := named.FindAllStringSubmatch(last, -1)
			if len(tests) == 0 {
				t.Errorf("no test: %s", line)
			}
			for _, name := range tests {
				if !exists[name[1]] {
					t.Errorf("%s does not exist: %s", name[1], line)
				}
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d rows", rows)
	}
}
