// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package adversary

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/internal/world/cases"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

// branch is one version of the log, with the ledger that every honest reader of it has.
type branch struct {
	*cases.Log
	w        *world
	entries  [][]byte
	roots    []tlog.Hash // by size
	ledger   *ledger.Ledger
	breaches []*ledger.Violation
	requests []*request
	logged   map[[32]byte]uint64 // the first copy of each event whose signatures verify
	released map[promise]uint64  // custodians' effective releases
	// by warrant: the suspension that stands, when the last one was resumed, and whether there is a response
	suspensions map[event.Reference]event.Reference
	resumed     map[event.Reference]time.Time
	answered    map[event.Reference]bool
	shown       uint64 // size at which a notice of the subject's was first disclosed; 0: none was
	ahead       int64  // after the next warrant, Now moves by so much
}

type promise struct {
	access    uint64
	custodian string
}

// request is a case with what the provider owes for it.
type request struct {
	*cases.Case
	releases []*written.Logged // effective ones
}

// newBranch returns an empty log, or a fork of one.
func newBranch(w *world, dir string, from *branch) *branch {
	b := &branch{w: w, released: make(map[promise]uint64), logged: make(map[[32]byte]uint64),
		suspensions: make(map[event.Reference]event.Reference), resumed: make(map[event.Reference]time.Time), answered: make(map[event.Reference]bool)}
	if from == nil {
		b.Log = &cases.Log{Log: written.Empty(dir, w.People), Holders: make(map[string][]escrow.KeyHolder), Agency: w.Signer("agency"), Consent: w.Signer("agency")}
		b.ledger, b.roots = ledger.New(w.Origin, b), []tlog.Hash{b.Head().Root}
	} else {
		b.Log = &cases.Log{Log: from.Log.Log.Fork(dir), Holders: from.Holders, Agency: from.Agency, Consent: from.Consent, Group: from.Group}
		b.entries, b.roots = slices.Clone(from.entries), slices.Clone(from.roots)
		b.breaches, b.released, b.logged, b.shown = slices.Clone(from.breaches), maps.Clone(from.released), maps.Clone(from.logged), from.shown
		b.suspensions, b.resumed, b.answered = maps.Clone(from.suspensions), maps.Clone(from.resumed), maps.Clone(from.answered)
		for _, r := range from.requests {
			b.requests = append(b.requests, &request{r.Case, slices.Clone(r.releases)})
		}
		var err error
		b.ledger, err = ledger.Restore(from.ledger.Snapshot(), from.ledger.Size(), from.ledger.Root(), b)
		b.Fail(err)
	}
	b.Appended = b.applied
	b.Terms = func(t *event.Warrant) { t.Accesses, t.Accounts, t.Categories = 3, 3, []string{"content", "traffic"} }
	b.Now = time.Now().Unix()
	w.branches = append(w.branches, b)
	return b
}

var _ ledger.Tree = (*branch)(nil)

func (b *branch) Entry(index uint64) ([]byte, error)        { return b.entries[index], nil }
func (b *branch) Root(size uint64) (root [32]byte, _ error) { return b.roots[size], nil }

func (b *branch) found(c *event.Charter) {
	b.Charter = b.LogEvent(b.Event(c), "f1", "f2")
	var err error
	b.Group, err = escrow.NewGroup(b.Origin, c, "main")
	b.Fail(err)
}

