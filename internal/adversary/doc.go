// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package adversary tests the promise against a dishonest provider.
//
// A random sequence of steps plays one world: real witnesses, real gates with their
// journals on disk, real ledgers, a subject who scans, and perhaps an auditor. The
// provider is the adversary's. It writes its log by hand, in several versions, and serves
// to each reader the version, the head and the answers that it likes. It has liars among
// the witnesses, fewer than [tlog.Strength] says that a policy bears: fewer than Fork of
// them sign forks, fewer than Time of them state false times. It has one custodian's event
// key.
//
// After each step the invariants of the design are checked on what the honest parts did.
// At the end the adversary stops, and an honest access must open within bounded time.
//
// All runs in one bubble of testing/synctest, so that clocks jump at no cost. All honest
// clocks in it agree: a gate or a witness with a wrong clock is not in these worlds. The
// log's own code is not in them either, since the adversary takes its place.
//
// To repeat a sequence, run TestAdversary with the flag -rapid.seed that its failure
// prints, and with -rapid.checks=1.
package adversary
