// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/client/scan"
	"github.com/vasistas/vasistas/cmd/vasistas/cli"
	"github.com/vasistas/vasistas/internal/world/cases"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// scanWorld is a log with one case of a subject's and one of another's, both
// disclosed, and one that is sealed.
type scanWorld struct {
	*cases.Log
	t                  *testing.T
	dir, policy        string
	mine, yours, their string // seed files: the subject's, the other's, and one without notices
}

func newScanWorld(t *testing.T) *scanWorld {
	l := cases.New(t.TempDir())
	w := &scanWorld{Log: l, t: t, dir: t.TempDir()}
	t.Cleanup(func() { w.Report(t.Error) })
	w.policy = w.file("policy.txt", w.ParsePolicy(3, "w1", "w2", "w3", "w4").Bytes())
	mine, key := w.newSeed()
	yours, other := w.newSeed()
	their, _ := w.newSeed()
	w.mine, w.yours, w.their = w.file("me.key", mine.Bytes()), w.file("you.key", yours.Bytes()), w.file("them.key", their.Bytes())
	var releases [2][]*written.Logged
	var both [2]*cases.Case
	for i, k := range []event.HPKEKey{key, other} {
		account := []string{"ada@example.org", "bob@example.org"}[i]
		both[i] = w.NewCase(time.Hour, []string{account}, w.Wrap(k, account))
		for _, c := range []string{"c1", "c3"} {
			releases[i] = append(releases[i], w.ReleaseCase(both[i], c))
		}
	}
	w.Anchor(w.Checkpoint("w1", "w2", "w3"))
	w.Now += 7200
	w.Anchor(w.Checkpoint("w1", "w2", "w3"))
	for i, c := range both {
		w.Disclose(c.Access, releases[i]...)
		w.Disclose(c.Warrant)
	}
	sealed := w.NewCase(time.Hour, []string{"x"}, w.Wrap(key, "x"))
	w.ReleaseCase(sealed, "c2")
	w.Publish("w1", "w2", "w3")
	return w
}

func (w *scanWorld) newSeed() (*escrow.Seed, event.HPKEKey) {
	w.t.Helper()
	s := escrow.NewSeed(time.Unix(written.Start, 0))
	k, err := s.Key(written.Origin, s.First, event.KEMMLKEMX25519)
	if err != nil {
		w.t.Fatal(err)
	}
	return s, k.Public()
}

func (w *scanWorld) file(name string, b []byte) string {
	w.t.Helper()
	name = filepath.Join(w.dir, name)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return name
}

// run runs a command, which must exit with a code and print some texts.
func (w *scanWorld) run(code int, args []string, parts ...string) string {
	w.t.Helper()
	var out bytes.Buffer
	if got := cli.Run(w.t.Context(), args, strings.NewReader(""), &out, &out); got != code {
		w.t.Fatalf("%v: exit code %d, want %d\n%s", args, got, code, &out)
	}
	for _, p := range parts {
		if !strings.Contains(out.String(), p) {
			w.t.Errorf("%v: %q is missing:\n%s", args, p, &out)
		}
	}
	return out.String()
}

func (w *scanWorld) scan(code int, args []string, parts ...string) string {
	w.t.Helper()
	return w.run(code, append([]string{"scan", "--policy", w.policy, "--at", written.At(w.Now).Format(time.RFC3339)}, args...), parts...)
}

