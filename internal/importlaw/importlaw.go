// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package importlaw holds the test that guards how the packages of this module
// depend on each other: downward only, each binary on what its role needs.
package importlaw
