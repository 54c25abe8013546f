// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package audittest

import (
	"crypto/sha256"
	"fmt"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

func (w *World) opening(name string, v event.Value) event.Opening {
	w.serial++
	h := sha256.Sum256(fmt.Append(nil, "salt ", w.serial))
	return event.Opening{Salt: [16]byte(h[:16]), Name: name, Value: v}
}

// seal seals what the type needs, and returns what is for the public.
func (w *World) seal(e *event.Event, until int64) []event.Opening {
	w.TB.Helper()
	var public, subject []event.Opening
	if _, ok := e.Body.(*event.Warrant); ok {
		public = []event.Opening{
			w.opening("agency", event.Text("police")),
			w.opening("agencyKey", event.Bytes(w.key("agency").public.SPKI())),
			w.opening("grounds", event.Codes("investigation")),
		}
		subject = []event.Opening{w.opening("case", event.Text("12/26"))}
	} else {
		public = []event.Opening{w.opening("unit", event.Text("legal"))}
		digest := event.Digest(sha256.Sum256([]byte("package")))
		subject = []event.Opening{
			w.opening("account", event.Text("x@example.org")),
			w.opening("agencySignature", event.Bytes([]byte("signature"))),
			w.opening("package", event.Text(digest.String())),
		}
	}
	if err := e.Seal(at(until), public, subject); err != nil {
		w.TB.Fatal(err)
	}
	return public
}

// WarrantEvent makes the event of a warrant for one access in the next 30 days.
func (w *World) WarrantEvent(until int64) (*event.Event, []event.Opening) {
	e := w.Event(&event.Warrant{Decision: event.Granted, Provider: "messenger", Instrument: "search", Offence: "fraud",
		Accounts: 2, Accesses: 1, NotBefore: at(w.Now), NotAfter: at(w.Now + 30*day)})
	return e, w.seal(e, until)
}

// Warrant logs a warrant that is sealed until a time.
func (w *World) Warrant(until int64) *Logged {
	w.TB.Helper()
	e, public := w.WarrantEvent(until)
	out := w.Log(e, "court")
	out.public = public
	return out
}

// Access logs an access on a warrant.
func (w *World) Access(warrant *Logged, until int64) *Logged {
	w.TB.Helper()
	k := sha256.Sum256([]byte("recipient"))
	ref := warrant.Reference
	e := w.Event(&event.Access{Warrant: &ref, Group: "main", Recipient: event.HPKEKey{KEM: event.KEMX25519, Public: k[:]}, Accounts: 1})
	public := w.seal(e, until)
	out := w.Log(e, "messenger")
	out.public = public
	return out
}

// See makes the present head the one that releases rely on.
func (w *World) See() { w.head = event.Head{Size: w.Size(), Root: event.Digest(w.frontier.Root())} }

// Release logs a custodian's next release.
func (w *World) Release(access *Logged, custodian string) *Logged {
	w.TB.Helper()
	w.serial++
	notice := make([]byte, 512) // as long as a short one that is padded and encrypted
	copy(notice, fmt.Appendf(nil, "notice %d of %s", w.serial, custodian))
	return w.ReleaseWith(access, custodian, notice)
}

// Seq returns the number of a custodian's next release.
func (w *World) Seq(custodian string) uint64 { return w.chains[custodian].seq + 1 }

// ReleaseWith logs a custodian's next release, with these notices.
func (w *World) ReleaseWith(access *Logged, custodian string, notices ...[]byte) *Logged {
	w.TB.Helper()
	if w.head.Size <= access.Index {
		w.See()
	}
	last := w.chains[custodian]
	var digests []event.Digest
	for _, n := range notices {
		digests = append(digests, sha256.Sum256(n))
	}
	event.SortDigests(digests)
	out := w.Log(w.Event(&event.Release{Access: access.Reference, Seq: last.seq + 1, Prev: last.hash,
		Notices: digests, Head: w.head}), custodian)
	out.notices = notices
	w.chains[custodian] = link{last.seq + 1, out.Envelope.Hash()}
	return out
}

// Sealed seals an event with these openings, and logs it.
func (w *World) Sealed(e *event.Event, until int64, public, subject []event.Opening, by ...string) *Logged {
	w.TB.Helper()
	if err := e.Seal(at(until), public, subject); err != nil {
		w.TB.Fatal(err)
	}
	out := w.Log(e, by...)
	out.public = public
	return out
}

// Disclose opens a warrant or access, and publishes the notices of releases.
func (w *World) Disclose(e *Logged, releases ...*Logged) *Logged {
	w.TB.Helper()
	d := &event.Disclosure{Event: e.Reference, Openings: append([]event.Opening(nil), e.public...)}
	for _, r := range releases {
		d.Notices = append(d.Notices, r.notices...)
	}
	return w.Log(w.Event(d), "messenger")
}

// Return says what became of a warrant.
func (w *World) Return(warrant *Logged) *Logged {
	w.TB.Helper()
	return w.Log(w.Event(&event.Return{Warrant: warrant.Reference, Executed: true, Persons: 1}), "messenger")
}

// Heartbeat logs a custodian's count.
func (w *World) Heartbeat(custodian string) *Logged {
	w.TB.Helper()
	last := w.chains[custodian]
	return w.Log(w.Event(&event.Heartbeat{From: at(w.Now - day), To: at(w.Now), Seq: last.seq, Prev: last.hash}), custodian)
}

// Anchor logs a head of this log.
func (w *World) Anchor(head *tlog.Checkpoint) *Logged {
	w.TB.Helper()
	return w.Log(w.Event(&event.Anchor{Checkpoint: string(head.Bytes())}), "messenger")
}

// Finding logs an auditor's statement that it has dealt with a breach.
func (w *World) Finding(auditor, rule string, index uint64) *Logged {
	w.TB.Helper()
	return w.Log(w.Event(&event.Finding{First: index, Last: index, Rule: rule, State: event.FindingClosed,
		Digest: sha256.Sum256([]byte("text"))}), auditor)
}

// Amend logs the next version of a charter.
func (w *World) Amend(charter *Logged, edit func(*event.Charter)) *Logged {
	w.TB.Helper()
	next := *charter.Envelope.Event.Body.(*event.Charter)
	ref := charter.Reference
	next.Version, next.Prev = next.Version+1, &ref
	edit(&next)
	return w.Log(w.Event(&next), "f1", "f2")
}

// Signer returns a party's key.
func (w *World) Signer(name string) event.Signer {
	w.TB.Helper()
	s, err := event.NewSigner(w.key(name).private)
	if err != nil {
		w.TB.Fatal(err)
	}
	return s
}

// Key returns the public key of a party, or of one that is to be.
func (w *World) Key(name string) *event.PublicKey { return w.key(name).public }

// one is a case that is under way.
type one struct {
	warrant, access *Logged
	releases        []*Logged
}

// Live lets a log live until it has so many entries, and a few more to end what it
// has begun. It keeps every rule: each case has a warrant, an access, two
// releases, and 8 hours later two disclosures and a return; every group of cases
// ends with an anchor. A group is some 60 entries and takes an hour.
func (w *World) Live(size uint64) {
	w.TB.Helper()
	const group, later = 8, 8
	var open [][]one
	finish := func(cases []one) {
		for i := range cases {
			c := &cases[i]
			w.Disclose(c.access, c.releases...)
			w.Disclose(c.warrant)
			w.Return(c.warrant)
		}
	}
	beat := w.Now
	for w.Size() < size {
		cases := make([]one, group)
		until := w.Now + later*hour
		for i := range cases {
			cases[i].warrant = w.Warrant(until)
			cases[i].access = w.Access(cases[i].warrant, until)
		}
		w.See()
		for i := range cases {
			cases[i].releases = []*Logged{w.Release(cases[i].access, "c1"), w.Release(cases[i].access, "c2")}
		}
		if open = append(open, cases); len(open) > later {
			finish(open[0])
			open = open[1:]
		}
		w.tick(&beat)
	}
	for len(open) > 0 {
		finish(open[0])
		open = open[1:]
		w.tick(&beat)
	}
}

// tick ends a group with an anchor and an hour; once a month with heartbeats.
func (w *World) tick(beat *int64) {
	if w.Now-*beat > 30*day {
		*beat = w.Now
		for _, c := range []string{"c1", "c2", "c3"} {
			w.Heartbeat(c)
		}
	}
	w.Anchor(w.Checkpoint("w1", "w2"))
	w.Now += hour
}
