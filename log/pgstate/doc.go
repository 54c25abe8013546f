// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package pgstate keeps in one PostgreSQL database what the instances of a log
// share: the log's settings, the record of its last signed head, the published
// checkpoint, the vault's files, and the lease of the one that is active.
//
// # Contract
//
// Every write is fenced: it is one statement that reads the lease under a lock, and
// does nothing unless the lease is still that of the writer's [Term]. So an instance
// that was ousted while it slept, or behind a network that lost its packets, can write
// nothing: it gets [log.ErrOusted], and its term is over. Because the record of the
// head moves by such a write and by comparing with what it was, and no signature
// leaves before, two instances never show the world two heads that conflict.
//
// A term is over, too, once its lease could not be renewed in time, by the monotonic
// clock of the holder, and before another instance can have a term: see [DB.Run].
//
// One statement, and never a transaction over several, so that a client that
// vanishes in the middle leaves no lock behind for its successor to wait for.
//
// What a write returned is durable: [Open] and every new connection refuse a server
// with synchronous_commit, fsync or full_page_writes off, and a replica.
//
// The schema is made once and by name, by [Create], and has a version. Where it is
// missing, that is an error and never an empty start: a database that was lost or
// restored is found out, at the latest by asking the log's witnesses.
//
// It trusts whoever can write to the database for the log's availability and for
// what is to be disclosed, and with neither the tree nor the signing keys. The
// vault's files are encrypted before they come here.
//
// BUG(pgstate): what is erased from the vault stays in dead rows until PostgreSQL
// vacuums and reuses them, in the write-ahead log until that is recycled, and in
// backups.
package pgstate
