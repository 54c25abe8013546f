// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	offline "github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/log/tlog"
)

func monitorURL(url, origin string) string {
	return fmt.Sprintf("%s/%x/checkpoint", url, sha256.Sum256([]byte(origin)))
}

// TestStatuses asks for every status of the specification, over HTTP. The log
// stands at size 5 before each request.
func TestStatuses(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 20)
	other := l.fork("b", 20)
	stranger := newLog(t, "log.example/stranger", "s", 20)
	impostor := newLog(t, l.origin, "a", 20)
	change := func(old, size uint64, f func(*tlog.AddCheckpoint)) []byte {
		r, err := tlog.ParseAddCheckpoint(l.request(old, size))
		if err != nil {
			t.Fatal(err)
		}
		f(r)
		return r.Bytes()
	}
	text := func(b []byte, from, to string) []byte {
		if !bytes.Contains(b, []byte(from)) {
			t.Fatalf("no %q in %q", from, b)
		}
		return bytes.Replace(b, []byte(from), []byte(to), 1)
	}
	ok := l.request(5, 9)
	sigLine := string(ok[bytes.Index(ok, []byte("— ")):])
	many := change(5, 9, func(r *tlog.AddCheckpoint) {
		for i := range 63 {
			r.Checkpoint.Signatures = append(r.Checkpoint.Signatures, tlog.Signature{Name: "x", KeyID: uint32(i), Bytes: []byte{1}})
		}
	})
	foreign := change(5, 9, func(r *tlog.AddCheckpoint) {
		s := impostor.sign(r.Checkpoint.Head).Signatures[0]
		w := tlog.Signature{Name: witnessName, KeyID: 7, Bytes: bytes.Repeat([]byte{9}, 72)}
		r.Checkpoint.Signatures = slices.Insert(r.Checkpoint.Signatures, 0, s, w)
	})
	zero := l.head(0)
	zero.Root[0] ^= 1

	for _, c := range []struct {
		name   string
		body   []byte
		status int
		says   string
	}{
		{"grows", ok, 200, "—"},
		{"again", l.request(5, 5), 200, "—"},
		{"unknown lines are ignored", foreign, 200, "—"},
		{"64 lines", many, 200, "—"},

		{"empty", nil, 400, "old size"},
		{"no old line", ok[6:], 400, "old size"},
		{"old has a zero in front", text(ok, "old 5", "old 05"), 400, "old size"},
		{"old is hexadecimal", text(ok, "old 5", "old 0x5"), 400, "old size"},
		{"old has a sign", text(ok, "old 5", "old +5"), 400, "old size"},
		{"old is missing", text(ok, "old 5", "old "), 400, "old size"},
		{"old has two spaces", text(ok, "old 5", "old  5"), 400, "old size"},
		{"old is too large", text(ok, "old 5", "old 9223372036854775808"), 400, "old size"},
		{"CRLF", bytes.ReplaceAll(ok, []byte("\n"), []byte("\r\n")), 400, "malformed"},
		{"CR after old", text(ok, "old 5\n", "old 5\r\n"), 400, "old size"},
		{"a hash of 31 bytes", text(ok, "old 5\n", "old 5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n"), 400, "hash 1"},
		{"a hash with trailing bits", text(ok, "old 5\n", "old 5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAF=\n"), 400, "hash 1"},
		{"a hash that is none", text(ok, "old 5\n", "old 5\nhello\n"), 400, "hash 1"},
		{"64 hashes", change(5, 9, func(r *tlog.AddCheckpoint) { r.Proof = make([]tlog.Hash, 64) }), 400, "63 hashes"},
		{"no empty line", text(ok, "\n\n", "\n"), 400, "malformed"},
		{"no checkpoint", []byte("old 5\n\n"), 400, "checkpoint"},
		{"no signatures", ok[:bytes.Index(ok, []byte("— "))], 400, "signature"},
		{"no final line feed", ok[:len(ok)-1], 400, "line feed"},
		{"more after the end", append(slices.Clone(ok), '\n'), 400, "signature line"},
		{"a size with a zero in front", text(ok, "\n9\n", "\n09\n"), 400, "tree size"},
		{"a root of 3 bytes", text(ok, string(ok[bytes.Index(ok, []byte("\n9\n"))+3:bytes.Index(ok, []byte("\n\n— "))]), "AAAA"), 400, "root hash"},
		{"the same line twice", append(slices.Clone(ok), sigLine...), 400, "two lines"},
		{"65 lines", append(slices.Clone(many), "— y AAAAAAA=\n"...), 400, "64 lines"},
		{"a control character", text(ok, "log.example/a\n", "log.example/a\x01\n"), 400, "control character"},
		{"old above size", change(5, 9, func(r *tlog.AddCheckpoint) { r.Old = 10 }), 400, "above"},

		{"no signature of the log", change(5, 9, func(r *tlog.AddCheckpoint) { r.Checkpoint = impostor.checkpoint(9) }), 403, "known key"},
		{"a bad signature", change(5, 9, func(r *tlog.AddCheckpoint) { r.Checkpoint.Signatures[0].Bytes[9] ^= 1 }), 403, "does not verify"},
		{"a short signature", change(5, 9, func(r *tlog.AddCheckpoint) { r.Checkpoint.Signatures[0].Bytes = []byte{1} }), 403, "does not verify"},
		{"signed for another size", text(ok, "\n9\n", "\n8\n"), 403, "does not verify"},

		{"unknown origin", stranger.request(0, 9), 404, "unknown"},

		{"old 0 of a log that stands at 5", l.request(0, 9), 409, "5\n"},
		{"old below", l.request(3, 9), 409, "5\n"},
		{"old above", l.request(7, 9), 409, "5\n"},
		{"behind", l.request(3, 4), 409, "5\n"},
		{"other root, old 0", other.request(0, 5), 409, "5\n"},

		{"body over the limit", make([]byte, 64<<10+1), 413, "too large"},
		{"text over the limit", func() []byte {
			long := l.fork("a", 20)
			long.ext = []string{strings.Repeat("x", 4096)}
			return long.request(5, 9)
		}(), 413, "note text"},

		{"other root, same size", other.request(5, 5), 422, "root hash"},
		{"other tree", other.request(5, 9), 422, "proof"},
		{"no proof", change(5, 9, func(r *tlog.AddCheckpoint) { r.Proof = nil }), 422, "proof"},
		{"a bad proof", change(5, 9, func(r *tlog.AddCheckpoint) { r.Proof[0][0] ^= 1 }), 422, "proof"},
		{"a proof too long", change(5, 9, func(r *tlog.AddCheckpoint) { r.Proof = append(r.Proof, tlog.Hash{}) }), 422, "proof"},
		{"a proof for the same size", change(5, 5, func(r *tlog.AddCheckpoint) { r.Proof = make([]tlog.Hash, 1) }), 422, "proof"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := create(t, bothSigners(), l)
			url := serveWitness(t, open(t, config))
			if a := post(t, url, l.request(0, 5)); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			a := post(t, url, c.body)
			if a.status != c.status || !strings.Contains(string(a.body), c.says) {
				t.Fatalf("%d %q, want %d with %q", a.status, a.body, c.status, c.says)
			}
			want := uint64(5)
			switch a.status {
			case 200:
				r, err := tlog.ParseAddCheckpoint(c.body)
				if err != nil {
					t.Fatal(err)
				}
				verify(t, config.Signers, r.Checkpoint.Head, a.body)
				want = r.Checkpoint.Size
			case 409:
				if ct := a.header.Get("Content-Type"); ct != "text/x.tlog.size" || string(a.body) != "5\n" {
					t.Errorf("%q as %q", a.body, ct)
				}
			}
			m := get(t, monitorURL(url, l.origin))
			if got, err := tlog.ParseCheckpoint(m.body); err != nil || got.Size != want {
				t.Errorf("the state after it is %q, want size %d", m.body, want)
			}
		})
	}
}