func TestScan(t *testing.T) {
	w := newScanWorld(t)
	s := httptest.NewServer(http.FileServer(http.Dir(w.Dir)))
	t.Cleanup(s.Close)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for _, where := range []string{w.Dir, s.URL} {
		w.scan(1, []string{"-i", w.mine, where}, "FOUND: your data was released, in 1 case", `account          "ada@example.org"`, "custodian        c1", "custodian        c3",
			"1 release is still sealed", "accesses may still be answered")
		w.scan(1, []string{"-i", w.yours, where}, `account          "bob@example.org"`)
		w.scan(0, []string{"-i", w.their, where}, "NOTHING: ", "nothing was disclosed about you up to 2026-")
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	var r scan.Report
	if err := json.Unmarshal([]byte(w.scan(1, []string{"-i", w.mine, "--json", w.Dir})), &r); err != nil {
		t.Fatal(err)
	}
	if r.Result != "found" || len(r.Cases) != 1 || len(r.Cases[0].Notices) != 2 || r.Cases[0].Notices[0].Case != "12 Js 7/26" || r.Sealed.Releases != 1 || r.Audit.Audited != w.Size() {
		t.Errorf("%+v", r)
	}
}

func TestScanSaves(t *testing.T) {
	w := newScanWorld(t)
	dir := filepath.Join(w.dir, "cases")
	w.scan(1, []string{"-i", w.mine, "--save", dir, w.Dir})
	files, err := filepath.Glob(filepath.Join(dir, "*.notice"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	w.run(0, append([]string{"verify", "--policy", w.policy}, files...), `PROVEN: a release of data of "ada@example.org", in the log`, "by the custodian c1", "by the custodian c3", "Not shown by this file:")
	var line struct {
		Verdict string
		Notice  notice.Verified
	}
	if err := json.Unmarshal([]byte(w.run(0, []string{"verify", "--policy", w.policy, "--json", files[0]})), &line); err != nil {
		t.Fatal(err)
	}
	if line.Verdict != "proven" || line.Notice.Accounts[0] != "ada@example.org" || line.Notice.Size != w.Size() {
		t.Errorf("%+v", line)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	w.scan(1, []string{"-i", w.mine, "--save", dir, w.Dir}) // over its own files
	if err := os.WriteFile(files[0], []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.scan(2, []string{"-i", w.mine, "--save", dir, w.Dir}, files[0]+" exists; not overwritten")
	w.scan(2, []string{"-i", w.mine, "--save", files[0], w.Dir}, "it is a file; name a directory")
	if mine, err := os.ReadFile(files[0]); err != nil || string(mine) != "mine" {
		t.Errorf("%q, %v", mine, err)
	}
	b[len(b)/2] ^= 1
	w.run(1, []string{"verify", "--policy", w.policy, w.file("bad.notice", b)}, "NOT PROVEN (disproven)")
	w.run(1, []string{"verify", "--policy", w.policy, w.file("cut.notice", b[:100])}, "NOT PROVEN (disproven)")
	w.run(2, []string{"verify", "--policy", w.policy, filepath.Join(w.dir, "none.notice")}, "NOT PROVEN (undecided)")
	w.run(2, []string{"verify", "--policy", w.policy, w.file("large", make([]byte, tlog.MaxProofSize+1))}, "it has more than")
}

// A notice of a warrant that the provider signed for the court, with the provider's own
// charter, is no proof of anything about the court.
func TestVerifyPrintsClaimsAsClaims(t *testing.T) {
	w := newScanWorld(t)
	c := w.NewCase(time.Hour, []string{"x"}, w.Wrap(w.Holders["c1"][1].Public(), "x"))
	n := w.Notice(c, "c1", 0)
	release := w.ReleaseCase(c, "c1")
	forged := w.LogEvent(w.Event(w.NextCharter(nil)), "messenger")
	head := w.Publish("w1", "w2", "w3", "a1", "a2")
	f := &notice.File{Notice: n, Release: w.Proof(head, release), Access: w.Proof(head, c.Access), Warrant: w.Proof(head, c.Warrant),
		Charters: [][]byte{w.Proof(head, w.Charter), w.Proof(head, forged)}}
	b, err := f.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	name := w.file("forged.notice", b)
	out := w.run(2, []string{"verify", "--policy", w.policy, name}, "NOT PROVEN (undecided)", "signs no charter", "the file says    entry", "who signed these entries: all names are the file's claims")
	if strings.Contains(out, "the auditors") || strings.Contains(out, "the authority court signed") {
		t.Error(out)
	}
	w.run(2, []string{"verify", "--policy", w.policy, "--json", name}, `"verdict":"undecided","reason":"no-charters"`)
}

func TestScanState(t *testing.T) {
	w := newScanWorld(t)
	s := httptest.NewServer(http.FileServer(http.Dir(w.Dir)))
	t.Cleanup(s.Close)
	state := filepath.Join(w.dir, "me.state")
	w.scan(1, []string{"-i", w.mine, "--state", state, s.URL}, "is scanned from its start")
	info, err := os.Stat(state)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	size := w.Size()
	w.Live(size + 300)
	w.Publish("w1", "w2", "w3")
	w.scan(1, []string{"-i", w.mine, "--state", state, s.URL}, "of them by earlier runs", `"ada@example.org"`)
	if _, err := os.Stat(filepath.Join(state+".tiles", "tile/entries/000")); err != nil {
		t.Error(err)
	}
	w.scan(2, []string{"-i", w.yours, "--state", state, w.Dir}, "it is of another seed")
	w.scan(2, []string{"-i", w.mine, "--state", w.policy, w.Dir}, "it is a policy, and no scan snapshot")
	w.scan(2, []string{"-i", w.policy, w.Dir}, "not a notice seed")
	w.scan(2, []string{"-i", w.mine}, "give the URL of the log")
	w.scan(2, []string{w.Dir}, "identity")
	w.scan(2, []string{"-i", w.mine, "--list", "-1", w.Dir}, "--list")
	w.scan(2, []string{"-i", w.mine, t.TempDir()}, "COULD NOT TELL", "unreadable: ")
	w.run(2, []string{"scan", "-i", w.mine, w.Dir}, "--policy")
}

// The key that a client is given is the one that scan tries.
func TestNoticeKey(t *testing.T) {
	w := newScanWorld(t)
	out := w.run(0, []string{"escrow", "key", "--seed", w.mine, "--origin", written.Origin, "--period", "2026-03", "--kem", "x25519"})
	got, err := escrow.ParsePublicKey([]byte(strings.TrimSuffix(out, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(w.mine)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := escrow.ParseSeed(b)
	if err != nil {
		t.Fatal(err)
	}
	want, err := seed.Key(written.Origin, seed.First+2, event.KEMX25519)
	if err != nil || !bytes.Equal(got.Public, want.Public().Public) {
		t.Errorf("%v, %v", got, err)
	}
	w.run(2, []string{"escrow", "key", "--seed", w.mine, "--origin", "x", "--period", "2025-12"}, "the seed starts at 2026-01")
	w.run(2, []string{"escrow", "key", "--seed", w.mine, "--origin", "x", "--period", "2026-3"}, "--period")
	w.run(1, []string{"escrow", "key", "--seed", w.mine, "--origin", "x", "--kem", "rsa"}, "unknown KEM")
}
