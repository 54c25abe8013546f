// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"encoding/base64"
	"fmt"
	"strings"
)

const proofHeader = "c2sp.org/tlog-proof@v1\n"

// MaxProofSize bounds a tlog-proof file in bytes.
const MaxProofSize = MaxCheckpointSize + MaxExtra/3*4 + 64*(MaxHashes+2) + 256

// Proof is a transparency log proof (tlog-proof, "Format"): a checkpoint, an
// index, and the inclusion proof of the entry there. Extra is opaque and not
// authenticated. Vasistas proofs carry the entry in Extra, and the inclusion proof
// authenticates its leaf hash.
type Proof struct {
	Extra      []byte // nil if there is none
	Index      uint64
	Hashes     []Hash // from the leaf's sibling upwards
	Checkpoint *Checkpoint
}

// String names the entry and the head.
func (p *Proof) String() string { return fmt.Sprintf("proof of entry %d in %s", p.Index, p.Checkpoint) }

// ParseProof parses a tlog-proof. It refuses an extra line without data, which is a
// second spelling of no extra line.
func ParseProof(b []byte) (*Proof, error) {
	if len(b) > MaxProofSize {
		return nil, malformed("proof: %d bytes, and %d are allowed", len(b), MaxProofSize)
	}
	rest, ok := strings.CutPrefix(string(b), proofHeader)
	if !ok {
		return nil, malformed("proof: the first line is not %q; name a .tlog-proof file", strings.TrimSpace(proofHeader))
	}
	p := &Proof{}
	if strings.HasPrefix(rest, "extra ") {
		var line string
		if line, rest, ok = strings.Cut(rest, "\n"); !ok {
			return nil, malformed("proof: it ends within its entry: it was cut off")
		}
		if p.Extra, ok = decodeBase64(strings.TrimPrefix(line, "extra ")); !ok || len(p.Extra) == 0 {
			return nil, malformed("proof: the extra line is not base64 of some data")
		}
		if len(p.Extra) > MaxExtra {
			return nil, malformed("proof: %d bytes of extra data, and %d are allowed", len(p.Extra), MaxExtra)
		}
	}
	line, rest, ok := strings.Cut(rest, "\n")
	index, isIndex := strings.CutPrefix(line, "index ")
	if !ok || !isIndex {
		return nil, malformed("proof: there is no index line")
	}
	if p.Index, ok = parseDecimal(index); !ok {
		return nil, malformed("proof: the index is not a decimal below 2^63 without leading zeros")
	}
	var err error
	if p.Hashes, rest, err = parseHashes(rest, "proof"); err != nil {
		return nil, err
	}
	if p.Checkpoint, err = ParseCheckpoint([]byte(rest)); err != nil {
		return nil, err
	}
	return p, nil
}

// parseHashes reads hash lines and the empty line after them.
func parseHashes(s, what string) (hashes []Hash, rest string, err error) {
	for {
		line, after, ok := strings.Cut(s, "\n")
		if !ok {
			return nil, "", malformed("%s: it ends before its checkpoint: it was cut off", what)
		}
		s = after
		if line == "" {
			return hashes, s, nil
		}
		if len(hashes) == MaxHashes {
			return nil, "", malformed("%s: more than %d hashes", what, MaxHashes)
		}
		h, ok := decodeHash(line)
		if !ok {
			return nil, "", malformed("%s: hash %d is not base64 of 32 bytes", what, len(hashes)+1)
		}
		hashes = append(hashes, h)
	}
}

// appendHashes appends hash lines and an empty line.
func appendHashes(b []byte, hashes []Hash) []byte {
	for _, h := range hashes {
		b = appendHashLine(b, h)
	}
	return append(b, '\n')
}

// Bytes returns the proof as a file.
func (p *Proof) Bytes() []byte { return p.Under(p.Checkpoint.Bytes()) }

// Under is Bytes for a caller that has p.Checkpoint encoded: many proofs share a checkpoint.
func (p *Proof) Under(checkpoint []byte) []byte {
	b := make([]byte, 0, len(proofHeader)+len(checkpoint)+base64.StdEncoding.EncodedLen(len(p.Extra))+45*len(p.Hashes)+40)
	b = append(b, proofHeader...)
	if len(p.Extra) > 0 {
		b = append(b, "extra "...)
		b = base64.StdEncoding.AppendEncode(b, p.Extra)
		b = append(b, '\n')
	}
	b = appendHashes(fmt.Appendf(b, "index %d\n", p.Index), p.Hashes)
	return append(b, checkpoint...)
}
