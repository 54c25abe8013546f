// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import "github.com/vasistas/vasistas/client/replica"

// Unproven returns what bounds the reading of unproven entries of a gate that does not run.
func (g *Gate) Unproven() *replica.Unproven { return &g.follower.unproven }
