// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notice_test

import (
	"strings"
	"testing"

	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/world/cases"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
)

// A forger is the provider with a log of its own: it has no key of a founder, a court, a
// custodian or an auditor, and its witnesses cosign what it logs.
type forger struct{ *world }

// charter returns the next version of the charter, whose parties all have the forger's keys.
func (w forger) charter() *event.Charter {
	return w.NextCharter(func(c *event.Charter) {
		for _, name := range []string{"court", "c1", "c2", "c3", "f1", "f2", "f3", "a1", "a2"} {
			for i := range c.Parties {
				if p := &c.Parties[i]; p.Name == name && p.Role != event.RoleDuty {
					p.Keys = []*event.PublicKey{w.Public("evil " + name)}
				}
			}
		}
		for _, name := range []string{"a1", "a2"} {
			c.Party(event.RoleAuditor, name).Cosigners = []string{w.Witness("evil-" + name).Verifier().String()}
		}
		c.AuditPolicy = w.Policy(2, "evil-a1", "evil-a2")
	})
}

// file logs case 0 again, with a warrant and a release by the forger's keys, and returns its
// notice file with these charters.
func (w forger) file(charters ...*written.Logged) *notice.File {
	return w.again("evil court", "evil c1", charters...)
}

// again logs case 0 again, with a warrant of this court and a release of this custodian.
func (w *world) again(court, custodian string, charters ...*written.Logged) *notice.File {
	c := *w.cases[0]
	c.Warrant = w.LogEvent(c.Warrant.Envelope.Event, court)
	e := *c.Access.Envelope.Event
	body := *e.Body.(*event.Access)
	body.Warrant, e.Body = &c.Warrant.Reference, &body
	c.Access = w.LogEvent(&e, "messenger")
	openings := *c.AccessOpenings
	openings.Event, c.AccessOpenings = c.Access.Envelope.Hash(), &openings
	n := w.Notice(&c, "c1", 0)
	w.See()
	release := w.LogEvent(w.ReleaseEvent(c.Access, "c1", []byte("notice")), custodian)
	return w.fileOf(&c, n.Seq, release, charters...)
}

// fileOf is the notice file of a case under a head that witnesses, auditors and the forger's
// auditors cosign.
func (w *world) fileOf(c *cases.Case, seq uint64, release *written.Logged, charters ...*written.Logged) *notice.File {
	head := w.Publish("w1", "w2", "w3", "a1", "a2", "evil-a1", "evil-a2")
	n := w.Notice(c, "c1", 0)
	n.Seq = seq
	f := &notice.File{Notice: n, Release: w.Proof(head, release), Access: w.Proof(head, c.Access), Warrant: w.Proof(head, c.Warrant)}
	for _, ch := range charters {
		f.Charters = append(f.Charters, w.Proof(head, ch))
	}
	return f
}

// doubtful wants names that are only claimed.
func doubtful(t *testing.T, w *world, f *notice.File, why string) {
	t.Helper()
	v, err := verifyFile(encode(t, f), w.policy())
	if v == nil || verify.VerdictOf(err) != verify.Undecided || v.Doubt != err || !strings.Contains(err.Error(), why) {
		t.Fatalf("%v, want %q", err, why)
	}
	if v.Version != 0 || len(v.Auditors) > 0 || v.Release.By != "" || v.Access.By != "" || v.Warrant.By != "" || len(v.Claims) != 3 {
		t.Errorf("%+v", v)
	}
}

// A charter that no founder signed names no court, custodian or auditor, wherever it stands.
func TestForgedCharterNamesNoOne(t *testing.T) {
	for name, c := range map[string]struct {
		charters func(w forger) []*written.Logged
		why      string
	}{
		"an amendment of the provider": {func(w forger) []*written.Logged {
			return []*written.Logged{w.Charter, w.LogEvent(w.Event(w.charter()), "messenger")}
		}, "signs no charter"},
		"an amendment of its own founders": {func(w forger) []*written.Logged {
			return []*written.Logged{w.Charter, w.LogEvent(w.Event(w.charter()), "evil f1", "evil f2")}
		}, "charter"},
		"an amendment of one founder": {func(w forger) []*written.Logged {
			return []*written.Logged{w.Charter, w.LogEvent(w.Event(w.charter()), "f1")}
		}, "1 charter keys signed, and 2 are needed"},
		"an amendment alone": {func(w forger) []*written.Logged {
			return []*written.Logged{w.LogEvent(w.Event(w.charter()), "f1", "f2")}
		}, "not a first charter"},
		"a first charter in the middle": {func(w forger) []*written.Logged {
			c := w.charter()
			c.Version, c.Prev = 1, nil
			return []*written.Logged{w.LogEvent(w.Event(c), "evil f1", "evil f2", "evil f3")}
		}, "not a first charter"},
		"a version is left out": {func(w forger) []*written.Logged {
			first := w.Charter
			w.Amend(nil)
			return []*written.Logged{first, w.LogEvent(w.Event(w.charter()), "f1", "f2")}
		}, "version"},
		"an amendment of another entry": {func(w forger) []*written.Logged {
			c := w.charter()
			c.Prev = &w.cases[0].Warrant.Reference
			return []*written.Logged{w.Charter, w.LogEvent(w.Event(c), "f1", "f2")}
		}, "prev does not name"},
	} {
		t.Run(name, func(t *testing.T) {
			w := forger{newWorld(t)}
			doubtful(t, w.world, w.file(c.charters(w)...), c.why)
		})
	}
}

