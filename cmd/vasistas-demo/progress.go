// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// terminal says whether w is one.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress shows how far something is: a bar on a terminal, and elsewhere a
// plain line now and then.
type progress struct {
	w     io.Writer
	what  string
	total int
	bar   bool
	every time.Duration // between two lines
	began time.Time
	last  time.Time
}

func newProgress(w io.Writer, what string, total int) *progress {
	p := &progress{w: w, what: what, total: total, bar: terminal(w), every: 2 * time.Second, began: time.Now()}
	if p.bar {
		p.every = 100 * time.Millisecond
	}
	p.last = p.began
	return p
}

const barWidth = 30

// set shows that done are done, at most once in a while, and the last always.
func (p *progress) set(done int) {
	now := time.Now()
	if done != p.total && now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	line := p.line(done, now.Sub(p.began))
	if !p.bar {
		fmt.Fprintln(p.w, line)
		return
	}
	full := barWidth * done / max(p.total, 1)
	end := ""
	if done == p.total {
		end = "\n"
	}
	fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %s%s", strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), line, end)
}

// line is the text of both forms.
func (p *progress) line(done int, took time.Duration) string {
	s := fmt.Sprintf("%d of %d %s", done, p.total, p.what)
	if done == 0 || took <= 0 {
		return s
	}
	rate := float64(done) / took.Seconds()
	if done == p.total {
		return fmt.Sprintf("%s in %.1f s, %.0f a second", s, took.Seconds(), rate)
	}
	left := time.Duration(float64(p.total-done) / rate * float64(time.Second))
	return fmt.Sprintf("%s, %.0f a second, %v left", s, rate, left.Round(time.Second))
}
