// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
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

const minute, hour, day = people.Minute * time.Second, people.Hour * time.Second, people.Day * time.Second

const account = "ada@example.org"

// world is a log's parties, honest and not.
type world struct {
	*people.People
	dir       string
	profile   event.Profile
	policy    *tlog.Policy // of the charter
	auditors  []string     // "a1", which keeps the rules, or none
	liars     []string     // witnesses that state false times
	forkers   []string     // of the liars: sign forks, too
	witnesses map[string]*honest
	gates     []*custodian
	seed      *escrow.Seed // of the subject

	mu       sync.Mutex // guards all below
	branches []*branch
	met      []*head // heads that met the witness policy, in the order of time
	views    map[string]*view
	lines    map[tlog.Hash]map[string][]line // cosignatures, by root and key
	posted   map[[32]byte]post               // releases that gates posted, by event hash
	broken   []string                        // invariants
	signed   int                             // heads, by real witnesses
	refused  string                          // why a witness refused a head, last
	diskless string                          // a witness or gate whose disk fails
}

// honest is a real witness. That of a liar that does not fork keeps it from forks; the
// liar's own lines replace its lines.
type honest struct {
	*witness.Witness
	config witness.Config
	last   *tlog.Head
}

// line is a cosignature.
type line struct {
	tlog.Signature
	time uint64
}

// post is a release that a gate has posted.
type post struct {
	by  *custodian
	seq string
}

// custodian is an honest one, with a real gate.
type custodian struct {
	w      *world
	name   string
	config gate.Config
	gate   *gate.Gate // nil: it does not run
	asked  *request   // that is under way
	under  *tlog.Checkpoint
	handed []handed // that it took
}

