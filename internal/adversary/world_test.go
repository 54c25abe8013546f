// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

const account = "ada@example.org"

// world is a log's parties, honest and not.
type world struct {
	*people.People
	dir       string
	profile   event.Profile
	policy    *tlog.Policy // of the charter
	strength  tlog.Strength
	liars     []string // state false times
	forkers   []string // of the liars: sign forks, too
	witnesses map[string]*honest
	gates     []*custodian
	seed      *escrow.Seed // of the subject

	mu       sync.Mutex // guards all below
	branches []*branch  // the first is the one that honest parties write to
	met      []*head    // heads that met the witness policy, in the order of time
	views    map[string]*view
	lines    map[tlog.Hash]map[string][]line // cosignatures, by root and witness
	answered []answer
	broken   []string // invariants
	signed   int      // by real witnesses
	refused  string   // by a witness, last
}

// honest is a witness that keeps its promise: the real one.
type honest struct {
	config  witness.Config
	handler http.Handler
	close   func() error
	size    uint64 // of its last head
	last    *tlog.Head
}

// line is a cosignature.
type line struct {
	tlog.Signature
	time uint64
}

// custodian is an honest one, with a real gate.
type custodian struct {
	w      *world
	name   string
	config gate.Config
	gate   *gate.Gate // nil: it does not run
	asked  *request   // that is under way
}

// view is what the provider serves to one reader, and how it answers it.
type view struct {
	on         *branch
	checkpoint []byte
	dark       bool    // it withholds the tiles
	posts      answers // to submissions
}

type answers string

const (
	honestly answers = "honestly"
	refusing answers = "refusing"    // 503
	lying    answers = "lying"       // "logged", and it isn't
	variants answers = "by variants" // it logs the event with a signature that does not verify, and calls it logged
)

// step fails the test if err is not nil: the test's own world must work.
func step(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("the test itself: %v", err)
	}
}

// newWorld draws a policy and its liars, and founds a log.
func newWorld(t *rapid.T, dir string) *world {
	w := &world{People: people.New(written.Origin, "adversary"), dir: dir, profile: people.LongProfile(), witnesses: make(map[string]*honest),
		views: make(map[string]*view), lines: make(map[tlog.Hash]map[string][]line), seed: escrow.NewSeed(time.Now())}
	w.profile.Anchor, w.profile.MissingRelease = event.Deadline{Within: people.Day, Grace: people.Hour}, event.Deadline{Within: people.Day, Grace: people.Hour}
	w.profile.Return = event.Deadline{Within: 200 * people.Day, Grace: people.Day}
	text, names := w.drawPolicy(t)
	liars := min(rapid.IntRange(1, len(names)).Draw(t, "liars"), w.strength.Time-1)
	w.liars = rapid.Permutation(names).Draw(t, "liars first")[:liars]
	w.forkers = w.liars[:min(liars, w.strength.Fork-1)]
	for _, n := range names {
		if !slices.Contains(w.liars, n) {
			w.witnesses[n] = w.newWitness(t, n)
		}
	}
	b := newBranch(w, filepath.Join(dir, "log"), nil)
	charter := w.Charter(func(c *event.Charter) {
		c.Profile, c.WitnessPolicy = w.profile, text
		w.Cast(c, event.RoleAuditor)
		for i := range c.Parties {
			if p := &c.Parties[i]; p.Role == event.RoleCustodian {
				p.Gates = nil
				for _, kem := range []event.KEM{event.KEMMLKEMX25519, event.KEMX25519} {
					k, err := escrow.GenerateKey(kem)
					step(t, err)
					p.Gates, b.Holders[p.Name] = append(p.Gates, k.Public()), append(b.Holders[p.Name], k)
				}
			}
		}
	})
	b.found(charter)
	for _, name := range []string{"c1", "c2", "subject"} {
		w.views[name] = &view{on: b, posts: honestly}
	}
	w.publish(b, "c1", "c2", "subject")
	for _, name := range []string{"c1", "c2"} {
		c := &custodian{w: w, name: name, config: gate.Config{Dir: filepath.Join(dir, name), URL: "http://" + name + ".example", Origin: w.Origin,
			LogKeys: []*tlog.VerifierKey{w.Log().Verifier()}, Founded: b.Charter.Leaf, Signer: w.Signer(name), Poll: 5 * time.Hour,
			HTTPClient: &http.Client{Transport: w}}}
		for _, h := range b.Holders[name] {
			c.config.Keys = append(c.config.Keys, &watched{h, c})
		}
		step(t, gate.Create(c.config))
		w.gates = append(w.gates, c)
		c.start(t)
	}
	return w
}