// applied applies an entry to the ledger.
func (b *branch) applied(at event.Reference, entry []byte) {
	b.entries, b.roots = append(b.entries, entry), append(b.roots, b.Head().Root)
	e := ledger.Read(at.Index, entry)
	e.Verify(b.ledger.Key)
	violations, _, err := b.ledger.Apply(e)
	b.Fail(err)
	effect := true
	for _, v := range violations {
		effect = effect && v.Index != at.Index
		if v.Kind == ledger.KindBreach {
			b.breaches = append(b.breaches, v)
		}
	}
	if e.Envelope == nil {
		return
	}
	if _, ok := b.logged[e.Hash]; !ok && !slices.ContainsFunc(e.Signatures, func(s ledger.SigState) bool { return s != ledger.Good }) {
		b.logged[e.Hash] = at.Index
	}
	if !effect {
		return
	}
	switch body := e.Envelope.Event.Body.(type) {
	case *event.Warrant:
		b.Now, b.ahead = b.Now+b.ahead, 0
	case *event.Revocation:
		switch body.Scope {
		case event.ScopeSuspended:
			b.suspensions[body.Warrant] = at
		case event.ScopeResumed:
			delete(b.suspensions, body.Warrant)
			b.resumed[body.Warrant] = e.Envelope.Event.Time
		}
	case *event.Response:
		b.answered[body.Warrant] = true
	case *event.Release:
		for _, c := range []string{"c1", "c2", "c3"} {
			if e.Envelope.Signatures[0].KeyID == b.w.KeyID(c) {
				b.released[promise{body.Access.Index, c}] = at.Index
			}
		}
	case *event.Disclosure:
		if len(body.Notices) > 0 && b.shown == 0 {
			b.shown = b.Size() // all accounts are the subject's
		}
	}
}

// has returns whether a head is one of this branch.
func (b *branch) has(h *tlog.Head) bool {
	return h == nil || h.Size <= b.Size() && b.roots[h.Size] == h.Root
}

// consistency returns the proof from a size to the present head.
func (b *branch) consistency(size uint64) []tlog.Hash {
	if size == 0 || size == b.Size() {
		return nil
	}
	p, err := prover.New(client.Dir(b.Dir), 8).Consistency(context.Background(), size, b.roots[size], b.Size(), b.Head().Root)
	b.Fail(err)
	return p
}

// find returns the index of an entry, or -1.
func (b *branch) find(entry []byte) int {
	return slices.IndexFunc(b.entries, func(e []byte) bool { return string(e) == string(entry) })
}

// newRequest logs a warrant and an access, which claim times that are off from now.
func (b *branch) newRequest(warrant, access, sealed time.Duration) *request {
	key, err := b.w.seed.Key(b.Origin, max(escrow.PeriodOf(time.Now()), b.w.seed.First), event.KEMX25519)
	b.Fail(err)
	b.Now, b.ahead = time.Now().Add(warrant).Unix(), int64((access-warrant)/time.Second)
	r := &request{Case: b.NewCase(sealed, []string{account}, b.Wrap(key.Public(), account))}
	b.Now = time.Now().Unix()
	b.requests = append(b.requests, r)
	return r
}

// cure does what the provider owes: it discloses cases whose seal has ended, and logs
// returns and an anchor.
func (b *branch) cure(anchor *tlog.Checkpoint) {
	b.Anchor(anchor)
	for _, o := range b.ledger.Overdue(time.Unix(b.Now, 0).Add(400 * day)) {
		for _, r := range b.requests {
			switch {
			case o.Due.Unix() > b.Now:
			case o.Rule == "return" && o.Index == r.Warrant.Index:
				b.Return(&written.Logged{Reference: r.Warrant.Reference})
			case o.Rule == "disclosure" && o.Index == r.Warrant.Index:
				b.Disclose(&written.Logged{Reference: r.Warrant.Reference, Public: r.WarrantOpenings.Public})
			case o.Rule == "disclosure" && o.Index == r.Access.Index:
				b.Disclose(&written.Logged{Reference: r.Access.Reference, Public: r.AccessOpenings.Public})
			case o.Rule == "disclosure":
				for _, l := range r.releases {
					if l.Index == o.Index {
						b.Disclose(&written.Logged{Reference: l.Reference}, l)
					}
				}
			}
		}
	}
}

