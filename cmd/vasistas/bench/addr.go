// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package bench

import "net"

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