// TestStatusesAtStart are those of a log of which there is no state.
func TestStatusesAtStart(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 20)
	badZero := l.head(0)
	badZero.Root[0] ^= 1
	hash := []tlog.Hash{{}}
	for _, c := range []struct {
		name   string
		r      tlog.AddCheckpoint
		status int
	}{
		{"empty tree", tlog.AddCheckpoint{Checkpoint: l.checkpoint(0)}, 200},
		{"first", tlog.AddCheckpoint{Checkpoint: l.checkpoint(7)}, 200},
		{"old 3", tlog.AddCheckpoint{Old: 3, Proof: l.proof(3, 7), Checkpoint: l.checkpoint(7)}, 409},
		{"a proof from 0", tlog.AddCheckpoint{Proof: hash, Checkpoint: l.checkpoint(7)}, 422},
		{"a proof from 0 to 0", tlog.AddCheckpoint{Proof: hash, Checkpoint: l.checkpoint(0)}, 422},
		{"size 0 with another root", tlog.AddCheckpoint{Checkpoint: l.sign(badZero)}, 422},
	} {
		t.Run(c.name, func(t *testing.T) {
			url := serveWitness(t, open(t, create(t, bothSigners()[:1], l)))
			if a := get(t, monitorURL(url, l.origin)); a.status != 404 {
				t.Errorf("monitor: %d", a.status)
			}
			a := post(t, url, c.r.Bytes())
			if a.status != c.status {
				t.Fatalf("%d %q, want %d", a.status, a.body, c.status)
			}
			if a.status == 409 && string(a.body) != "0\n" {
				t.Errorf("%q", a.body)
			}
			if a.status == 200 {
				return
			}
			if a := get(t, monitorURL(url, l.origin)); a.status != 404 {
				t.Errorf("monitor: %d", a.status)
			}
		})
	}
}

