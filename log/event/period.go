// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Period is a range of time of the data that a warrant asks for: both ends are included,
// UTC, in whole seconds. It says nothing of the warrant's window.
type Period struct{ From, To time.Time }

// String returns both ends with a slash between them (ISO 8601), each as in a payload.
func (p Period) String() string {
	return p.From.UTC().Format(timeLayout) + "/" + p.To.UTC().Format(timeLayout)
}

// ParsePeriod reads what String returns. The error wraps ErrMalformed.
func ParsePeriod(s string) (Period, error) {
	p, err := parsePeriod(s)
	if err != nil {
		return Period{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return p, nil
}

func parsePeriod(s string) (p Period, err error) {
	from, to, ok := strings.Cut(s, "/")
	if !ok {
		return p, errors.New("want a period: two times with a slash between them")
	}
	if p.From, err = parseTime([]byte(from)); err == nil {
		p.To, err = parseTime([]byte(to))
	}
	switch {
	case err != nil:
		return Period{}, err
	case p.To.Before(p.From):
		return Period{}, fmt.Errorf("the period %s ends before it begins", s)
	}
	return p, nil
}

// Periods makes a list value, sorted and without duplicates.
func Periods(list ...Period) Value {
	text := make([]string, len(list))
	for i, p := range list {
		text[i] = p.String()
	}
	return Codes(text...)
}

// Periods returns the periods of a value of kind periods.
func (v Value) Periods() ([]Period, error) {
	var out []Period
	for _, s := range v.list {
		p, err := ParsePeriod(s)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// checkList checks the elements of a list of codes or periods. The encoding checks that they
// are sorted.
func checkList(k ValueKind, list []string) error {
	if k == KindCodes {
		for _, s := range list {
			if err := checkCode(s); err != nil {
				return err
			}
		}
		return nil
	}
	var last Period
	for i, s := range list {
		p, err := parsePeriod(s)
		switch {
		case err != nil:
			return err
		case i > 0 && !last.To.Before(p.From):
			return fmt.Errorf("the period %s does not begin after %s has ended", p, last)
		}
		last = p
	}
	return nil
}

// ProceedingTag returns the tag by which an authority marks the warrants of one proceeding:
// HMAC-SHA256, under a secret that the authority keeps, of the proceeding's number, which
// must have one spelling. Equal tags of one authority are one proceeding. Without the secret
// a tag says nothing of the number. The secret has at least 16 bytes, and the number one.
func ProceedingTag(secret []byte, number string) (Digest, error) {
	if len(secret) < 16 {
		return Digest{}, fmt.Errorf("the secret of a proceeding's tag has %d bytes, and needs 16", len(secret))
	}
	if number == "" {
		return Digest{}, errors.New("the proceeding has no number")
	}
	m := hmac.New(sha256.New, secret)
	m.Write([]byte("vasistas proceeding\n" + number))
	return Digest(m.Sum(nil)), nil
}