// drawPolicy draws a nested policy of four to six keys that no single liar can break.
func (w *world) drawPolicy(t *rapid.T) (text string, names []string) {
	var b strings.Builder
	for i := range rapid.IntRange(4, 6).Draw(t, "witnesses") {
		names = append(names, fmt.Sprintf("w%d", i+1))
		fmt.Fprintf(&b, "witness %s %s\n", names[i], w.Witness(names[i]).Verifier())
	}
	witnesses := b.String()
	members := slices.Clone(names)
	for g := range rapid.IntRange(0, 2).Draw(t, "groups") {
		n := min(rapid.IntRange(2, 3).Draw(t, "members"), len(members)-1)
		name := fmt.Sprintf("g%d", g+1)
		fmt.Fprintf(&b, "group %s %d %s\n", name, rapid.IntRange(1, n).Draw(t, "of the members"), strings.Join(members[:n], " "))
		members = append(members[n:], name)
	}
	fmt.Fprintf(&b, "group top %d %s\nquorum top\n", rapid.IntRange(1, len(members)).Draw(t, "of the groups"), strings.Join(members, " "))
	log := "log " + w.Log().Verifier().String() + "\n"
	p, err := tlog.ParsePolicy([]byte(log + b.String()))
	if text = b.String(); err != nil || p.Strength().Fork < 2 {
		text = witnesses + fmt.Sprintf("group top %d %s\nquorum top\n", (len(names)+3)/2, strings.Join(names, " "))
		p, err = tlog.ParsePolicy([]byte(log + text))
	}
	step(t, err)
	w.policy, w.strength = p.WithSpread(w.profile.Spread), p.Strength()
	t.Logf("policy (F %d, V %d, S %d): %s", w.strength.Fork, w.strength.Silence, w.strength.Time, strings.TrimPrefix(text, witnesses))
	return text, names
}

func (w *world) newWitness(t *rapid.T, name string) *honest {
	c := witness.Config{Dir: filepath.Join(w.dir, name), Signers: []*tlog.Signer{w.Witness(name)}, Logs: []tlog.PolicyLog{{Key: w.Log().Verifier()}}}
	step(t, witness.Create(c.Dir, c))
	real, err := witness.Open(context.Background(), c)
	step(t, err)
	return &honest{config: c, handler: real.Handler(), close: real.Close}
}

// end ends what runs in the background.
func (w *world) end(t *rapid.T) {
	for _, c := range w.gates {
		c.stop(t)
	}
	for _, h := range w.witnesses {
		step(t, h.close())
	}
	for _, b := range w.branches {
		b.Report(func(args ...any) { t.Fatal(args...) })
	}
}

func (c *custodian) start(t *rapid.T) {
	var err error
	if c.gate, err = gate.Open(c.config); err == nil {
		c.gate.Start()
	}
	step(t, err)
}

func (c *custodian) stop(t *rapid.T) {
	if c.gate != nil {
		step(t, c.gate.Close())
	}
	c.gate = nil
}

// post posts to the gate and returns its answer.
func (c *custodian) post(path, kind string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	rec := httptest.NewRecorder()
	c.gate.Handler().ServeHTTP(rec, r)
	return rec
}

// head is a head that met the witness policy of its log.
type head struct {
	on         *branch
	checkpoint *tlog.Checkpoint
	at         int64           // when it first did, by the true clock
	live       map[uint64]bool // accesses that may be answered there
	breach     bool            // one bars every gate there
}

// largest returns the largest head that met the policy before a time.
func (w *world) largest(before int64) *head {
	var out *head
	for _, h := range w.met {
		if h.at < before && (out == nil || h.checkpoint.Size >= out.checkpoint.Size) {
			out = h
		}
	}
	return out
}

