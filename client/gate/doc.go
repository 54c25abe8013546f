// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate is a custodian's gate: it holds a share of escrow keys, and opens
// it only for a release that is already in the public, cosigned log.
//
// It promises the subject that each opened share has a release in a witnessed
// head of the log, written before the key was touched, with a notice that the
// subject alone can read. It promises its custodian that it never signs two
// releases of one number, whatever crashed or was restored. It trusts neither the
// provider nor the agency nor the log: it follows the log itself, runs the ledger
// over every entry, and judges at the largest head that it has ever verified. It
// trusts its own key, its disk, its clock as far as witnessed times don't
// contradict it, and the witnesses and auditors of the charter as a quorum.
//
// # Order
//
// A release takes these steps. Each has its own error ([Code]); after none of the
// refusals has the key been used for more than step 5.
//
//  1. parse the request, which is sealed to this gate;
//  2. warrant and access stand in a head that meets the charter's witness and
//     audit policies and is fresh by its logged-after time;
//  3. the ledger at the largest head: the access is live and names this gate's
//     group, this gate has not answered it, its chain is unbroken, no breach is
//     unclosed, nothing overdue bars;
//  4. every digest of warrant and access opens, decoys too; the packages are the
//     access's; each account is one of the warrant's; the agency has signed for
//     the recipient;
//  5. part one of each stanza is opened, and the notices are written;
//  6. the release is in the journal, synced;
//  7. it is posted with its notices, and a witnessed head holds it;
//  8. the ledger is asked again, at that head;
//  9. part two is opened and encrypted to the recipient.
//
// # The journal
//
// What this key signs is in the journal before it leaves. So an entry of the log
// that this key has signed and the journal lacks was signed elsewhere: by a second
// instance, or before this gate was restored from a backup. The gate then stops,
// and signs nothing until its operator takes the chain up from the log by name
// ([Gate.Resume]). A release that is in the journal and not in the log is posted
// again, the same bytes, until the log has it.
//
// The notices stay in the journal. If the provider has not published those of a
// release in time, the gate discloses them itself.
//
// BUG(gate): the journal is never cut: it grows by a release's submission, some 10 to
// 30 KB, for ever, and opening it reads all of it.
//
// # Trust
//
// A gate is configured with the log's keys and the leaf hash of its first charter.
// It follows amendments; where one changes who is trusted (log keys, witnesses,
// auditors, custodians, thresholds), it opens nothing that depends on it until
// its operator has confirmed each change by name ([Gate.Confirm]). Two heads of the
// log that do not extend each other end a gate for good: the evidence is kept.
//
// So a gate takes no recovery envelope: what it follows stands in the log. If the log
// has lost its key, its operator configures the new one besides, and confirms the
// recovery like any other change.
package gate
