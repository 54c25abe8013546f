// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notice_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/world/cases"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// world is a log with two cases of two subjects, released by c1 and published.
type world struct {
	*cases.Log
	cases    [2]*cases.Case
	releases [2]*written.Logged
	head     *tlog.Checkpoint
}

func newWorld(t testing.TB) *world {
	l := cases.New(t.TempDir())
	t.Cleanup(func() { l.Report(t.Error) })
	w := &world{Log: l}
	for i, account := range []string{"ada@example.org", "bob@example.org"} {
		k, err := escrow.GenerateKey(event.KEMX25519)
		if err != nil {
			t.Fatal(err)
		}
		w.cases[i] = w.NewCase(time.Hour, []string{account}, w.Wrap(k.Public(), account))
		w.releases[i] = w.ReleaseCase(w.cases[i], "c1")
	}
	w.head = w.Publish("w1", "w2", "w3")
	return w
}

func (w *world) policy() *tlog.Policy { return w.ParsePolicy(3, "w1", "w2", "w3", "w4") }

// file is the file of a case.
func (w *world) file(i int) *notice.File {
	c := w.cases[i]
	n := w.Notice(c, "c1", 0)
	n.Seq = w.releases[i].Envelope.Event.Body.(*event.Release).Seq
	return &notice.File{Notice: n, Release: w.Proof(w.head, w.releases[i]), Access: w.Proof(w.head, c.Access),
		Warrant: w.Proof(w.head, c.Warrant), Charters: [][]byte{w.Proof(w.head, w.Charter)}}
}

