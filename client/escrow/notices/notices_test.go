// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package notices_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/audit/audittest"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/escrowtest"
	"github.com/vasistas/vasistas/client/escrow/notices"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/c2sp"
	"github.com/vasistas/vasistas/log/event"
)

// person is a subject with a seed.
type person struct {
	account string
	seed    *escrow.Seed
}

func newPerson(account string) *person {
	return &person{account, escrow.NewSeed(time.Unix(audittest.Start, 0))}
}

func (p *person) key(t *testing.T, month escrow.Period, kem event.KEM) event.HPKEKey {
	t.Helper()
	k, err := p.seed.Key(audittest.Origin, p.seed.First+month, kem)
	if err != nil {
		t.Fatal(err)
	}
	return k.Public()
}

// scan scans a world's log.
func scan(t *testing.T, w *escrowtest.World, p *person, edit func(*notices.Config)) *notices.Report {
	t.Helper()
	policy := w.Policy(2, "w1", "w2")
	cl, err := client.New(client.Config{URL: w.Dir, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	c := notices.Config{Audit: audit.Config{Client: cl, Policy: policy}, Origin: audittest.Origin, Seed: p.seed, Until: p.seed.First + 3}
	if edit != nil {
		edit(&c)
	}
	return notices.Scan(t.Context(), c)
}

// story is a log in which two persons' data are opened, disclosed an hour later, and
// those of one of them once more, which stays sealed.
type story struct {
	*escrowtest.World
	ada, bob, eve *person
	first         *escrowtest.Case
	releases      []*audittest.Logged
}

func newStory(t *testing.T) *story {
	t.Helper()
	w := escrowtest.New(t)
	s := &story{World: w, ada: newPerson("ada@example.org"), bob: newPerson("bob@example.org"), eve: newPerson("eve@example.org")}
	accounts := []string{s.ada.account, s.bob.account}
	s.first = w.NewCase(2*time.Hour, accounts, w.Wrap(s.ada.key(t, 1, event.KEMMLKEMX25519), accounts[0]), w.Wrap(s.bob.key(t, 0, event.KEMX25519), accounts[1]))
	s.anchor()
	s.releases = []*audittest.Logged{w.Release(s.first, "c1"), w.Release(s.first, "c3")}
	second := w.NewCase(24*time.Hour, accounts[:1], w.Wrap(s.ada.key(t, 2, event.KEMX25519), accounts[0]))
	s.anchor()
	w.Release(second, "c1")
	w.Publish("w1", "w2")
	return s
}

// anchor lets an hour pass.
func (s *story) anchor() {
	s.Anchor(s.Checkpoint("w1", "w2"))
	s.Now += 3600
	s.See()
}

// disclose discloses the first case.
func (s *story) disclose() {
	s.anchor()
	s.anchor()
	s.Disclose(s.first.Access, s.releases...)
	s.Disclose(s.first.Warrant)
	s.Return(s.first.Warrant)
	s.Publish("w1", "w2")
}

func TestScan(t *testing.T) {
	s := newStory(t)
	r := scan(t, s.World, s.ada, nil)
	if r.Result() != audit.Clean || !r.Complete || len(r.Cases) != 0 || r.Sealed.Releases != 3 || r.Sealed.Notices != 5 {
		t.Fatalf("%+v\n%s", r, r.Text(10))
	}
	if text := r.Text(10); !strings.Contains(text, "Nothing was disclosed about you up to 2026-") || !strings.Contains(text, "Still sealed: 3 releases") {
		t.Error(text)
	}
	s.disclose()
	r = scan(t, s.World, s.ada, nil)
	if r.Result() != audit.Clean || len(r.Cases) != 2 || r.Tried != 4 || r.Sealed.Releases != 1 || r.Sealed.LastUntil != "2026-01-02T01:00:00Z" {
		t.Fatalf("%d cases\n%s", len(r.Cases), r.Text(10))
	}
	for i, c := range r.Cases {
		if c.Release != s.releases[i].Index && c.Release != s.releases[1-i].Index || c.Access != s.first.Access.Index || *c.Warrant != s.first.Warrant.Index {
			t.Errorf("case %d: entries %d, %d, %d", i, c.Release, c.Access, *c.Warrant)
		}
		if !slices.Equal(c.Accounts, []string{"ada@example.org"}) || !slices.Equal(c.Identifiers, c.Accounts) || c.CaseNumber != "12 Js 7/26" ||
			c.Agency != "police" || c.Others == 0 || len(c.ByFile) != 4 || len(c.ByReplay) != 1 || len(c.Against) != 0 {
			t.Errorf("case %d: %+v", i, c)
		}
	}
	text := r.Text(10)
	for _, want := range []string{"Custodian c1 opened", "Custodian c3 opened", "account      ada@example.org", "case         12 Js 7/26",
		"instrument search, offence fraud", "Proven by replaying the log:", "the auditors' word: the head that the log serves does not carry it",
		"Nothing else was disclosed about you", "Still sealed: 1 releases with 1 notices", "notices to keys of another seed"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "bob@") {
		t.Error("another person's account shows")
	}
	if r = scan(t, s.World, s.bob, nil); len(r.Cases) != 2 || r.Cases[0].Accounts[0] != "bob@example.org" {
		t.Errorf("bob: %d cases", len(r.Cases))
	}
	if r = scan(t, s.World, s.eve, nil); len(r.Cases) != 0 || r.Result() != audit.Clean {
		t.Errorf("eve: %d cases", len(r.Cases))
	}
	// Keys of later months are not tried.
	if r = scan(t, s.World, s.ada, func(c *notices.Config) { c.Until = s.ada.seed.First }); len(r.Cases) != 0 {
		t.Errorf("with the first month's keys: %d cases", len(r.Cases))
	}
}

// TestResume scans as the log grows, and finds what a scan from the start finds.
func TestResume(t *testing.T) {
	s := newStory(t)
	var state []byte
	resumed := func(c *notices.Config) {
		c.State, c.Save = state, func(b []byte) error { state = b; return nil }
	}
	for range 2 {
		if r := scan(t, s.World, s.ada, resumed); r.Result() != audit.Clean || len(r.Cases) != 0 {
			t.Fatalf("%s", r.Text(10))
		}
	}
	s.disclose()
	for range 2 {
		if r := scan(t, s.World, s.ada, resumed); r.Result() != audit.Clean || len(r.Cases) != 2 || r.Tried != 4 {
			t.Fatalf("%d tried\n%s", r.Tried, r.Text(10))
		}
	}
	refused := func(name string, p *person, b []byte) {
		r := scan(t, s.World, p, func(c *notices.Config) { c.State = b })
		if r.Result() != audit.Undecided || len(r.Audit.Reasons) == 0 || r.Complete {
			t.Errorf("%s: %s", name, r.Text(10))
		}
	}
	refused("another seed", s.bob, state)
	refused("cut off", s.ada, state[:len(state)-1])
	refused("damaged", s.ada, append([]byte{state[0] ^ 1}, state[1:]...))
	refused("empty", s.ada, []byte{})
}

// TestTwice has a notice published by two, which is one case; and a custodian that signs
// under another's name.
func TestTwice(t *testing.T) {
	w := escrowtest.New(t)
	ada := newPerson("ada@example.org")
	c := w.NewCase(time.Hour, []string{ada.account}, w.Wrap(ada.key(t, 0, event.KEMX25519), ada.account))
	release := w.Release(c, "c1")
	n := w.Notice(c, "c2", 0)
	n.Custodian = "c3"
	b, err := n.Seal(ada.key(t, 0, event.KEMX25519))
	if err != nil {
		t.Fatal(err)
	}
	other := w.ReleaseWith(c.Access, "c2", b)
	w.Anchor(w.Checkpoint("w1", "w2"))
	w.Now += 2 * 3600
	w.Anchor(w.Checkpoint("w1", "w2"))
	w.Disclose(c.Access, release, other)
	w.Disclose(c.Access, release)
	w.Publish("w1", "w2")
	r := scan(t, w, ada, nil)
	if r.Result() != audit.Violations || len(r.Cases) != 2 || r.Tried != 3 {
		t.Fatalf("%d tried\n%s", r.Tried, r.Text(10))
	}
	for _, k := range r.Cases {
		lies := k.Custodian == "c3"
		if lies != (len(k.Against) == 1 && strings.Contains(k.Against[0], "not custodian c3's")) || lies == (len(k.ByReplay) == 1) {
			t.Errorf("%s: %q, %q", k.Custodian, k.Against, k.ByReplay)
		}
	}
}

// TestContradictions has a custodian lie in its notice, in each thing that it says.
func TestContradictions(t *testing.T) {
	for name, edit := range map[string]func(*escrow.Notice, *escrowtest.Case){
		"access":    func(n *escrow.Notice, c *escrowtest.Case) { n.Access = c.Warrant.Reference },
		"leaf":      func(n *escrow.Notice, _ *escrowtest.Case) { n.Access.Leaf[0] ^= 1 },
		"beyond":    func(n *escrow.Notice, _ *escrowtest.Case) { n.Access.Index = 1 << 40 },
		"warrant":   func(n *escrow.Notice, c *escrowtest.Case) { r := c.Access.Reference; n.Warrant = &r },
		"seq":       func(n *escrow.Notice, _ *escrowtest.Case) { n.Seq++ },
		"recipient": func(n *escrow.Notice, c *escrowtest.Case) { n.Recipient = newKey() },
		"account": func(n *escrow.Notice, _ *escrowtest.Case) {
			n.AccessOpenings.Subject = append(n.AccessOpenings.Subject, event.NewOpening("account", event.Text("ada@example.org")))
		},
		"fewer public": func(n *escrow.Notice, _ *escrowtest.Case) { n.WarrantOpenings.Public = n.WarrantOpenings.Public[:2] },
		"no consent": func(n *escrow.Notice, _ *escrowtest.Case) {
			n.AccessOpenings.Subject = slices.DeleteFunc(n.AccessOpenings.Subject, func(o event.Opening) bool { return o.Name == "agencySignature" })
		},
		"openings": func(n *escrow.Notice, _ *escrowtest.Case) { n.AccessOpenings.Event[0] ^= 1 },
	} {
		w := escrowtest.New(t)
		ada := newPerson("ada@example.org")
		c := w.NewCase(time.Hour, []string{ada.account}, w.Wrap(ada.key(t, 0, event.KEMX25519), ada.account))
		n := w.Notice(c, "c1", 0)
		edit(n, c)
		b, err := n.Seal(ada.key(t, 0, event.KEMX25519))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		release := w.ReleaseWith(c.Access, "c1", b)
		w.Anchor(w.Checkpoint("w1", "w2"))
		w.Now += 2 * 3600
		w.Anchor(w.Checkpoint("w1", "w2"))
		w.Disclose(c.Access, release)
		w.Publish("w1", "w2")
		r := scan(t, w, ada, nil)
		if r.Result() != audit.Violations || len(r.Cases) != 0 || len(r.Bad) != 1 || !strings.Contains(r.Bad[0], "contradicts") && !strings.Contains(r.Bad[0], "bad key") {
			t.Errorf("%s: %v, %q, %d cases", name, r.Result(), r.Bad, len(r.Cases))
		}
	}
}

func newKey() event.HPKEKey {
	k, err := escrow.GenerateKey(event.KEMX25519)
	if err != nil {
		panic(err)
	}
	return k.Public()
}

// file scans, and returns the file of the first case.
func (s *story) file(t *testing.T, p *person) *notices.File {
	t.Helper()
	s.disclose()
	policy := s.Policy(2, "w1", "w2")
	cl, err := client.New(client.Config{URL: s.Dir, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	head, err := cl.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := scan(t, s.World, p, nil)
	f, err := r.Cases[0].File(t.Context(), cl, head)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFile(t *testing.T) {
	s := newStory(t)
	f := s.file(t, s.ada)
	b, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, []byte(notices.FilePrefix)) {
		t.Errorf("it begins with %.20q", b)
	}
	if f, err = notices.ParseFile(b); err != nil {
		t.Fatal(err)
	}
	policy := s.Policy(2, "w1", "w2")
	v, err := f.Verify(policy, verify.Options{}, nil)
	if err != nil || len(v.Entries) != 3 || v.CaseNumber != "12 Js 7/26" || len(v.ByFile) != 4 {
		t.Fatalf("%+v, %v", v, err)
	}
	if v, err = f.Verify(policy, verify.Options{}, s.ada.seed); err != nil || len(v.ByFile) != 5 {
		t.Fatalf("%+v, %v", v, err)
	}
	if _, err := f.Verify(policy, verify.Options{}, s.bob.seed); !errors.Is(err, notices.ErrContradiction) {
		t.Errorf("another seed: %v", err)
	}
	if _, err := f.Verify(s.Policy(1, "w3"), verify.Options{}, nil); err == nil || verify.VerdictOf(err) == verify.Proven {
		t.Errorf("another policy: %v", err)
	}
	for name, edit := range map[string]func(*notices.File){
		"ciphertext": func(f *notices.File) { f.Ciphertext = append(f.Ciphertext, 0) },
		"swapped":    func(f *notices.File) { f.Access, f.Warrant = f.Warrant, f.Access },
		"release":    func(f *notices.File) { f.Release = f.Access },
		"no warrant": func(f *notices.File) { f.Warrant = nil },
		"no access":  func(f *notices.File) { f.Access = nil },
		"notice":     func(f *notices.File) { f.Notice = append(f.Notice, ' ') },
		"no notice":  func(f *notices.File) { f.Notice = nil },
	} {
		bad := *f
		edit(&bad)
		if _, err := bad.Verify(policy, verify.Options{}, nil); err == nil {
			t.Errorf("%s: verified", name)
		}
	}
	for _, bad := range [][]byte{nil, b[:len(b)-1], append(bytes.Clone(b), '\n'), bytes.Replace(b, []byte(`":"`), []byte(`": "`), 1)} {
		if _, err := notices.ParseFile(bad); !errors.Is(err, escrow.ErrMalformed) {
			t.Errorf("%v", err)
		}
	}
}

func FuzzFile(f *testing.F) {
	b, err := (&notices.File{Access: []byte("a"), Ciphertext: []byte("c"), Notice: []byte("n"), Release: []byte("r")}).Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	policy, err := c2sp.ParsePolicy([]byte("quorum none\n"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := notices.ParseFile(b)
		if err != nil {
			return
		}
		if again, err := file.Bytes(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("another encoding: %v", err)
		}
		if _, err := file.Verify(policy, verify.Options{}, nil); err == nil {
			t.Fatal("verified without a log")
		}
	})
}

// TestDamaged reads a log of which a file is damaged, and one that is not there.
func TestDamaged(t *testing.T) {
	s := newStory(t)
	r := scan(t, s.World, s.ada, func(c *notices.Config) {
		policy := s.Policy(2, "w1", "w2")
		cl, err := client.New(client.Config{URL: filepath.Join(s.Dir, "none"), Policy: policy})
		if err != nil {
			t.Fatal(err)
		}
		c.Audit.Client = cl
	})
	if r.Result() != audit.Undecided || r.Complete || !strings.Contains(r.Text(10), "NOT FINISHED") {
		t.Errorf("%s", r.Text(10))
	}
}