// cosign asks witnesses for their cosignatures of a branch's present head; liars state
// the time that lie returns.
func (w *world) cosign(b *branch, lie func(name string) uint64, names ...string) {
	b.Publish() // the tiles
	h := b.Head()
	by := w.lines[h.Root]
	if by == nil {
		by = make(map[string][]line)
		w.lines[h.Root] = by
	}
	for _, n := range names {
		if real := w.witnesses[n]; real != nil {
			if l, ok := w.submit(b, n, real); ok {
				by[n] = append(by[n], l)
			}
		} else if b == w.branches[0] || slices.Contains(w.forkers, n) {
			t := lie(n)
			if s, err := w.Witness(n).Sign(&h, t); err == nil {
				by[n] = append(by[n], line{s, t})
			}
		}
	}
}

// submit asks a real witness, over its protocol.
func (w *world) submit(b *branch, name string, h *honest) (line, bool) {
	cp := b.Checkpoint()
	for range 2 {
		req := tlog.AddCheckpoint{Old: h.size, Checkpoint: cp}
		if h.size > cp.Size {
			return line{}, false
		}
		req.Proof = b.consistency(h.size)
		rec := httptest.NewRecorder()
		h.handler.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/add-checkpoint", bytes.NewReader(req.Bytes())))
		switch rec.Code {
		case http.StatusConflict:
			h.size, _ = tlog.ParseTreeSize(rec.Body.Bytes())
			continue
		case http.StatusOK:
		default:
			w.refused = fmt.Sprintf("%s answers %d %s", name, rec.Code, rec.Body)
			return line{}, false
		}
		lines, err := tlog.ParseSignatureLines(rec.Body.Bytes())
		if err != nil || len(lines) != 1 {
			w.breaks("the witness %s answers %q", name, rec.Body)
			return line{}, false
		}
		t, err := w.Witness(name).Verifier().Verify(&cp.Head, &lines[0])
		if err != nil {
			w.breaks("the witness %s: %v", name, err)
		}
		h.size, h.last = cp.Size, &cp.Head
		if w.signed++; w.signed%8 == 1 {
			w.durableWitness(h, cp, t)
		}
		return line{lines[0], t}, true
	}
	return line{}, false
}

// assemble makes a checkpoint of a branch's present head with one of each witness's
// cosignatures, and notes whether it meets the policy.
func (w *world) assemble(b *branch, pick func(name string, n int) int) *tlog.Checkpoint {
	cp := b.Checkpoint()
	by := w.lines[cp.Root]
	for _, n := range slices.Sorted(maps.Keys(by)) {
		if i := pick(n, len(by[n])); i >= 0 {
			cp.Signatures = append(cp.Signatures, by[n][i].Signature)
		}
	}
	c := b.ledger.CharterAt(cp.Size)
	if v, err := c.Witnesses.Verify(cp, w.Origin); err == nil {
		w.meets(b, v, by)
	}
	return cp
}

func last(_ string, n int) int { return n - 1 }

func now(string) uint64 { return uint64(time.Now().Unix()) }

// publish asks every witness, liars for the truth, and shows the head to readers if it
// meets the policy. It returns nil if the head does not.
func (w *world) publish(b *branch, readers ...string) *tlog.Checkpoint {
	w.cosign(b, now, w.names()...)
	cp := w.assemble(b, last)
	if n := len(w.met); n == 0 || w.met[n-1].checkpoint != cp {
		return nil
	}
	for _, r := range readers {
		v := w.views[r]
		v.on, v.checkpoint, v.dark = b, cp.Bytes(), false
	}
	return cp
}

// names returns all witnesses.
func (w *world) names() []string {
	var out []string
	for i := range w.policy.Witnesses {
		out = append(out, w.policy.Witnesses[i].Name)
	}
	return out
}

// dirState returns the content of a state directory.
func dirState(dir string) string {
	var out strings.Builder
	filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			b, _ := os.ReadFile(name)
			fmt.Fprintf(&out, "%s %q\n", name, b)
		}
		return nil
	})
	return out.String()
}
