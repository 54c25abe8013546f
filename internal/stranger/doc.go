// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package stranger uses Vasistas as any other module would: its import path is none
// of ours, so that no internal package is open to it. Its tests have an engine and a
// source of their own, and run log, witness and gate as libraries.
package stranger
