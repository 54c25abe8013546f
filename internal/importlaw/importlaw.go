// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package importlaw holds the tests of the module as a whole. Packages import downward
// only, and each binary links only what its role needs. The public API needs no internal
// name, and prints no secret. The documents name files, commands, flags, messages and
// metrics that exist.
package importlaw
