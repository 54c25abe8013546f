// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// advice says what to do about errors of the system.
var advice = []struct {
	err  error
	says string
}{
	{syscall.ENOENT, "Check the name: a relative one begins in the present directory."},
	{syscall.EACCES, "Run this as the user who owns the file, or change the file's permissions."},
	{syscall.EPIPE, "The program that reads the output ended before this one."},
	{syscall.ENOSPC, "Make room on that disk, and try again."},
	{syscall.EROFS, "That file system is read-only: choose another place, or mount it for writing."},
	{syscall.EADDRINUSE, "Another program listens there: stop it, or give another address; port 0 takes a free one."},
	{syscall.ECONNREFUSED, "No program listens there: check the address, and whether the program runs."},
	{http.ErrSchemeMismatch, "The server there does not speak TLS: give its URL with http:// in place of https://."},
}

// Advice returns what to do about an error of the system, as a line. It is empty if the error
// goes on after the system's words, and so says more itself.
func Advice(err error) string {
	for _, a := range advice {
		if errors.Is(err, a.err) && strings.HasSuffix(err.Error(), a.err.Error()) {
			return a.says + "\n"
		}
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "No host has that name: check the URL, and this machine's network.\n"
	}
	return ""
}
