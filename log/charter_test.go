// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/recover"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// parties are the event keys of the parties of a charter.
type parties struct {
	founder, authority, provider, custodian, duty, auditor event.Signer
}

// newSigner returns an event key that no charter names.
func newSigner() event.Signer { return people.New(origin, "").Signer("stranger") }

// charter returns the first charter of the world, for a test to change.
func (w *world) charter() *event.Charter {
	return w.Charter(func(c *event.Charter) {
		c.Profile, c.LogKeys = w.profile, nil
		for _, k := range w.keys {
			c.LogKeys = append(c.LogKeys, k.Verifier().String())
		}
		w.Cast(c, event.RoleCharter, "founder")
		w.Cast(c, event.RoleCustodian, "holder")
		w.Cast(c, event.RoleAuditor, "watchdog")
		// Tests give these two other keys.
		for role, key := range map[event.Role]event.Signer{event.RoleAuthority: w.authority, event.RoleProvider: w.provider} {
			i := slices.IndexFunc(c.Parties, func(p event.Party) bool { return p.Role == role })
			c.Parties[i].Keys = []*event.PublicKey{key.Public()}
		}
		c.WitnessPolicy, c.AuditPolicy = policyOf(w.witnesses, w.quorum, false), "quorum none\n"
		if w.extra != nil {
			w.extra(c)
		}
	})
}

// policyOf is the text of a policy that k of the witnesses meet.
func policyOf(witnesses []*witnessServer, k int, urls bool) string {
	var list []people.Witness
	for i, s := range witnesses {
		one := people.Witness{Name: fmt.Sprintf("w%d", i+1), Keys: []*tlog.VerifierKey{s.key.Verifier()}}
		if urls {
			one.URL = s.URL
		}
		list = append(list, one)
	}
	return people.Policy(k, list...)
}

// signed returns the entry of an event, signed now.
func signed(t testing.TB, body event.Body, by ...event.Signer) *event.Envelope {
	t.Helper()
	return signedAt(t, time.Now(), body, by...)
}

func signedAt(t testing.TB, at time.Time, body event.Body, by ...event.Signer) *event.Envelope {
	t.Helper()
	ev, err := event.New(origin, body)
	check(t, err)
	ev.Time = whole(at)
	env, err := event.Sign(ev, by...)
	check(t, err)
	return env
}

// create creates the log and its vault.
func (w *world) create() {
	w.t.Helper()
	check(w.t, vault.Create(w.vaultConfig()))
	w.createTree()
	engine, err := w.openTree()
	check(w.t, err)
	w.founding = signedAt(w.t, w.now(), w.charter(), w.founder)
	check(w.t, recover.Init(w.t.Context(), recover.InitConfig{StateDir: w.state(), Engine: engine, Keys: w.keys, Charter: w.founding.Bytes()}))
	check(w.t, engine.Close(w.t.Context()))
	w.seen.acknowledged(0, w.founding.Bytes())
}

func (w *world) vaultConfig() vault.Config {
	return vault.Config{Dir: filepath.Join(w.dir, "vault"), Identity: filepath.Join(w.keyDir, "vault.key"), Spare: w.spare}
}

// whole is a time as an event states it.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// now is the time as the world has it.
func (w *world) now() time.Time {
	if w.witnessed.Load() == 0 {
		return time.Now()
	}
	return time.Unix(w.witnessed.Load(), 0)
}

// warrantTerms is what a warrant of a test says.
type warrantTerms struct {
	at                 time.Time // zero: now
	until              time.Time // of the seal; zero: 90 days
	accesses, accounts uint64    // 0: 1
}

// newWarrant returns a fresh, signed, sealed warrant with its openings.
func newWarrant(t testing.TB, origin string, terms warrantTerms, signers ...event.Signer) *event.Submission {
	t.Helper()
	now := whole(time.Now())
	if !terms.at.IsZero() {
		now = whole(terms.at)
	}
	ev, err := event.New(origin, &event.Warrant{Decision: event.Granted, Provider: "messenger", Instrument: "search", Offence: "fraud",
		Accounts: max(1, terms.accounts), Accesses: max(1, terms.accesses), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour)})
	check(t, err)
	ev.Time = now
	public := []event.Opening{
		event.NewOpening("agency", event.Text("police")),
		event.NewOpening("agencyKey", event.Bytes(signers[0].Public().SPKI())),
		event.NewOpening("grounds", event.Codes("investigation")),
	}
	subject := []event.Opening{event.NewOpening("case", event.Text("1/2026")), event.Decoy()}
	if terms.until.IsZero() {
		terms.until = now.Add(90 * 24 * time.Hour)
	}
	check(t, ev.Seal(whole(terms.until), public, subject))
	env, err := event.Sign(ev, signers...)
	check(t, err)
	return &event.Submission{Envelope: env, Openings: public}
}

// newAccess returns an access on a warrant, with its opening.
func (w *world) newAccess(warrant event.Reference, until time.Time) *event.Submission {
	w.t.Helper()
	recipient, err := ecdh.X25519().GenerateKey(rand.Reader)
	check(w.t, err)
	ev, err := event.New(origin, &event.Access{Warrant: &warrant, Group: "main", Accounts: 1,
		Recipient: event.HPKEKey{KEM: event.KEMX25519, Public: recipient.PublicKey().Bytes()}})
	check(w.t, err)
	ev.Time = whole(w.now())
	public := []event.Opening{event.NewOpening("unit", event.Text("desk"))}
	subject := []event.Opening{
		event.NewOpening("account", event.Text("+1 555 0100")),
		event.NewOpening("agencySignature", event.Bytes(make([]byte, 64))),
		event.NewOpening("package", event.Text(event.Digest{1}.String())),
	}
	check(w.t, ev.Seal(whole(until), public, subject))
	env, err := event.Sign(ev, w.provider)
	check(w.t, err)
	return &event.Submission{Envelope: env, Openings: public}
}

// release returns a custodian's release with a notice.
func (w *world) release(access event.Reference, seq uint64, prev [32]byte, head event.Head) *event.Submission {
	w.t.Helper()
	notice := make([]byte, 100)
	rand.Read(notice)
	env := signedAt(w.t, w.now(), &event.Release{Access: access, Seq: seq, Prev: prev, Head: head,
		Notices: []event.Digest{sha256.Sum256(notice)}}, w.custodian)
	return &event.Submission{Envelope: env, Notices: [][]byte{notice}}
}

// bytesOf is the one encoding of a submission.
func bytesOf(t testing.TB, s *event.Submission) []byte {
	t.Helper()
	b, err := s.Bytes()
	check(t, err)
	return b
}

// entryOf is the entry of a submission.
func entryOf(submission []byte) []byte {
	s, err := event.ParseSubmission(submission)
	if err != nil {
		return submission
	}
	return s.Envelope.Bytes()
}

// referTo is a reference to an entry.
func referTo(index uint64, env *event.Envelope) event.Reference {
	return event.Reference{Index: index, Leaf: env.LeafHash()}
}