func TestFromEmptyTree(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 20)
	url := serveWitness(t, open(t, create(t, bothSigners()[:1], l)))
	for _, step := range [][2]uint64{{0, 0}, {0, 0}, {0, 4}, {4, 4}, {4, 20}} {
		if a := post(t, url, l.request(step[0], step[1])); a.status != 200 {
			t.Fatalf("%v: %d %s", step, a.status, a.body)
		}
	}
}

// TestEverySize walks over all pairs of sizes with the right proof, and with
// each of its hashes spoilt.
func TestEverySize(t *testing.T) {
	const n = 12
	l := newLog(t, "log.example/a", "a", n)
	for old := uint64(0); old <= n; old++ {
		for size := old; size <= n; size++ {
			w := open(t, create(t, bothSigners()[:1], l))
			if old > 0 {
				if _, err := w.AddCheckpoint(t.Context(), l.request(0, old)); err != nil {
					t.Fatal(err)
				}
			}
			r, err := tlog.ParseAddCheckpoint(l.request(old, size))
			if err != nil {
				t.Fatal(err)
			}
			for i := range r.Proof {
				r.Proof[i][i] ^= 0x80
				if _, err := w.AddCheckpoint(t.Context(), r.Bytes()); err == nil {
					t.Fatalf("%d to %d: hash %d was spoilt, and it was cosigned", old, size, i)
				}
				r.Proof[i][i] ^= 0x80
			}
			if _, err := w.AddCheckpoint(t.Context(), r.Bytes()); err != nil {
				t.Fatalf("%d to %d: %v", old, size, err)
			}
			w.Close()
		}
	}
}

func TestMethodsAndPaths(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 5)
	url := serveWitness(t, open(t, create(t, bothSigners(), l)))
	post(t, url, l.request(0, 5))
	hash := monitorURL("", l.origin)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/add-checkpoint", 405}, {"PUT", "/add-checkpoint", 405}, {"HEAD", "/add-checkpoint", 405},
		{"GET", hash, 200}, {"HEAD", hash, 200}, {"POST", hash, 405}, {"DELETE", hash, 405},
		{"GET", strings.ToUpper(hash[:65]) + "/checkpoint", 404},
		{"GET", hash + "/", 404}, {"GET", hash[:20] + "/checkpoint", 404}, {"GET", "/checkpoint", 404},
		{"GET", "/", 404}, {"GET", "/journal", 404}, {"GET", "/../journal", 404}, {"POST", "/add-checkpoint/", 404},
		{"POST", "/sign-subtree", 404},
		{"GET", "/healthz", 200}, {"GET", "/readyz", 200}, {"GET", "/metrics", 200}, {"GET", "/status", 200}, {"POST", "/metrics", 405},
	} {
		req, err := http.NewRequest(c.method, url+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := do(t, req)
		if a.status != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, a.status, c.status)
		}
		if a.status == 405 && a.header.Get("Allow") == "" {
			t.Errorf("%s %s: 405 without Allow", c.method, c.path)
		}
	}
	m := string(get(t, url+"/metrics").body)
	for _, want := range []string{
		`vasistas_witness_add_checkpoint_total{code="200"} 1`, `vasistas_witness_add_checkpoint_total{code="405"} 3`,
		"vasistas_witness_logs 1", "vasistas_witness_logs_cosigned 1", "vasistas_witness_journal_writable 1",
		`vasistas_witness_cosigned_total{log="log.example/a"} 1`,
	} {
		if !strings.Contains(m, want+"\n") {
			t.Errorf("no %q in %s", want, m)
		}
	}
}

