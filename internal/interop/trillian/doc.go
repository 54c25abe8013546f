// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package trillian pins Trillian's log server and signer, for the tests that run them.
// It is a separate module, so that their dependencies stay out of the main one. With
// GOFLAGS=-tags=postgresql,etcd
//
//	go tool trillian_log_server
//	go tool trillian_log_signer
//
// run them, with PostgreSQL as their only storage and etcd for the election of signers.
package trillian
