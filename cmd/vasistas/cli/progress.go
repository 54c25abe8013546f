// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// progress draws a bar, on a terminal only.
type progress struct {
	w    io.Writer // nil: no terminal
	what string
	last time.Time
	drew bool
}

func (e *env) progress(what string) *progress {
	p := &progress{what: what}
	if f, ok := e.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.w = f
	}
	return p
}

const barWidth = 30

// set draws done of total; a total of 0 is unknown.
func (p *progress) set(done, total uint64) {
	if p.w == nil || time.Since(p.last) < 100*time.Millisecond && done != total {
		return
	}
	p.last, p.drew = time.Now(), true
	if total == 0 {
		fmt.Fprintf(p.w, "\r\x1b[K%d %s", done, p.what)
		return
	}
	full := int(float64(done) / float64(total) * barWidth)
	fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %d of %d %s",
		strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), done, total, p.what)
}

func (p *progress) clear() {
	if p.drew {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drew = false
	}
}
