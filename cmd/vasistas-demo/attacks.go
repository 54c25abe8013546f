// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

// attack is what was tried, and what refused it.
type attack struct {
	Tried   string
	Refused []string // at least one line
}

// errSucceeded is the error of an attack that was not refused. It is the one
// that must never happen.
var errSucceeded = errors.New("THE ATTACK SUCCEEDED")

// errMoved says that a witness has cosigned a later head of the log meanwhile, so
// that what was offered was not what it has.
var errMoved = errors.New("the log has grown")

// changeByte flips one bit in the middle of the entry that a proof carries.
func changeByte(policy *verify.Policy, proof *tlog.Proof) (changed *tlog.Proof, a *attack, err error) {
	forged := *proof
	forged.Extra = bytes.Clone(proof.Extra)
	at := len(forged.Extra) / 2
	forged.Extra[at] ^= 1
	a = &attack{Tried: fmt.Sprintf("In the proof of entry %d, byte %d of the entry's %d was changed, by one bit.",
		proof.Index, at, len(forged.Extra))}
	reason, err := refusedBy(policy, &forged, verify.NotIncluded)
	if err != nil {
		return nil, nil, err
	}
	a.Refused = []string{"Offline verification: " + reason}
	return &forged, a, nil
}

// refusedBy verifies a forged proof, and returns why it is refused, which must
// be for this reason.
func refusedBy(policy *verify.Policy, p *tlog.Proof, want verify.Reason) (string, error) {
	_, err := verify.Proof(policy, p.Bytes(), verify.Options{Now: time.Now()})
	if err == nil {
		return "", fmt.Errorf("%w: a forged proof was verified", errSucceeded)
	}
	var refused *verify.Error
	if !errors.As(err, &refused) || refused.Reason != want {
		return "", fmt.Errorf("a forged proof was refused, but not as %s: %w", want, err)
	}
	// The two root hashes that follow tell a reader nothing.
	text, _, _ := strings.Cut(err.Error(), ": it leads to the root")
	return fmt.Sprintf("%s (%s)", text, refused.Reason), nil
}

// twoOfThree leaves a proof the cosignatures of all witnesses but the last. It
// must hold under the policy that asks for two, and not under that which asks
// for all three.
func twoOfThree(two, all *verify.Policy, proof *tlog.Proof, last operator) (cut *tlog.Proof, a *attack, err error) {
	head := *proof.Checkpoint
	head.Signatures = slices.Clone(head.Signatures)
	for _, k := range last.keys {
		if head.Find(k.Verifier()) == nil {
			return nil, nil, fmt.Errorf("the proof to begin with has no cosignature of %s", last.name)
		}
		head.Signatures = slices.DeleteFunc(head.Signatures, func(s tlog.Signature) bool {
			return s.Name == k.Verifier().Name && s.KeyID == k.Verifier().ID
		})
	}
	forged := *proof
	forged.Checkpoint = &head
	if _, err := verify.Proof(two, forged.Bytes(), verify.Options{Now: time.Now()}); err != nil {
		return nil, nil, fmt.Errorf("a proof with two cosignatures should hold under a policy of two: %w", err)
	}
	reason, err := refusedBy(all, &forged, verify.NoQuorum)
	if err != nil {
		return nil, nil, err
	}
	a = &attack{
		Tried: fmt.Sprintf("From the proof of entry %d, the cosignatures of %s were taken away, and it was "+
			"shown to somebody whose policy asks for all three witnesses.", proof.Index, last.name),
		Refused: []string{
			"Offline verification: " + reason,
			"Under the policy that asks for two of three the same file holds, as it should: how many witnesses are enough is the verifier's choice.",
		},
	}
	return &forged, a, nil
}

