// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
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
