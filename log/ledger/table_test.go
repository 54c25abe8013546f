// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/rules.md and the verdicts in testdata anew")

func TestRulesDocument(t *testing.T) {
	const file = "../../docs/rules.md"
	want := document()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s differs from the table of rules: run go test ./log/ledger -update", file)
	}
}

// document renders the table.
func document() string {
	var b strings.Builder
	ticks := strings.NewReplacer("~", "`")
	b.WriteString(ticks.Replace(rulesHead))
	b.WriteString("| rule | says | kind |\n|---|---|---|\n")
	for _, r := range Rules(1) {
		var kinds []string
		for _, k := range []Kind{KindBreach, KindOverdue, KindNoEffect} {
			for _, w := range r.Ways {
				if w.Kind == k {
					kinds = append(kinds, k.String())
					break
				}
			}
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", r.Name, r.Name, r.Says, strings.Join(kinds, ", "))
	}
	b.WriteString(ticks.Replace(rulesReading))
	for _, r := range Rules(1) {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| way | kind | verdict | cure |\n|---|---|---|---|\n", r.Name, r.Says)
		for _, w := range r.Ways {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", w.Code, w.Kind, w.Template, w.Cure)
		}
	}
	return b.String()
}

// In these texts ~ stands for a backtick.
const rulesHead = `# The rules

Rendered from the table in ~log/ledger~; change that, then run ~go test ./log/ledger -update~. A verdict's arguments
stand in braces.

This is version 1 of the rules, which a charter names in ~rules~. The reducer in ~log/ledger~ takes a log's
entries in order and returns state and verdicts. Everybody runs it: admission, gates, monitors, auditors. The same
entries give the same verdicts for ever. ~log/ledger/testdata~ has, for each rule, a log that keeps it and one for each
way to break it, with the exact verdict.

`

const rulesReading = `
## How they are read

**Breach.** An entry in breach changes nothing but the list of breaches, where it stays for ever. It bars each auditor
until a ~closed~ finding of its own about it is in the log, and each gate until auditors that meet the audit policy have
closed it (under ~quorum none~: until the charter is amended). Of one party and one rule 64 breaches are listed; later
ones are counted with the last.

**Overdue.** Something that is owed was due, and its grace is over. It ends when it is cured, or becomes the breach
~unfulfilled~ once an anchor proves that the profile's time for that is over too. ~Overdue~ is a pure function of size and
time: an auditor evaluates it at the very time that it signs. What became a breach can still be disclosed, returned or decided:
the log stays open for it, and the breach stays.

**No effect.** The entry changes nothing, and nobody is to blame: it came second, too late, or to something that is
over. A release that comes too late keeps its place in its custodian's chain and opens nothing.

**Who answers.** Custodians and auditors answer for their own events, which admission must not suppress. The log
answers for everything else: admission refuses it, so only the log can have let it in. What is owed has a debtor.

**Time.** *existed before* and *logged after* are those of anchors: cosigned checkpoints of this log, judged by the
witness policy in force at their size. An act is late if and only if an anchor below it proves it. Due times count from
claimed times, but from no earlier than what an anchor below the debtor proves, so nobody makes another late by
backdating to before the last anchor. (On a log that was quiet for longer than an anchor may take, an event that claims to
be as old makes the anchor of itself late, until the log has logged that: a matter of its interval.) Due times count under
the profile in force at the debtor's own index; a limit on a new decision (a deferral) is that in force at the decision.
What lapses is judged by the state at the anchor and the time that it proves: a cure between the anchored head and its
anchor counts.

**Bars.** Of what is overdue, that bars auditors which the profile in force names in ~bars~. A late heartbeat bars its
custodian; auditors only if ~bars~ names it and fewer than the threshold of some group are current.

**What a signer could know.** A release names the head that it relied on. If that head shows that the access was dead,
or the release's own time says so, it is a breach; if not, it came too late.

**Order of a chain.** The log orders entries, not the custodian. A release up to 64 ahead of its chain waits in the log
for those before it; meanwhile the log owes them (~missing-release~). A chain whose releases never came is broken, and
goes on under a new key by an amendment.

**Amendments.** The charter in force at an index is the last one below it. A head that contains amendments which the
last accepted head did not must meet the witness policy in force there and that of each of them; a log publishes a head
that ends with the amendment under both. Custodians, auditors and charter keys have one key each: they rotate by a second
party for a while, or at once. An event under a key that a charter named before has no effect, and is no breach: it may
have been on its way.

**Void.** A charter may void a key from an index on. That takes away what its events allowed (warrants, accesses,
deferrals, decisions that validate an emergency, closed findings) and leaves what they owe. A deferral that is taken away moves
no date to before the amendment; a decision that is taken away is owed again from the amendment on.

**Operators.** Keys in a policy that have one name, or are cosigners of one auditor, are one operator's. They must stand
in one group with the threshold 1 (~any~): so they can't count twice. One raw key in two roles does not parse.

**Emergencies.** The validated access counts as one of those that the deciding warrant bears.

**Returns.** A return ends its warrant: what came later would not be in its figures.

## The ways to break them
`

// Every way in the source is in the table: so it is documented, and has a test.
func TestTableIsWhole(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	inSource := 0
	way := regexp.MustCompile(`&Way\{"`)
	for _, f := range files {
		if strings.HasSuffix(f.Name(), ".go") && !strings.HasSuffix(f.Name(), "_test.go") {
			b, err := os.ReadFile(f.Name())
			if err != nil {
				t.Fatal(err)
			}
			inSource += len(way.FindAll(b, -1))
		}
	}
	inTable := make(map[string]bool)
	for _, r := range Rules(1) {
		for _, w := range r.Ways {
			if w.Template == "" || w.Kind == 0 || inTable[w.Rule+"/"+w.Code] {
				t.Errorf("the way %s/%s is empty, or there twice", w.Rule, w.Code)
			}
			inTable[w.Rule+"/"+w.Code] = true
		}
	}
	if inSource != len(inTable) {
		t.Errorf("the source has %d ways, and the table %d", inSource, len(inTable))
	}
	for _, name := range versions[1].overdue {
		if !strings.Contains(document(), "### "+name+"\n") {
			t.Errorf("no rule %s", name)
		}
	}
}
