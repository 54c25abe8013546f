// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bufio"
	"bytes"
)

func newReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
