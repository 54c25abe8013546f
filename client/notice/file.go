// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package notice is what a subject keeps of an access to its data: a notice, and the
// proofs of the entries that it speaks of, in one file that anyone can verify offline.
//
// [File.Verify] promises its caller that whatever it returns is in a log that the
// caller's policy accepts, and that the notice's openings are those that warrant and
// access sealed. It trusts nobody else, in particular not who gives it the file. What
// a file can't show, it says: see [Verified].NotShown.
//
// The file has the notice in plain text. That is enough: an opening is proven by its
// digest in a signed and logged event, however it came to the reader. The ciphertext
// would add nothing without the subject's key, and that key opens all other notices
// of its month too, so no file holds it. What is left out is who was told: that the
// release states this very notice is checked by who has the key, when it is found.
package notice

import (
	"bytes"
	"encoding/base64"
	"fmt"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/tlog"
)

// magic is the first line of a file.
const magic = "vasistas notice file v1\n"

// MaxCharters is how many charters a file has at most: those in force at release,
// access and warrant.
const MaxCharters = 3

// MaxFileSize bounds a file.
const MaxFileSize = (3+MaxCharters)*(tlog.MaxProofSize*4/3+64) + 1<<16

// A File is a notice with the proofs of what it speaks of (C2SP tlog-proof, with the
// entry as extra), all under one checkpoint.
//
// As bytes it is the magic line, and a line for each part, in the order of the fields:
// its name, a space, and unpadded base64url of its bytes. The line of the warrant is
// absent in an emergency; there is a line for each charter.
type File struct {
	Notice   *escrow.Notice
	Release  []byte
	Access   []byte
	Warrant  []byte   // nil in an emergency
	Charters [][]byte // in force at warrant, access and release; each once, by index
}

var url64 = base64.RawURLEncoding.Strict()

// Bytes returns the file. It sorts the notice's openings in place.
func (f *File) Bytes() ([]byte, error) {
	n, err := f.Notice.Bytes()
	if err != nil {
		return nil, err
	}
	b := []byte(magic)
	line := func(name string, part []byte) {
		b = append(append(b, name...), ' ')
		b = append(url64.AppendEncode(b, part), '\n')
	}
	line("notice", n)
	line("release", f.Release)
	line("access", f.Access)
	if f.Warrant != nil {
		line("warrant", f.Warrant)
	}
	for _, c := range f.Charters {
		line("charter", c)
	}
	if len(b) > MaxFileSize {
		return nil, malformed("it would have %d bytes, at most %d", len(b), MaxFileSize)
	}
	return b, nil
}

// Is says whether a file begins as a notice does.
func Is(b []byte) bool { return bytes.HasPrefix(b, []byte(magic)) }

func malformed(format string, args ...any) error {
	return &verify.Error{Reason: verify.Malformed, Err: fmt.Errorf("notice file: "+format, args...)}
}

// Parse reads what Bytes writes, and nothing else. Its proofs are read, not judged.
func Parse(b []byte) (*File, error) {
	rest, ok := bytes.CutPrefix(b, []byte(magic))
	if !ok || len(b) > MaxFileSize {
		return nil, malformed("it is none, or has more than %d bytes", MaxFileSize)
	}
	f := new(File)
	var text []byte
	var err error
	part := func(name string, into *[]byte) bool {
		after, ok := bytes.CutPrefix(rest, []byte(name+" "))
		line, next, ok2 := bytes.Cut(after, []byte("\n"))
		if err != nil || !ok || !ok2 {
			return false
		}
		if bytes.IndexByte(line, '\r') >= 0 {
			err = malformed("%s: base64 with line breaks", name)
			return false
		}
		raw, bad := url64.AppendDecode([]byte{}, line)
		if bad != nil {
			err = malformed("%s: %w", name, bad)
			return false
		}
		*into, rest = raw, next
		return true
	}
	if ok := part("notice", &text) && part("release", &f.Release) && part("access", &f.Access); !ok {
		if err == nil {
			err = malformed("want the lines notice, release and access")
		}
		return nil, err
	}
	part("warrant", &f.Warrant)
	for c := []byte(nil); len(f.Charters) < MaxCharters && part("charter", &c); {
		f.Charters = append(f.Charters, c)
	}
	switch {
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, malformed("there is more, or something else, after %d bytes", len(b)-len(rest))
	case len(f.Charters) == 0:
		return nil, malformed("it has no charter")
	}
	if f.Notice, err = escrow.ParseNotice(text); err != nil {
		return nil, malformed("%w", err)
	}
	if (f.Notice.Warrant == nil) != (f.Warrant == nil) {
		return nil, malformed("a notice that names a warrant has the warrant's proof, and no other has one")
	}
	for _, p := range f.proofs() {
		if _, err := tlog.ParseProof(p); err != nil {
			return nil, malformed("%w", err)
		}
	}
	if again, err := f.Bytes(); err != nil || !bytes.Equal(again, b) {
		return nil, malformed("not the canonical encoding")
	}
	return f, nil
}

func (f *File) proofs() [][]byte {
	out := [][]byte{f.Release, f.Access}
	if f.Warrant != nil {
		out = append(out, f.Warrant)
	}
	return append(out, f.Charters...)
}
