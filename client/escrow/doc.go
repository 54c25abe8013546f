// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package escrow is the format in which a file key is escrowed to the custodians of a
// log, and all that custodian, agency and subject say to each other about it.
package escrow
