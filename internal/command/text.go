// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// Clean returns a writer of text to w. It replaces bytes that are no UTF-8, and characters that
// a terminal may obey, such as ESC, by U+FFFD: texts of servers, certificates and plug-ins reach
// messages in many ways, and all messages pass here. Programs write bytes that are no text to w.
func Clean(w io.Writer) io.Writer {
	if _, ok := w.(*clean); ok {
		return w
	}
	return &clean{w: w}
}

// Raw returns the writer under one that Clean made, for bytes that are no text.
func Raw(w io.Writer) io.Writer {
	if c, ok := w.(*clean); ok {
		return c.w
	}
	return w
}

// File returns the file under a writer that Clean made, nil if there is none.
func File(w io.Writer) *os.File {
	f, _ := Raw(w).(*os.File)
	return f
}

// Message returns a message of one line, or with later lines indented: text of a server may have
// line feeds, and must not pass for another message.
func Message(format string, args ...any) string {
	return strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n  ") + "\n"
}

// Lines returns a function that writes a message to w, as text: see [Clean] and [Message].
func Lines(w io.Writer) func(format string, args ...any) {
	w = Clean(w)
	return func(format string, args ...any) { io.WriteString(w, Message(format, args...)) }
}

// Failed returns the first error of a writer that Clean made, nil if all was written: commands
// print many lines without a look at each error, and end with this one.
func Failed(w io.Writer) error {
	if c, ok := w.(*clean); ok && c.err != nil {
		return fmt.Errorf("standard output was not written in full: %w", c.err)
	}
	return nil
}

type clean struct {
	w    io.Writer
	rest []byte // an incomplete character at the end of the last Write
	err  error  // of the first Write that failed
}

func (c *clean) Write(b []byte) (int, error) {
	text := append(c.rest, b...)
	end := len(text)
	for i := max(0, end-utf8.UTFMax+1); i < end; i++ {
		if utf8.RuneStart(text[i]) && !utf8.FullRune(text[i:]) {
			end = i
		}
	}
	c.rest = bytes.Clone(text[end:])
	if _, err := c.w.Write(bytes.Map(printable, text[:end])); err != nil {
		if c.err == nil {
			c.err = err
		}
		return 0, err
	}
	return len(b), nil
}

func printable(r rune) rune {
	if unicode.IsGraphic(r) || r == '\n' || r == '\t' {
		return r
	}
	return utf8.RuneError
}

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
