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

var update = flag.Bool("update", false, "rewrite docs/rules.md and the verdicts in testdata")

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
	for _, r := range Rules(2) {
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
	for _, r := range Rules(2) {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n| way | kind | verdict | cure |\n|---|---|---|---|\n", r.Name, r.Says)
		for _, w := range r.Ways {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", w.Code, w.Kind, w.Template, w.Cure)
		}
	}
	return b.String()
}

// In these texts ~ stands for a backtick.
const rulesHead = `# The rules

This page is rendered from the table in ~log/ledger~. To change it, change the table and run
~go test ./log/ledger -update~. A verdict's arguments stand in braces.

This is version 2 of the rules, which a charter names in ~rules~. The reducer in ~log/ledger~ takes a log's
entries in order and returns state and verdicts. Admission, gates, monitors and auditors all run it. The same entries
always give the same verdicts. ~log/ledger/testdata~ has, for each rule, a log that keeps it and a log for each way to
break it, with the exact verdict.

`

const rulesReading = `
## How they are read

**Breach.** An entry in breach changes only the list of breaches, and stays on it. A breach bars each auditor until the
log has a ~closed~ finding by that auditor about it, and each gate until auditors that meet the audit policy have closed
it (under ~quorum none~: until the charter is amended). A breach that was closed under the policy then in force stays
closed, unless a charter voids the key of an auditor that closed it. A breach from before the charter that first names an
auditor does not bar that auditor. A later ~open~ finding bars only its own auditor. The list holds 64 breaches of one
key against one rule; a later one is counted with the last, and opens it again.

**Set aside.** A custodian's or auditor's breach bars the others once. When an audit quorum has closed it, the key that
answers for it is set aside: its later events have no effect and bar no party, it owes nothing and is not current, and
all its breaches count as closed. If it is an auditor's, its cosignatures of later heads do not count. That lasts until
an amendment names a new key; if the key of an auditor that closed the breach is voided, and the others are no quorum,
the breach is open again, and the key is not set aside. A missing event (~unfulfilled~) sets no key aside: the log may have
withheld it.

**Recorded.** An event is repeated if it had an effect under each of its signers' keys before (a place in a chain, even a
waiting one, is an effect), or if the log has it by the same keys and it would have no effect now either. Any other entry
is judged on its own, so a bad signature, or another party's, never keeps an honest entry out. An entry that several
custodians or auditors signed is the log's to answer for, since one may have added its signature to another's event.

**Overdue.** An obligation is overdue when its grace is over. It ends when it is cured. It becomes the breach
~unfulfilled~ at an anchor that proves a time ~unfulfilled~ seconds after that of the anchor that first proved it late. So
after weeks of downtime the first anchor makes nothing lapse, and no anchor ever waits. ~Overdue~ is a pure function of size
and time, so an auditor evaluates it at the moment of signing. After the breach the log still takes the disclosure, the
return or the decision, but the breach stays. The ledger forgets what is cured; each entry's changes say what it opened,
moved, settled and how late.

**No effect.** The entry changes nothing and no party is at fault: the entry came second, too late, or for an event that
is over. A release that comes too late keeps its place in its custodian's chain and opens nothing.

**Who answers.** Custodians and auditors answer for their own events, which admission must not suppress. The log answers
for all other entries, since admission should have refused them. A debtor answers for an obligation.

**Time.** The times of a head come from its cosignatures. *logged after* is the latest time such that the lines from it up
to ~spread~ seconds later meet the policy; *existed before* is the earliest time such that the lines from *logged after* up
to it do. A head without such lines proves nothing. The ledger knows these times from anchors: cosigned checkpoints of this
log under the witness policy in force at their size. An act is late if and only if an anchor below it proves so.

What an entry owes and allows counts from its claimed time, but from no earlier than what an anchor below it proves: so
backdating makes no other party late. (On a log that was quiet for longer than an anchor may take, an event with so old a
claim makes its own anchor late until the log logs that anchor at its next interval.) It counts from no later than *existed
before* plus ~skew~ of the anchor that covers it. A claim later than that is the log's breach, since admission refuses it;
the anchor then moves what the entry states: its seal and its window end no later than the longest of the profile from
there, and a deferral that was granted no later than the longest step after the moved date.

A deferral that was claimed before ~until~ is too late only once the event is disclosed, or once an anchor proves ~until~
and the grace. Due times follow the profile in force at the debtor's
own index; a limit on a new decision (a deferral) follows the profile in force at the decision. Whether an obligation
lapses depends on the state at the anchor's index and the time that the anchor proves, so a cure between the anchored
head and its anchor counts.

**Bars.** An overdue obligation bars auditors if the profile in force names its rule in ~bars~. A late heartbeat bars its
custodian and, if a group of that custodian then has fewer current custodians than its threshold, that group's accesses;
it bars no other group and no auditor, even if ~bars~ names it.

**What a signer could know.** A release names the head that it relied on. It is a breach if that head, or the release's
own time, shows that the access was dead. Otherwise it only came too late.

**Audit.** A release carries the checkpoint under which its custodian opens, so that any reader can check for ever that
auditors stood behind each opening. Each line is judged by the state at the checkpoint's size and at the line's own time,
never by later entries; an auditor that signed while barred answers for it, and the release keeps its effect. A custodian
answers for the audit policies at the checkpoint's size and at the head that it relied on; if only an amendment that it
may not have known makes the difference, the release keeps its place in the chain and opens nothing. The same holds if
the last anchor below the release proves a time after the lines' *logged after* plus ~stale~, or after that of an anchored
head larger than the checkpoint plus ~stale~. So the ledger remembers past bars for about as long as ~stale~.

**Budget.** A budget begins again at the first anchor one interval after the last time. An event over the budget has no
effect and is the log's breach, since admission refuses it. What the log repeats is not counted, so the log can't use up
a key's budget. Under the witness policy ~quorum none~ no time is proven, and there is no budget.

**Order of a chain.** The log orders entries, not the custodian. A release up to 64 ahead of its chain waits in the log
for those before it, which the log owes meanwhile (~missing-release~). A chain whose releases never came is broken; an
amendment continues it under a new key.

**Amendments.** The charter in force at an index is the last one below it. A head that contains amendments which the
last accepted head lacks must meet the witness policy in force at that head and the policy of each amendment. A log
publishes a head that ends with the amendment under both. Custodians, auditors and charter keys have one key each: they
rotate at once, or by a second party for a while. An event under a key that only an earlier charter named has no effect
and is no breach, since it may have been signed before the amendment.

**Void.** A charter may void a key from an index on. That ends what the key's events allowed (warrants, accesses,
deferrals, decisions that validate an emergency, closed findings) and leaves what they owe. Undoing a deferral moves no
date to before the amendment; an undone decision is owed again from the amendment on.

**Operators.** Keys in a policy that have one name, or are cosigners of one auditor, belong to one operator. They must
stand in one group with the threshold 1 (~any~), so that they never count twice. A policy that has one raw key in two
roles does not parse.

**Emergencies.** The validated access counts as one of the accesses that the deciding warrant allows.

**Returns.** A return ends its warrant, since its figures would leave out a later access.

## The ways to break them
`

// Every way in the source is in the table, and so is documented and tested.
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
	for _, r := range Rules(2) {
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
	for _, name := range versions[2].overdue {
		if !strings.Contains(document(), "### "+name+"\n") {
			t.Errorf("no rule %s", name)
		}
	}
}