// The founders' amendment names the signers after it, and the old charter those before it.
func TestAmendedCharterNamesSigners(t *testing.T) {
	w := newWorld(t)
	first := w.Charter
	w.Amend(func(c *event.Charter) {
		c.Party(event.RoleAuthority, "court").Keys = []*event.PublicKey{w.Public("new court")}
	})
	old := w.cases[0]
	for name, f := range map[string]*notice.File{
		"before": w.fileOf(old, w.releases[0].Envelope.Event.Body.(*event.Release).Seq, w.releases[0], first, w.Charter),
		"after":  w.again("new court", "c1", first, w.Charter),
	} {
		v, err := verifyFile(encode(t, f), w.policy())
		if err != nil {
			t.Fatal(name, err)
		}
		if v.Doubt != nil || v.Version != 2 || v.Release.By != "c1" || v.Access.By != "messenger" || v.Warrant.By != "court" || len(v.Warnings) > 0 || len(v.Auditors) != 2 {
			t.Errorf("%s: %+v", name, v)
		}
	}
	// The court's old key signs nothing any more.
	v, err := verifyFile(encode(t, w.again("court", "c1", first, w.Charter)), w.policy())
	if err != nil {
		t.Fatal(err)
	}
	if v.Warrant.By != "" || len(v.Warnings) != 1 || v.Warnings[0].Code != notice.WarnSigner {
		t.Errorf("%+v", v)
	}
}

// A voided key signs nothing from its index on, and what it signed before the amendment is
// shown with a warning.
func TestVoidedKeyIsNoSigner(t *testing.T) {
	w := newWorld(t)
	first, old := w.Charter, w.cases[0]
	void := func(key string, from uint64) *written.Logged {
		return w.Amend(func(c *event.Charter) { c.Void = append(c.Void, event.Void{Key: w.KeyID(key), From: from}) })
	}
	second := void("court", old.Warrant.Index)
	v, err := verifyFile(encode(t, w.again("court", "c1", first, second)), w.policy())
	if err != nil {
		t.Fatal(err)
	}
	if v.Doubt != nil || v.Warrant.By != "" || len(v.Warnings) != 1 || v.Warnings[0].Code != notice.WarnSigner {
		t.Errorf("signed with a voided key: %+v", v)
	}
	f := w.fileOf(old, w.releases[0].Envelope.Event.Body.(*event.Release).Seq, w.releases[0], first, second)
	if v, err = verifyFile(encode(t, f), w.policy()); err != nil {
		t.Fatal(err)
	}
	if v.Warrant.By != "court" || len(v.Warnings) != 1 || v.Warnings[0].Code != notice.WarnVoid {
		t.Errorf("voided later: %+v", v)
	}
	third := void("c1", w.Size())
	if _, err = verifyFile(encode(t, w.again("court", "c1", first, second, third)), w.policy()); verify.VerdictOf(err) != verify.Disproven {
		t.Errorf("a release with a voided key: %v", err)
	}
}

// Cosignatures that lie further apart than 300 seconds count if a proven charter allows it,
// or the verifier.
func TestSpreadIsTheProvenCharters(t *testing.T) {
	w := newWorld(t)
	first := w.Charter
	w.Amend(func(c *event.Charter) { c.Profile.Spread, c.Profile.Skew = 600, 1000 })
	forged := w.LogEvent(w.Event(w.NextCharter(nil)), "messenger")
	head := w.Publish("w1", "w3")
	late, err := w.Witness("w2").Sign(&head.Head, uint64(w.Now)+400)
	if err != nil {
		t.Fatal(err)
	}
	head.Signatures = append(head.Signatures, late)
	w.head = head
	f := w.file(0)
	proven := [][]byte{w.Proof(head, first), w.Proof(head, w.Charter)}
	f.Charters = proven
	v, err := f.Verify(w.policy(), verify.Options{})
	if err != nil || v.Spread != 600 || v.ExistedBefore.Unix() != w.Now+400 || v.LoggedAfter.Unix() != w.Now {
		t.Fatalf("%v, %+v", err, v)
	}
	f.Charters = append(proven, w.Proof(head, forged))
	if _, err = f.Verify(w.policy(), verify.Options{}); verify.VerdictOf(err) != verify.Disproven || !strings.Contains(err.Error(), "300 seconds") {
		t.Errorf("without a proven charter: %v", err)
	}
	if v, err = f.Verify(w.policy().WithSpread(400), verify.Options{}); verify.VerdictOf(err) != verify.Undecided || v.Spread != 400 {
		t.Errorf("with a spread of the verifier: %v, %+v", err, v)
	}
}
