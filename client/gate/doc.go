// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package gate is a custodian's gate: it holds a share of each escrowed key, and opens a
// share only for a release that is already in the public, cosigned log.
//
// It promises the subject that each opened share has a release in a witnessed head of
// the log (C2SP tlog-checkpoint, tlog-cosignature), logged before the share was opened,
// with a notice that the subject alone can read. It promises its custodian that it never
// signs two releases of one number, even after a crash or a restored backup. It trusts
// its own keys, its disk, its clock as far as witnessed times don't contradict it, and a
// quorum of the charter's witnesses and auditors. It trusts neither the provider, the
// agency nor the log: it follows the log itself, applies every entry to its own ledger,
// and decides at the largest head that it has ever verified.
//
// # Order
//
// A release takes these steps. A refusal names its cause ([Code]). No refusal before
// step 9 has used the key for more than step 5.
//
//  1. open and parse the request, which is sealed to this gate;
//  2. prove that warrant and access are in a head that meets the charter's witness and
//     audit policies and is fresh by its logged-after time;
//  3. check the ledger at the largest head: the access is live, names this gate's group
//     and was not answered by this gate; the gate's chain is unbroken; every breach is
//     closed, and no overdue obligation bars;
//  4. check that every digest of warrant and access opens, of decoys too; that the
//     packages are the access's and each account is one of the warrant's; and that the
//     agency has signed for the recipient;
//  5. open part one of each stanza, and write the notices;
//  6. sync the release to the journal;
//  7. post the release with its notices, and wait until a witnessed head has it;
//  8. check the ledger again, at that head;
//  9. open part two of each stanza, and encrypt it to the recipient.
//
// # The journal
//
// Every event is in the journal before it leaves. If the log has an entry signed by this
// key that the journal lacks, a second instance signed it, or this gate was restored from
// an older backup. The gate then stops, and signs nothing until its operator resumes the
// chain from the log ([Gate.Resume]). A release that is in the journal but not in the log
// is posted again, with the same bytes, until the log has it.
//
// The journal keeps the notices. If the provider has not published those of a release in
// time, the gate discloses them itself.
//
// BUG(gate): the journal only grows, by 10 to 30 KB a release, and opening it reads all
// of it.
//
// # Trust
//
// A gate is configured with the log's keys and the leaf hash of the log's first charter.
// It follows amendments. If one changes who is trusted (log keys, witnesses, auditors,
// custodians, thresholds), the gate opens nothing that depends on the change until its
// operator has confirmed it by name ([Gate.Confirm]). Two heads of the log that do not
// extend each other stop a gate for good, and the gate keeps the evidence.
//
// A gate takes no recovery envelope, since it follows only the log. After a log has lost
// its key, the gate's operator adds the new key to the configuration, and confirms the
// recovery like any other change.
package gate
