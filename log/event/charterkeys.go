// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/log/tlog"
)

// parseVKey reads a verifier key whose name is ASCII. It accepts a weak key, since a
// charter that names one may be logged; the rules keep it out of every policy.
func parseVKey(s string) (*tlog.VerifierKey, error) {
	k, err := tlog.ParseVerifierKey(s)
	if weak := (*tlog.WeakKeyError)(nil); errors.As(err, &weak) {
		k = weak.Key
	} else if err != nil {
		return nil, err
	}
	if err := checkOrigin(k.Name); err != nil {
		return nil, fmt.Errorf("verifier key: name: %w", err)
	}
	return k, nil
}

func checkVKey(s string) error {
	_, err := parseVKey(s)
	return err
}

// A keyring maps a raw key to its one use.
type keyring map[string]string

func (k keyring) add(raw []byte, owner string) error {
	if was, ok := k[string(raw)]; ok {
		return fmt.Errorf("one key is used for %s and for %s", was, owner)
	}
	k[string(raw)] = owner
	return nil
}

// checkRawKeys checks that every raw key in the charter has one use. A key of the
// audit policy is an auditor's cosigner key and a policy's log key is the log's;
// each of these is one use, written twice.
func (ch *Charter) checkRawKeys(origin string) error {
	ring := make(keyring)
	for i, s := range ch.LogKeys {
		k, err := parseVKey(s)
		switch {
		case err != nil:
			return fmt.Errorf("body.logKeys: %w", err)
		case k.Name != origin:
			return fmt.Errorf("body.logKeys: %s is not the origin", k.Name)
		case i == 0 && k.Algorithm != tlog.Ed25519, k.Algorithm == tlog.CosignatureEd25519:
			return errors.New("body.logKeys: want an Ed25519 key first, then Ed25519 and ML-DSA keys")
		}
		if err := ring.add(k.Key, "the log"); err != nil {
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
			return errors.New("a witness line names a key that is not a cosigner key of an auditor")
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
		k, err := parseVKey(s)
		if err != nil || k.Algorithm == tlog.Ed25519 {
			return fmt.Errorf("%s: cosigners: want cosignature keys", owner)
		}
		if err := ring.add(k.Key, owner+"'s cosigner"); err != nil {
			return err
		}
		cosigners[s] = true
	}
	return nil
}

// checkPolicy checks a policy's spelling and its keys. Groups and quorum are left to
// the policy parser.
func (ch *Charter) checkPolicy(text string, witness func(vkey string, raw []byte) error) error {
	var again strings.Builder
	quorums, seen := 0, make(keyring)
	for line, err := range tlog.PolicyLines(text) {
		if err != nil {
			return err
		}
		words := line.Words
		again.WriteString(strings.Join(words, " ") + "\n")
		switch words[0] {
		case "log":
			if !slices.Contains(ch.LogKeys, words[1]) {
				return errors.New("a log line names a key that isn't in logKeys")
			}
		case "witness":
			k, err := parseVKey(words[2])
			if err != nil {
				return err
			}
			if k.Algorithm == tlog.Ed25519 {
				return errors.New("a witness line names a log's key type, not a cosignature key")
			}
			if err := seen.add(k.Key, "a witness"); err != nil {
				return err
			}
			if err := witness(words[2], k.Key); err != nil {
				return err
			}
		case "quorum":
			quorums++
		}
	}
	if again.String() != text || strings.ContainsFunc(text, func(r rune) bool { return r > '~' }) {
		return errors.New("want ASCII words with single spaces, LF after each line, no comments and no empty lines")
	}
	if quorums != 1 {
		return errors.New("want exactly one quorum line")
	}
	return nil
}