// forkHead signs, with the log's real keys, a history in which one entry is
// another one, and offers it to a witness: first in place of the head that the
// witness has cosigned, then grown by an entry, with a consistency proof.
func forkHead(ctx context.Context, logKeys operator, url string, target operator, leaves []tlog.Hash) (*attack, error) {
	size, err := witnessSize(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target.name, err)
	}
	if size == 0 || size > uint64(len(leaves)) {
		return nil, fmt.Errorf("%w: %s has cosigned a tree of %d entries, and %d were read", errMoved, target.name, size, len(leaves))
	}
	forged := slices.Clone(leaves[:size])
	victim := len(forged) / 2
	forged[victim] = rfcLeaf([]byte("another history"))
	a := &attack{Tried: fmt.Sprintf("Each witness was offered a tree in which entry %d is another one, signed with "+
		"the log's real keys; and then the same with one more entry.", victim)}
	for _, extra := range []int{0, 1} {
		if extra > 0 {
			forged = append(forged, rfcLeaf([]byte("and one more entry")))
		}
		request := tlog.AddCheckpoint{Old: size, Proof: consistency(forged, size)}
		if request.Checkpoint, err = signHead(logKeys, tlog.Head{Origin: origin, Size: uint64(len(forged)), Root: treeRoot(forged)}); err != nil {
			return nil, err
		}
		status, answer, err := call(ctx, http.MethodPost, url+"/add-checkpoint", "", bytes.NewReader(request.Bytes()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", target.name, err)
		}
		text := strings.TrimSpace(string(answer))
		switch status {
		case http.StatusOK:
			return nil, fmt.Errorf("%w: %s cosigned a fork", errSucceeded, target.name)
		case http.StatusUnprocessableEntity:
		case http.StatusConflict:
			return nil, fmt.Errorf("%w: %s: %s", errMoved, target.name, text)
		default:
			return nil, fmt.Errorf("%s answered %d to a fork, and not 422: %s", target.name, status, text)
		}
		a.Refused = append(a.Refused, fmt.Sprintf("%s: HTTP %d for %d entries: %s", target.name, status, len(forged), text))
	}
	after, err := witnessSize(ctx, url)
	if err == nil && after > size {
		return nil, fmt.Errorf("%w: %s was at size %d", errMoved, target.name, size)
	}
	if err != nil || after != size {
		return nil, fmt.Errorf("%s is at size %d after a fork, and was at %d: %w", target.name, after, size, errors.Join(errSucceeded, err))
	}
	return a, nil
}

// witnessSize returns the size of the head that a witness cosigned last.
func witnessSize(ctx context.Context, url string) (uint64, error) {
	status, body, err := get(ctx, fmt.Sprintf("%s/%x/checkpoint", url, sha256.Sum256([]byte(origin))))
	if err != nil {
		return 0, err
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("HTTP %d: %s", status, body)
	}
	c, err := tlog.ParseCheckpoint(body)
	if err != nil {
		return 0, err
	}
	return c.Size, nil
}

func signHead(log operator, h tlog.Head) (*tlog.Checkpoint, error) {
	c := &tlog.Checkpoint{Head: h}
	for _, k := range log.keys {
		s, err := k.Sign(&h, uint64(time.Now().Unix()))
		if err != nil {
			return nil, err
		}
		c.Signatures = append(c.Signatures, s)
	}
	return c, nil
}

// evidence returns a file in which a witness has kept a fork, once it has
// convinced a third party: one that knows the policy, and trusts the witness in
// nothing.
func evidence(policy *verify.Policy, dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "evidence", "*", "fork-*.json"))
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", fmt.Errorf("%s: a fork was refused, and no evidence of it was kept", dir)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		return "", err
	}
	var e witness.Evidence
	if err := json.Unmarshal(b, &e); err != nil {
		return "", fmt.Errorf("%s: %w", files[0], err)
	}
	accepted, err := tlog.ParseCheckpoint([]byte(e.Accepted))
	if err != nil {
		return "", fmt.Errorf("%s: %w", files[0], err)
	}
	request, err := tlog.ParseAddCheckpoint([]byte(e.Request))
	if err != nil {
		return "", fmt.Errorf("%s: %w", files[0], err)
	}
	offered := request.Checkpoint
	fork := client.ForkError{Small: accepted, Large: offered, Prefix: offered.Root}
	return files[0], fork.Check(policy, origin)
}

func rfcLeaf(entry []byte) tlog.Hash { return tlog.Hash(rfc6962.DefaultHasher.HashLeaf(entry)) }

// treeRoot is MTH of RFC 6962, section 2.1, as it stands there. leaves are leaf
// hashes, at least one.
func treeRoot(leaves []tlog.Hash) tlog.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := split(len(leaves))
	left, right := treeRoot(leaves[:k]), treeRoot(leaves[k:])
	return tlog.Hash(rfc6962.DefaultHasher.HashChildren(left[:], right[:]))
}

// consistency is PROOF(size, D[n]) of RFC 6962, section 2.1.2.
func consistency(leaves []tlog.Hash, size uint64) []tlog.Hash {
	return subproof(int(size), leaves, true)
}

func subproof(m int, leaves []tlog.Hash, whole bool) []tlog.Hash {
	if m == len(leaves) {
		if whole {
			return nil
		}
		return []tlog.Hash{treeRoot(leaves)}
	}
	k := split(len(leaves))
	if m <= k {
		return append(subproof(m, leaves[:k], whole), treeRoot(leaves[k:]))
	}
	return append(subproof(m-k, leaves[k:], false), treeRoot(leaves[:k]))
}

// split is the largest power of two below n.
func split(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}
