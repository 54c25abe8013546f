// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"flag"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"10d": 10 * day, "1d12h": 36 * time.Hour, "0d": 0, "1d500ms": day + 500*time.Millisecond, "36h": 36 * time.Hour, "1h2m3.5s": 3723500 * time.Millisecond, "0": 0,
	} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "d", "10", "-1d", "1d-1h", "-1h", "1h1d", "1.5d", "1dd", "1d1d", " 1d", "1D", "99999999d", "65535d2562047h47m", "ten days"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestDurationVar(t *testing.T) {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	var d time.Duration
	DurationVar(fs, &d, "d", time.Minute, "")
	if d != time.Minute || fs.Lookup("d").DefValue != "1m0s" {
		t.Errorf("%v, %q", d, fs.Lookup("d").DefValue)
	}
	if err := fs.Parse([]string{"-d", "7d"}); err != nil || d != 168*time.Hour {
		t.Errorf("%v, %v", d, err)
	}
}