// TestRace is the race of the specification: A with size N and B with size N+K
// at once. Whatever happens, the state does not go back.
func TestRace(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 400)
	w := open(t, create(t, bothSigners()[:1], l))
	url := serveWitness(t, w)
	size := uint64(1)
	if a := post(t, url, l.request(0, size)); a.status != 200 {
		t.Fatal(a.status)
	}
	for range 60 {
		sizes := []uint64{size + 1, size + 2, size + 5}
		status := make([]int, len(sizes))
		var wg sync.WaitGroup
		for i, n := range sizes {
			body := l.request(size, n)
			wg.Go(func() { status[i] = post(t, url, body).status })
		}
		wg.Wait()
		won := uint64(0)
		for i, s := range status {
			switch {
			case s == 200 && won == 0:
				won = sizes[i]
			case s != 409:
				t.Fatalf("statuses %v", status)
			}
		}
		got, err := tlog.ParseCheckpoint(get(t, monitorURL(url, l.origin)).body)
		if err != nil || got.Size != won {
			t.Fatalf("%v: the state is %v, and %d won", err, got, won)
		}
		size = won
	}
}

// TestMonitor: the lines of the log that were verified, and ours as returned;
// after a restart the same claim.
func TestMonitor(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 9)
	l.keys = append(l.keys, signer(l.origin, tlog.CosignatureMLDSA44))
	l.ext = []string{"an extension", "and another"}
	config := create(t, bothSigners(), l)
	w := open(t, config)
	url := serveWitness(t, w)
	c := l.checkpoint(9)
	unknown := tlog.Signature{Name: "stranger", KeyID: 1, Bytes: []byte{1}}
	with := &tlog.Checkpoint{Head: c.Head, Signatures: append([]tlog.Signature{unknown}, c.Signatures...)}
	a := post(t, url, (&tlog.AddCheckpoint{Checkpoint: with}).Bytes())
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	made := verify(t, config.Signers, c.Head, a.body)
	want := append(c.Bytes(), a.body...)
	if m := get(t, monitorURL(url, l.origin)); !bytes.Equal(m.body, want) {
		t.Fatalf("%s\nwant\n%s", m.body, want)
	}
	w.Close()

	// Also for a log that is not configured any more.
	for _, logs := range [][]tlog.PolicyLog{config.Logs, nil} {
		config.Logs = logs
		w = open(t, config)
		m := get(t, monitorURL(serveWitness(t, w), l.origin))
		if !bytes.HasPrefix(m.body, c.Bytes()) {
			t.Fatalf("after a restart: %d %s", m.status, m.body)
		}
		if again := verify(t, config.Signers, c.Head, m.body[len(c.Bytes()):]); again != made {
			t.Fatalf("after a restart it claims the time %d, and it was %d", again, made)
		}
		w.Close()
	}
}

func TestSeveralKeys(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 9)
	first, second := l.keys[0], signer(l.origin, tlog.CosignatureMLDSA44)
	l.keys = append(l.keys, second)
	url := serveWitness(t, open(t, create(t, bothSigners()[:1], l)))
	for i, keys := range [][]*tlog.Signer{{first}, {second}, {first, second}} {
		l.keys = keys
		if a := post(t, url, l.request(uint64(i), uint64(i+1))); a.status != 200 {
			t.Errorf("%d: %d %s", i, a.status, a.body)
		}
	}
	// One good line does not save a bad one.
	c := l.checkpoint(4)
	c.Signatures[1].Bytes[100] ^= 1
	if a := post(t, url, (&tlog.AddCheckpoint{Old: 3, Proof: l.proof(3, 4), Checkpoint: c}).Bytes()); a.status != 403 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestEvidence(t *testing.T) {
	l := newLog(t, "log.example/a", "a", 30)
	other := l.fork("b", 30)
	config := create(t, bothSigners(), l)
	url := serveWitness(t, open(t, config))
	post(t, url, l.request(0, 5))
	post(t, url, other.request(5, 5)) // a fork, 422
	post(t, url, other.request(5, 5)) // once is enough
	post(t, url, other.request(0, 5)) // and 409 says nothing new
	for size := uint64(6); size <= 30; size++ {
		post(t, url, other.request(5, size)) // bad proofs
	}
	files, err := filepath.Glob(config.Dir + "/evidence/*/*.json")
	if err != nil {
		t.Fatal(err)
	}
	n := make(map[offline.Verdict]int)
	policy, err := tlog.ParsePolicy(fmt.Appendf(nil, "log %s\nquorum none\n", l.keys[0].Verifier()))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fork, err := tlog.ParseFork(b)
		if err != nil {
			t.Fatal(err)
		}
		if own := fork.OwnHead(); own == nil || own.Size != 5 {
			t.Errorf("the witness's own head is %v", own)
		}
		n[offline.VerdictOf(offline.Fork(policy, fork, ""))]++
	}
	if n[offline.Proven] != 1 || n[offline.Undecided] != 8 || len(n) != 2 {
		t.Errorf("evidence: %v", n)
	}
}