func encode(t testing.TB, f *notice.File) []byte {
	t.Helper()
	b, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verifyFile parses and verifies.
func verifyFile(b []byte, p *tlog.Policy) (*notice.Verified, error) {
	f, err := notice.Parse(b)
	if err != nil {
		return nil, err
	}
	return f.Verify(p, verify.Options{})
}

func TestFile(t *testing.T) {
	w := newWorld(t)
	b := encode(t, w.file(0))
	v, err := verifyFile(b, w.policy())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(v.Accounts, []string{"ada@example.org"}) || v.Case != "12 Js 7/26" || v.Release.By != "c1" || v.Access.By != "messenger" ||
		v.Warrant.By != "court" || !v.Consent || len(v.Warnings) > 0 || len(v.Auditors) > 0 || v.Doubt != nil || v.Version != 1 || len(v.Claims) > 0 {
		t.Errorf("%+v", v)
	}
	again, err := notice.Parse(b)
	if err != nil || !bytes.Equal(encode(t, again), b) {
		t.Error("it is not the same again", err)
	}
}

// The auditors' word is told if it is in the file.
func TestAuditors(t *testing.T) {
	w := newWorld(t)
	w.head = w.Publish("w1", "w2", "w3", "a1", "a2")
	v, err := verifyFile(encode(t, w.file(0)), w.policy())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(v.Auditors, []string{"a1", "a2"}) {
		t.Errorf("%v", v.Auditors)
	}
	// The verifier's own policy decides in place of the charter's, and must be met.
	f, err := notice.Parse(encode(t, w.file(0)))
	if err != nil {
		t.Fatal(err)
	}
	if v, err = f.Verify(w.policy(), verify.Options{Audit: w.ParsePolicy(1, "a2")}); err != nil || !slices.Equal(v.Auditors, []string{"a2"}) || v.VouchedAt.Unix() != w.Now {
		t.Errorf("by the verifier's audit policy: %+v, %v", v, err)
	}
	var none *verify.Error
	if _, err = f.Verify(w.policy(), verify.Options{Audit: w.ParsePolicy(1, "a3")}); !errors.As(err, &none) || none.Reason != verify.NoAudit {
		t.Errorf("without its auditor: %v", err)
	}
}

// What disproves a file, and what only leaves it open.
func TestDisproven(t *testing.T) {
	w := newWorld(t)
	other := w.file(1)
	later := func(e *written.Logged) []byte { // under another head
		f := *w.Log
		f.Log = w.Fork(t.TempDir())
		f.Live(f.Size() + 10)
		return f.Proof(f.Publish("w1", "w2", "w3"), e)
	}
	for name, c := range map[string]struct {
		change func(f *notice.File)
		want   verify.Reason
	}{
		"the release of another case": {func(f *notice.File) { f.Release = other.Release }, verify.BadNotice},
		"the access of another case":  {func(f *notice.File) { f.Access = other.Access }, verify.BadNotice},
		"the warrant of another case": {func(f *notice.File) { f.Warrant = other.Warrant }, verify.BadNotice},
		"another case's notice":       {func(f *notice.File) { f.Notice = other.Notice }, verify.BadNotice},
		"an access for a release":     {func(f *notice.File) { f.Release = f.Access }, verify.BadNotice},
		"a warrant for an access":     {func(f *notice.File) { f.Access = f.Warrant }, verify.BadNotice},
		"an access for a warrant":     {func(f *notice.File) { f.Warrant = f.Access }, verify.BadNotice},
		"a warrant for a charter":     {func(f *notice.File) { f.Charters[0] = f.Warrant }, verify.BadNotice},
		"a charter twice":             {func(f *notice.File) { f.Charters = append(f.Charters, f.Charters[0]) }, verify.BadNotice},
		"another head":                {func(f *notice.File) { f.Release = later(w.releases[0]) }, verify.BadNotice},
		"no charter":                  {func(f *notice.File) { f.Charters = nil }, verify.Malformed},
		"no warrant":                  {func(f *notice.File) { f.Warrant = nil }, verify.Malformed},
		"no proof":                    {func(f *notice.File) { f.Access = []byte("none") }, verify.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			f := w.file(0)
			c.change(f)
			_, err := verifyFile(encode(t, f), w.policy())
			var e *verify.Error
			if !errors.As(err, &e) || e.Reason != c.want || verify.VerdictOf(err) != verify.Disproven {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	b := encode(t, w.file(0))
	if _, err := verifyFile(b, w.ParsePolicy(4, "w1", "w2", "w3", "w4")); verify.VerdictOf(err) != verify.Disproven {
		t.Errorf("a policy that wants more: %v", err)
	}
	if _, err := verifyFile(b, newWorld(t).policy()); verify.VerdictOf(err) == verify.Proven {
		t.Error("the policy of another log")
	}
}

// No byte can be another one.
func TestEveryByte(t *testing.T) {
	w := newWorld(t)
	b := encode(t, w.file(0))
	p := w.policy()
	for i := 0; i < len(b); i += 1 + len(b)/199 {
		x := bytes.Clone(b)
		x[i] ^= 1
		if _, err := verifyFile(x, p); verify.VerdictOf(err) == verify.Proven {
			// A line of a witness that the policy doesn't know may be anything; there is none.
			t.Errorf("byte %d of %d may be another one", i, len(b))
		}
	}
}

// An emergency has no warrant, and says so. (Whether it was allowed, replay says.)
func TestEmergency(t *testing.T) {
	w := newWorld(t)
	c := w.cases[0]
	o := c.AccessOpenings
	o.Public = append(o.Public, event.NewOpening("agency", event.Text("police")), event.NewOpening("agencyKey", event.Bytes(w.Agency.Public().SPKI())))
	e := w.Event(&event.Access{Emergency: "life", Group: "main", Recipient: c.Key.Public(), Accounts: 1})
	msg, err := event.AgencyMessage(e.Log, event.Digest{}, e.ID, c.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sig, err := w.Agency.Sign(msg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range o.Subject {
		if o.Subject[i].Name == "agencySignature" {
			o.Subject[i] = event.NewOpening("agencySignature", event.Bytes(sig))
		}
	}
	access := w.LogSealed(e, w.Now+3600, o.Public, o.Subject, "messenger")
	o.Event = access.Envelope.Hash()
	n := w.Notice(c, "c1", 0)
	n.Warrant, n.WarrantOpenings, n.Access = nil, nil, access.Reference
	release := w.ReleaseWith(access, "c1", []byte("x"))
	head := w.Publish("w1", "w2", "w3")
	f := &notice.File{Notice: n, Release: w.Proof(head, release), Access: w.Proof(head, access), Charters: [][]byte{w.Proof(head, w.Charter)}}
	v, err := verifyFile(encode(t, f), w.policy())
	if err != nil {
		t.Fatal(err)
	}
	if v.Warrant != nil || v.Emergency != "life" || v.Agency != "police" || !v.Consent || len(v.Warnings) != 1 || v.Warnings[0].Code != notice.WarnDutySigner {
		t.Errorf("%+v", v)
	}
}

// A notice says of which categories and periods data was opened, and who signed for it.
func TestOrder(t *testing.T) {
	w := newWorld(t)
	first := w.Charter
	w.Amend(w.Forms)
	w.Order = true
	c := w.NewCase(time.Hour, w.cases[0].Accounts, w.cases[0].Packages...)
	release := w.ReleaseCase(c, "c1")
	head := w.Publish("w1", "w2", "w3")
	n := w.Notice(c, "c1", 0)
	n.Seq = release.Envelope.Event.Body.(*event.Release).Seq
	f := &notice.File{Notice: n, Release: w.Proof(head, release), Access: w.Proof(head, c.Access), Warrant: w.Proof(head, c.Warrant),
		Charters: [][]byte{w.Proof(head, first), w.Proof(head, w.Charter)}}
	v, err := verifyFile(encode(t, f), w.policy())
	if err != nil {
		t.Fatal(err)
	}
	period := written.At(w.Now-people.Day).Format(time.RFC3339) + "/" + written.At(w.Now).Format(time.RFC3339)
	if !slices.Equal(v.Categories, []string{"traffic"}) || !slices.Equal(v.Warrant.Categories, []string{"content", "traffic"}) ||
		!slices.Equal(v.Warrant.DataPeriods, []string{period}) || len(v.Warnings) > 0 {
		t.Errorf("%+v of %+v", v, v.Warrant)
	}
	if by := strings.Split(v.Warrant.By, ", "); len(by) != 2 || !slices.Contains(by, "court") || !slices.Contains(by, "prosecutor") {
		t.Errorf("signed by %q", v.Warrant.By)
	}
	// A notice that leaves out the periods is none.
	n.WarrantOpenings.Public = slices.DeleteFunc(n.WarrantOpenings.Public, func(o event.Opening) bool { return o.Name == "dataPeriods" })
	if _, err := verifyFile(encode(t, f), w.policy()); verify.VerdictOf(err) != verify.Disproven {
		t.Errorf("without periods: %v", err)
	}
}

// Whatever is accepted has these bytes and no others, and verifies as it is or not at
// all.
func FuzzParse(f *testing.F) {
	w := newWorld(f)
	b := encode(f, w.file(0))
	want, err := verifyFile(b, w.policy())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:200])
	p := w.policy()
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := notice.Parse(b)
		if err != nil {
			if verify.VerdictOf(err) != verify.Disproven {
				t.Errorf("%v", err)
			}
			return
		}
		if again, err := file.Bytes(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("another encoding, %v", err)
		}
		if v, err := file.Verify(p, verify.Options{}); err == nil && (v.Access != want.Access || v.Root != want.Root) {
			t.Errorf("it proves %+v", v)
		}
	})
}

// A file made in memory can't hide its warrant, nor add one.
func TestFileHasTheWarrantOfItsNotice(t *testing.T) {
	w := newWorld(t)
	hidden, added := w.file(0), w.file(0)
	hidden.Warrant = nil
	n := *added.Notice
	n.Warrant, added.Notice = nil, &n
	for name, f := range map[string]*notice.File{"hidden": hidden, "added": added} {
		if v, err := f.Verify(w.policy(), verify.Options{}); verify.VerdictOf(err) != verify.Disproven {
			t.Errorf("%s: %v, %+v", name, err, v)
		}
	}
}