// handed is a suspension that the court has handed to a gate.
type handed struct {
	hash    [32]byte
	warrant event.Reference
	at      time.Time // that it was signed
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

// head is a head that met the witness policy of its log.
type head struct {
	on         *branch
	checkpoint *tlog.Checkpoint
	anchor     *tlog.Checkpoint
	at         int64           // when it first did, by the true clock
	live       map[uint64]bool // accesses that may be answered there
	breach     bool            // one bars every gate there
}

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
		views: make(map[string]*view), lines: make(map[tlog.Hash]map[string][]line), posted: make(map[[32]byte]post), seed: escrow.NewSeed(time.Now())}
	w.profile.Anchor, w.profile.MissingRelease = event.Deadline{Within: people.Day, Grace: people.Hour}, event.Deadline{Within: people.Day, Grace: people.Hour}
	w.profile.Return = event.Deadline{Within: 200 * people.Day, Grace: people.Day}
	w.auditors = []string{"a1"}[:rapid.IntRange(0, 1).Draw(t, "auditors")]
	text := w.drawPolicy(t)
	for _, n := range w.names() {
		if !slices.Contains(w.forkers, n) {
			w.witnesses[n] = w.newWitness(t, n)
		}
	}
	b := newBranch(w, filepath.Join(dir, "log"), nil)
	b.found(w.Charter(func(c *event.Charter) {
		c.Profile, c.WitnessPolicy = w.profile, text
		w.Cast(c, event.RoleAuditor, w.auditors...)
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
	}))
	for _, name := range readers {
		w.views[name] = &view{on: b, posts: honestly}
	}
	w.publish(b, readers...)
	for _, name := range readers[:2] {
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

// drawPolicy draws a nested policy of four to six keys that no single liar can break, and
// the liars that it bears.
func (w *world) drawPolicy(t *rapid.T) (text string) {
	var names []string
	for i := range rapid.IntRange(4, 6).Draw(t, "witnesses") {
		names = append(names, fmt.Sprintf("w%d", i+1))
		text += fmt.Sprintf("witness %s %s\n", names[i], w.Witness(names[i]).Verifier())
	}
	keys, members := text, rapid.Permutation(names).Draw(t, "order")
	group := func(name string, n int) {
		// Less than a majority bears no liar.
		text += fmt.Sprintf("group %s %d %s\n", name, rapid.IntRange(n/2+1, n).Draw(t, "threshold of "+name), strings.Join(members[:n], " "))
		members = append(members[n:], name)
	}
	groups := rapid.IntRange(0, 2).Draw(t, "groups")
	for g := range groups {
		group(fmt.Sprintf("g%d", g+1), min(rapid.IntRange(2, 3).Draw(t, "members"), len(members)-1))
	}
	group("top", len(members))
	log := "log " + w.Log().Verifier().String() + "\n"
	p, err := tlog.ParsePolicy([]byte(log + text + "quorum top\n"))
	if err == nil && p.Strength().Fork < 2 {
		groups, text = 0, keys+fmt.Sprintf("group top %d %s\n", (len(names)+3)/2, strings.Join(names, " "))
		p, err = tlog.ParsePolicy([]byte(log + text + "quorum top\n"))
	}
	step(t, err)
	if groups > 0 {
		saw("nested policies")
	}
	s := p.Strength()
	w.policy = p.WithSpread(w.profile.Spread)
	t.Logf("policy (F %d, V %d, S %d): %s", s.Fork, s.Silence, s.Time, strings.TrimPrefix(text, keys))
	w.liars = rapid.Permutation(names).Draw(t, "liars first")[:min(rapid.IntRange(1, len(names)).Draw(t, "liars"), s.Time-1)]
	w.forkers = w.liars[:min(len(w.liars), s.Fork-1)]
	return text + "quorum top\n"
}

func (w *world) newWitness(t *rapid.T, name string) *honest {
	h := &honest{config: witness.Config{Dir: filepath.Join(w.dir, name), Signers: []*tlog.Signer{w.Witness(name)},
		Logs: []tlog.PolicyLog{{Key: w.Log().Verifier()}}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}}
	step(t, witness.Create(h.config.Dir, h.config))
	var err error
	h.Witness, err = witness.Open(context.Background(), h.config)
	step(t, err)
	return h
}

// end ends what runs in the background.
func (w *world) end(t *rapid.T) {
	for _, c := range w.gates {
		c.stop(t)
	}
	for _, h := range w.witnesses {
		h.Close()
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

// post posts to a party and returns its answer.
func (w *world) post(to http.Handler, path, kind string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	rec := httptest.NewRecorder()
	to.ServeHTTP(rec, r)
	return rec
}

// ask posts a request with proofs under a head, and returns the answer in words.
func (c *custodian) ask(b *branch, r *request, under *tlog.Checkpoint) string {
	if under == nil || c.gate == nil {
		return "not asked"
	}
	time.Sleep(time.Second) // a gate follows the log at most once at one time
	c.w.mu.Lock()
	q := escrow.Request{Access: b.Proof(under, r.Access), Warrant: b.Proof(under, r.Warrant), WarrantOpenings: r.WarrantOpenings,
		AccessOpenings: r.AccessOpenings, Packages: r.Packages}
	sealed, err := q.Seal(b.Origin, b.Holders[c.name][0].Public())
	b.Fail(err)
	c.asked, c.under = r, under
	c.w.mu.Unlock()
	defer func() { c.asked = nil }()
	rec := c.w.post(c.gate.Handler(), escrow.RequestPath, escrow.RequestType, sealed)
	switch got := fmt.Sprint(rec.Code, " ", rec.Body); {
	case rec.Code == http.StatusOK:
		return "opened"
	case strings.Contains(got, "claims the time"):
		saw("claims ahead of time, refused by a gate")
		return got
	default:
		if strings.Contains(got, "suspended") {
			saw("suspended accesses, refused by a gate")
		}
		if strings.Contains(got, "bars") {
			saw("barred gates")
		}
		return got
	}
}

// largest returns the largest head that met the policy by a time.
func (w *world) largest(by int64) *head {
	var out *head
	for _, h := range w.met {
		if h.at <= by && (out == nil || h.checkpoint.Size >= out.checkpoint.Size) {
			out = h
		}
	}
	return out
}

// reaches returns whether a branch can still meet the policy, once a witness has signed a
// head of the branch by.
func (w *world) reaches(b *branch, name string, by *branch) bool {
	return w.policy.Satisfied(func(i int) bool {
		n := w.policy.Witnesses[i].Name
		if h := w.witnesses[n]; h != nil && n != name {
			return b.has(h.last)
		} else if h != nil {
			last := by.Head()
			return b.has(&last)
		}
		return true
	})
}

// main is the branch that honest parties write to, at the true time: the first that can
// still meet the policy.
func (w *world) main() *branch {
	i := slices.IndexFunc(w.branches, func(b *branch) bool { return w.reaches(b, "", nil) })
	b := w.branches[i]
	b.Now = time.Now().Unix()
	return b
}

// cosign asks witnesses for their cosignatures of a branch's present head; liars state
// the time that lie returns. The provider does not ask a witness that it needs elsewhere:
// else it would shut itself out.
func (w *world) cosign(b *branch, lie func(name string) uint64, names ...string) {
	b.Publish() // the tiles
	h := b.Head()
	by := w.lines[h.Root]
	if by == nil {
		by = make(map[string][]line)
		w.lines[h.Root] = by
	}
	for _, n := range names {
		var l line
		ok := true
		if real := w.witnesses[n]; real == nil || !b.has(real.last) || slices.ContainsFunc(w.branches, func(x *branch) bool { return w.reaches(x, n, b) }) {
			if real != nil {
				l, ok = w.submit(b, n, real)
			}
			if ok && slices.Contains(w.liars, n) {
				l.time = lie(n)
				l.Signature, _ = w.Witness(n).Sign(&h, l.time)
			}
			if ok {
				by[n] = append(by[n], l)
			}
		}
	}
}

// submit asks a real witness, over its protocol.
func (w *world) submit(b *branch, name string, h *honest) (l line, ok bool) {
	req, fits := tlog.AddCheckpoint{Checkpoint: b.Checkpoint()}, b.has(h.last)
	if h.last != nil {
		req.Old = min(h.last.Size, req.Checkpoint.Size)
	}
	req.Proof = b.consistency(req.Old)
	rec := w.post(h.Handler(), "/add-checkpoint", "", req.Bytes())
	if rec.Code != http.StatusOK {
		if w.refused = fmt.Sprintf("%s answers %d %s", name, rec.Code, rec.Body); !fits {
			saw("forks that a witness refused")
		} else if w.diskless != name {
			w.breaks("8: a witness refuses an honest head: %s", w.refused)
		}
		return line{}, false
	}
	lines, err := tlog.ParseSignatureLines(rec.Body.Bytes())
	if err == nil {
		l.Signature = lines[0]
		l.time, err = w.Witness(name).Verifier().Verify(&req.Checkpoint.Head, &lines[0])
	}
	switch {
	case err != nil:
		w.breaks("5: the witness %s answers %q: %v", name, rec.Body, err)
	case !fits:
		w.breaks("2: the witness %s signs heads of sizes %d and %d that conflict", name, h.last.Size, req.Checkpoint.Size)
	}
	if w.diskless == name && (h.last == nil || h.last.Size < req.Checkpoint.Size) {
		w.breaks("5: the witness %s signs without a disk", name)
	}
	h.last = &req.Checkpoint.Head
	if w.signed++; w.signed%8 == 1 && w.diskless != name {
		w.durableWitness(h, l.time)
	}
	return l, true
}

// assemble makes a checkpoint of a branch's present head with one of each key's
// cosignatures, and notes whether it meets the policy.
func (w *world) assemble(b *branch, pick func(name string, n int) int) (cp *tlog.Checkpoint, met bool) {
	cp = b.Checkpoint()
	by := w.lines[cp.Root]
	for _, n := range slices.Sorted(maps.Keys(by)) {
		if i := pick(n, len(by[n])); i >= 0 {
			cp.Signatures = append(cp.Signatures, by[n][i].Signature)
		}
	}
	v, err := b.ledger.CharterAt(cp.Size).Witnesses.Verify(cp, w.Origin)
	if err != nil {
		return cp, false
	}
	// An anchor has lines of witnesses only.
	anchor := &tlog.Checkpoint{Head: cp.Head, Signatures: slices.DeleteFunc(slices.Clone(cp.Signatures), func(s tlog.Signature) bool { return s.Name == "a1.example" })}
	for _, a := range w.auditors {
		// The adversary may keep an older line of the auditor, or none.
		if pick(a, 1) != 0 || len(b.ledger.Barred(a, time.Now())) > 0 {
			continue
		}
		s, err := w.Witness(a).Sign(&cp.Head, now(a))
		b.Fail(err)
		cp.Signatures = append(slices.DeleteFunc(cp.Signatures, func(o tlog.Signature) bool { return o.Name == s.Name }), s)
		by[a] = append(by[a], line{s, now(a)})
	}
	w.meets(b, v, anchor)
	return cp, true
}

func last(_ string, n int) int { return n - 1 }

func now(string) uint64 { return uint64(time.Now().Unix()) }

// publish asks every witness, liars for the truth, and shows the head to readers if it
// meets the policy. It returns nil if the head does not.
func (w *world) publish(b *branch, readers ...string) *tlog.Checkpoint {
	w.cosign(b, now, w.names()...)
	cp, met := w.assemble(b, last)
	if !met {
		return nil
	}
	for _, r := range readers {
		w.views[r].show(b, cp)
	}
	return cp
}

func (v *view) show(b *branch, cp *tlog.Checkpoint) {
	v.on, v.checkpoint, v.dark = b, cp.Bytes(), false
}

// names returns all witnesses.
func (w *world) names() (out []string) {
	for i := range w.policy.Witnesses {
		out = append(out, w.policy.Witnesses[i].Name)
	}
	return out
}
