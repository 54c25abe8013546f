// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package pgstate keeps the shared state of a log's instances in one PostgreSQL
// database: the log's settings, the record of its last signed head, the published
// checkpoint, the vault's files, and the lease of the active instance.
//
// # Contract
//
// Every write is fenced: one statement reads the lease under a lock and writes only if
// the lease is still that of the writer's [Term]. An instance that lost its lease
// while it slept or was cut off writes nothing: it gets [state.ErrOusted], and its term
// is over. The record of the head moves only by such a write, as a compare-and-swap,
// before the head's signature leaves the instance. So two instances never publish
// conflicting heads.
//
// A term also ends if its holder can't renew the lease in time, by the holder's
// monotonic clock and before another instance can begin a term: see [DB.Run].
//
// A write is never a transaction of several statements, so a client that vanishes
// leaves no lock for its successor to wait for.
//
// A write is durable when it returns: [Open] and every new connection refuse a replica
// and a server with synchronous_commit, fsync or full_page_writes off.
//
// Only [Create] makes the schema, which has a version. A missing schema is an error,
// never an empty start. A lost or restored database is detected when the log asks its
// witnesses, at the latest.
//
// Users with write access to the database are trusted for the log's availability and
// for its disclosures. They reach neither the tree nor the signing keys, and the
// vault's files are encrypted.
//
// BUG(pgstate): erased files of the vault stay in dead rows until PostgreSQL vacuums
// and reuses them, in the write-ahead log until it is recycled, and in backups.
package pgstate