// RoundTrip is the provider's server.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rec := httptest.NewRecorder()
	reader, _, _ := strings.Cut(r.URL.Host, ".")
	v := w.views[reader]
	switch {
	case r.Method == http.MethodPost:
		body, _ := io.ReadAll(r.Body)
		w.take(rec, v, reader, client.Wait(r.URL.Query().Get("wait")), body)
	case r.URL.Path == "/checkpoint":
		rec.Write(v.checkpoint)
	default:
		b, err := os.ReadFile(filepath.Join(v.on.Dir, r.URL.Path))
		if err != nil || v.dark {
			http.NotFound(rec, r)
			break
		}
		rec.Write(b)
	}
	out := rec.Result()
	out.Request = r
	return out, nil
}

// take answers a submission as the view says.
func (w *world) take(rw http.ResponseWriter, v *view, reader string, wait client.Wait, body []byte) {
	sub, err := event.ParseSubmission(body)
	if err != nil {
		problem.New(problem.Form, "", err.Error()).Answer(rw)
		return
	}
	w.durableGate(reader, sub)
	b, env := v.on, sub.Envelope
	b.Now = time.Now().Unix()
	entry := env.Bytes()
	switch v.posts {
	case refusing:
		problem.New(problem.NotReady, "", "not now").Answer(rw)
		return
	case lying:
		leaf := ledger.Read(0, entry).Leaf
		w.acknowledge(rw, b, wait, &written.Logged{Reference: event.Reference{Index: b.Size() - 1, Leaf: leaf}, Envelope: env}, false)
		return
	case variants:
		bad := *env
		bad.Signatures = slices.Clone(env.Signatures)
		bad.Signatures[0].Sig = slices.Clone(bad.Signatures[0].Sig)
		bad.Signatures[0].Sig[0] ^= 1
		env, entry = &bad, bad.Bytes()
	}
	logged, duplicate := &written.Logged{Envelope: env, Notices: sub.Notices}, v.posts == variants
	if i := b.find(entry); i >= 0 {
		logged.Reference, duplicate = event.Reference{Index: uint64(i), Leaf: ledger.Read(0, entry).Leaf}, true
	} else {
		if refused, _ := b.ledger.Admit(ledger.Read(0, entry)); refused != nil && v.posts == honestly {
			problem.New(problem.Rule, "", refused.Error()).Answer(rw)
			return
		}
		logged.Reference = b.LogEnvelope(env).Reference
		b.keep(logged, reader)
	}
	w.acknowledge(rw, b, wait, logged, duplicate)
}

// keep keeps a release for the disclosure of its notices.
func (b *branch) keep(l *written.Logged, custodian string) {
	body, ok := l.Envelope.Event.Body.(*event.Release)
	for _, r := range b.requests {
		if ok && r.Access.Reference == body.Access && b.released[promise{body.Access.Index, custodian}] == l.Index {
			r.releases = append(r.releases, l)
		}
	}
}

// acknowledge says that an event is logged.
func (w *world) acknowledge(rw http.ResponseWriter, b *branch, wait client.Wait, l *written.Logged, duplicate bool) {
	var on []string
	for _, n := range slices.Sorted(maps.Keys(w.views)) {
		if w.views[n].on == b {
			on = append(on, n)
		}
	}
	cp := w.publish(b, on...)
	if wait == client.WaitSequenced {
		json.NewEncoder(rw).Encode(map[string]any{"index": l.Index, "leaf": l.Leaf, "duplicate": duplicate})
		return
	}
	if cp == nil {
		problem.New(problem.NoQuorum, "", "the witnesses don't answer").Answer(rw)
		return
	}
	rw.Header().Set("Vasistas-Index", strconv.FormatUint(l.Index, 10))
	rw.Header().Set("Vasistas-Duplicate", fmt.Sprint(duplicate))
	if string(b.entries[l.Index]) == string(l.Envelope.Bytes()) {
		rw.Write(b.Proof(cp, l))
	}
}
