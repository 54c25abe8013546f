// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"flag"
	"strconv"
	"strings"
	"time"
)

// A Duration is the value of a flag, of package flag or of pflag, in the form of
// [ParseDuration].
type Duration time.Duration

// Set parses the value.
func (d *Duration) Set(s string) error {
	v, err := ParseDuration(s)
	*d = Duration(v)
	return err
}

func (d *Duration) String() string {
	if *d == 0 {
		return "0" // which help does not show as a default
	}
	return time.Duration(*d).String()
}

// Type is the name of the type in pflag's help.
func (*Duration) Type() string { return "duration" }

// DurationVar adds a flag with a default value.
func DurationVar(fs *flag.FlagSet, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	fs.Var((*Duration)(p), name, usage)
}

var errDuration = errors.New("want a duration such as 10d, 36h or 30s")

// ParseDuration parses a duration that a person wrote: as [time.ParseDuration] does, with whole
// days of 24 hours in front, as in 10d and 1d12h. It is not negative.
func ParseDuration(s string) (time.Duration, error) {
	var days uint64
	if n, rest, ok := strings.Cut(s, "d"); ok {
		var err error
		if days, err = strconv.ParseUint(n, 10, 16); err != nil {
			return 0, errDuration
		}
		if s = rest; s == "" {
			s = "0"
		}
	}
	d, err := time.ParseDuration(s)
	sum := time.Duration(days)*24*time.Hour + d
	if err != nil || d < 0 || sum < d {
		return 0, errDuration
	}
	return sum, nil
}
