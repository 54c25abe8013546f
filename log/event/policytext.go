// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Algorithm bytes of verifier keys (C2SP signed-note, tlog-cosignature).
const (
	algEd25519     = 0x01 // a log's
	algCosignature = 0x04 // Ed25519 cosignature
	algMLDSA       = 0x06 // ML-DSA-44 cosignature
)

// splitVKey reads a C2SP verifier key, name+hash+base64(algorithm, key), in
// its one encoding.
func splitVKey(s string) (name string, alg byte, key []byte, err error) {
	name, rest, ok := strings.Cut(s, "+")
	id, text, ok2 := strings.Cut(rest, "+")
	if !ok || !ok2 {
		return "", 0, nil, errors.New("want a verifier key: name+hash+key")
	}
	if err := checkOrigin(name); err != nil {
		return "", 0, nil, fmt.Errorf("verifier key: name: %w", err)
	}
	b, err := std.DecodeString(text)
	if err != nil || !lineless([]byte(text)) || len(b) < 2 {
		return "", 0, nil, fmt.Errorf("verifier key: %w", errBase64)
	}
	want, known := map[byte]int{algEd25519: 32, algCosignature: 32, algMLDSA: 1312}[b[0]]
	if !known || len(b)-1 != want {
		return "", 0, nil, errors.New("verifier key: unknown algorithm, or wrong key length")
	}
	h := sha256.Sum256(append([]byte(name+"\n"), b...))
	if hex.EncodeToString(h[:4]) != id {
		return "", 0, nil, errors.New("verifier key: hash doesn't match name and key")
	}
	return name, b[0], b[1:], nil
}

func checkVKey(s string) error {
	_, _, _, err := splitVKey(s)
	return err
}

// A policyText is a tlog-policy as its words, by line.
type policyText struct {
	logs, witnesses []string // verifier keys, in their order
}

// readPolicy holds a policy to its one spelling and picks out the keys. It
// doesn't judge groups and quorum: that is the policy parser's.
func readPolicy(text string) (policyText, error) {
	var p policyText
	quorums := 0
	for line := range strings.Lines(text) {
		line, ok := strings.CutSuffix(line, "\n")
		words := strings.Split(line, " ")
		for _, w := range words {
			ok = ok && w != "" && strings.IndexFunc(w, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
		}
		if !ok {
			return p, errors.New("want ASCII words with single spaces, and LF after each line")
		}
		switch n := len(words); {
		case words[0] == "log" && (n == 2 || n == 3):
			p.logs = append(p.logs, words[1])
		case words[0] == "witness" && (n == 3 || n == 4):
			p.witnesses = append(p.witnesses, words[2])
		case words[0] == "group" && n >= 4:
		case words[0] == "quorum" && n == 2:
			quorums++
		default:
			return p, fmt.Errorf("line %q is no log, witness, group or quorum", words[0])
		}
	}
	if quorums != 1 {
		return p, errors.New("want exactly one quorum line")
	}
	return p, nil
}

// A keyring notices a raw key that stands for two.
type keyring map[string]string

func (k keyring) add(raw []byte, owner string) error {
	if was, ok := k[string(raw)]; ok {
		return fmt.Errorf("one key stands for %s and for %s", was, owner)
	}
	k[string(raw)] = owner
	return nil
}

// checkRawKeys holds every raw key in the charter to one use. A key of the
// audit policy is its auditor's cosigner key, and a policy's log key is the
// log's: those are one use that is written twice.
func (ch *Charter) checkRawKeys(origin string) error {
	ring := make(keyring)
	for i, s := range ch.LogKeys {
		name, alg, key, err := splitVKey(s)
		switch {
		case err != nil:
			return fmt.Errorf("body.logKeys: %w", err)
		case name != origin:
			return fmt.Errorf("body.logKeys: %s is not the origin", name)
		case i == 0 && alg != algEd25519, alg == algCosignature:
			return errors.New("body.logKeys: want an Ed25519 key first, then Ed25519 and ML-DSA keys")
		}
		if err := ring.add(key, "the log"); err != nil {
			return fmt.Errorf("body.logKeys: %w", err)
		}
	}
	cosigners := make(map[string]bool)
	for i := range ch.Parties {
		p := &ch.Parties[i]
		if err := p.addKeys(ring, cosigners); err != nil {
			return fmt.Errorf("body.parties: %w", err)
		}
	}
	if err := ch.checkPolicy(ch.AuditPolicy, func(vkey string, _ []byte) error {
		if !cosigners[vkey] {
			return errors.New("a witness is no cosigner key of an auditor")
		}
		return nil
	}); err != nil {
		return fmt.Errorf("body.auditPolicy: %w", err)
	}
	if err := ch.checkPolicy(ch.WitnessPolicy, func(_ string, raw []byte) error {
		return ring.add(raw, "a witness")
	}); err != nil {
		return fmt.Errorf("body.witnessPolicy: %w", err)
	}
	return nil
}

func (p *Party) addKeys(ring keyring, cosigners map[string]bool) error {
	owner := string(p.Role) + " " + p.Name
	for _, k := range p.Keys {
		if err := ring.add(k.raw(), owner); err != nil {
			return err
		}
	}
	for _, g := range p.Gates {
		if err := ring.add(g.Public, owner+"'s gate"); err != nil {
			return err
		}
	}
	for _, s := range p.Cosigners {
		_, alg, key, err := splitVKey(s)
		if err != nil || alg == algEd25519 {
			return fmt.Errorf("%s: cosigners: want cosignature keys", owner)
		}
		if err := ring.add(key, owner+"'s cosigner"); err != nil {
			return err
		}
		cosigners[s] = true
	}
	return nil
}

func (ch *Charter) checkPolicy(text string, witness func(vkey string, raw []byte) error) error {
	p, err := readPolicy(text)
	if err != nil {
		return err
	}
	for _, s := range p.logs {
		found := false
		for _, k := range ch.LogKeys {
			found = found || k == s
		}
		if !found {
			return errors.New("a log line names a key that isn't in logKeys")
		}
	}
	seen := make(keyring)
	for _, s := range p.witnesses {
		_, alg, raw, err := splitVKey(s)
		if err != nil {
			return err
		}
		if alg == algEd25519 {
			return errors.New("a witness has a log's key type")
		}
		if err := seen.add(raw, "a witness"); err != nil {
			return err
		}
		if err := witness(s, raw); err != nil {
			return err
		}
	}
	return nil
}
