// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/round"
	"github.com/vasistas/vasistas/log/tlog"
)

// auditor is a server that answers as an auditor would: it cosigns the head that the log
// names, unless it was told to answer otherwise. It judges nothing.
type auditor struct {
	*httptest.Server
	name string
	keys []*tlog.Signer // one of each algorithm
	lie  atomic.Pointer[lie]

	mu    sync.Mutex
	known uint64   // size that it cosigned last
	heads []uint64 // sizes that it was asked for
}

func (w *world) newAuditor(name string) *auditor {
	w.t.Helper()
	a := w.newAuditorAt(name)
	a.Server = httptest.NewServer(a.Config.Handler)
	w.t.Cleanup(func() {
		a.CloseClientConnections()
		a.Close()
	})
	return a
}

// newAuditorAt returns an auditor that does not listen.
func (w *world) newAuditorAt(name string) *auditor {
	w.t.Helper()
	a := &auditor{name: name}
	for _, alg := range []tlog.Algorithm{tlog.CosignatureEd25519, tlog.CosignatureMLDSA44} {
		key, err := tlog.GenerateSigner(name+".example", alg)
		check(w.t, err)
		a.keys = append(a.keys, key)
	}
	a.Server = &httptest.Server{URL: "http://" + name + ".example", Config: &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := http.HandlerFunc(a.cosign)
		body, err := io.ReadAll(r.Body)
		req, perr := tlog.ParseAddCheckpoint(body)
		if err != nil || perr != nil || r.URL.Path != "/add-checkpoint" {
			w.t.Errorf("the log asks an auditor for %s: %v, %v", r.URL.Path, err, perr)
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		a.mu.Lock()
		a.heads = append(a.heads, req.Checkpoint.Size)
		a.mu.Unlock()
		if l := a.lie.Load(); l != nil {
			(*l)(rw, r, h)
			return
		}
		h.ServeHTTP(rw, r)
	})}}
	return a
}

func (a *auditor) answer(l lie) {
	if l == nil {
		a.lie.Store(nil)
		return
	}
	a.lie.Store(&l)
}

func (a *auditor) asked() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.heads)
}

// cosign answers add-checkpoint with both keys.
func (a *auditor) cosign(rw http.ResponseWriter, r *http.Request) { a.sign(rw, r, time.Now()) }

func (a *auditor) sign(rw http.ResponseWriter, r *http.Request, at time.Time) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	req, err := tlog.ParseAddCheckpoint(body)
	if err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if req.Old != a.known {
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", a.known)
		return
	}
	a.known = req.Checkpoint.Size
	var lines []tlog.Signature
	for _, k := range a.keys {
		sig, err := k.Sign(&req.Checkpoint.Head, uint64(at.Unix()))
		if err != nil {
			panic(err)
		}
		lines = append(lines, sig)
	}
	rw.Write(tlog.SignatureLines(lines))
}

// at cosigns with a time of its own.
func (a *auditor) at(when func() time.Time) lie {
	return func(rw http.ResponseWriter, r *http.Request, _ http.Handler) { a.sign(rw, r, when()) }
}

// declines is the answer of an auditor that a rule bars.
func declines(detail string, bars ...string) lie {
	return func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		rw.Header().Set("Content-Type", "application/problem+json")
		rw.Header().Set("Retry-After", "1")
		rw.WriteHeader(http.StatusServiceUnavailable)
		text, err := json.Marshal(detail)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(rw, `{"type":"urn:vasistas:error:overdue","title":"Barred","status":503,"detail":%s,"bars":[%s]}`, text, strings.Join(bars, ","))
	}
}

const overdue = `{"obligation":{"rule":"disclosure","way":"late","index":3,"by":"provider messenger","due":"2026-01-02T03:04:05Z","late":"2026-01-03T03:04:05Z","text":"3 of the public digests of entry 3 are not opened","cure":"disclose","auditors":true}}`

// hang answers nothing until the caller gives up.
func hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// auditors makes the charter's audit policy that k of these auditors meet.
func (w *world) auditors(k int, list ...*auditor) func(*event.Charter) {
	return func(c *event.Charter) {
		w.nameAuditors(c, list)
		c.AuditPolicy = people.Policy(k, named(list)...)
	}
}

// nameAuditors makes auditors the charter's only ones.
func (w *world) nameAuditors(c *event.Charter, list []*auditor) {
	w.Cast(c, event.RoleAuditor)
	for _, a := range list {
		p := w.Party(event.RoleAuditor, a.name)
		p.Cosigners = nil
		for _, key := range a.keys {
			p.Cosigners = append(p.Cosigners, key.Verifier().String())
		}
		c.Parties = append(c.Parties, p)
	}
}

// named returns auditors as a policy names them.
func named(list []*auditor) (out []people.Witness) {
	for _, a := range list {
		out = append(out, people.Witness{Name: a.name, URL: a.URL, Keys: []*tlog.VerifierKey{a.keys[0].Verifier(), a.keys[1].Verifier()}})
	}
	return out
}

// auditWorld returns a log with a witness and three auditors, of which two must cosign.
func auditWorld(t testing.TB) (*world, []*auditor) {
	t.Helper()
	w := prepareWorld(t, 1, 1)
	w.profile.Round, w.profile.Stale = 600, 3600
	list := []*auditor{w.newAuditor("dog"), w.newAuditor("cat"), w.newAuditor("cow")}
	w.extra = w.auditors(2, list...)
	w.create()
	return w, list
}

// round returns what the log names.
func (w *world) round() (*round.Round, error) {
	status, b := w.get("/audit/round")
	if status != http.StatusOK {
		return nil, fmt.Errorf("GET /audit/round: %d: %s", status, b)
	}
	n, err := round.Parse(b)
	if err != nil {
		w.t.Fatalf("%v: %s", err, b)
	}
	if _, err := w.policy.Verify(n.Head(), ""); err != nil {
		w.t.Fatalf("the named head: %v", err)
	}
	return n, nil
}

// until waits for a round.
func (w *world) until(what string, is func(*round.Round) bool) *round.Round {
	w.t.Helper()
	var got *round.Round
	eventually(w.t, func() error {
		n, err := w.round()
		if err != nil {
			return err
		}
		if got = n; !is(n) {
			return fmt.Errorf("the round is not %s: %s", what, n.Bytes())
		}
		return nil
	})
	return got
}

// audited returns the audited checkpoint, which must meet the policies of the charter.
func (w *world) audited() (*tlog.Checkpoint, error) {
	status, b := w.get("/audit/checkpoint")
	if status != http.StatusOK {
		return nil, fmt.Errorf("GET /audit/checkpoint: %d: %s", status, b)
	}
	cp, err := tlog.ParseCheckpoint(b)
	if err != nil {
		w.t.Fatal(err)
	}
	w.seen.head(cp)
	if _, err := w.policy.Verify(cp, ""); err != nil {
		w.t.Fatal(err)
	}
	if len(cp.Signatures) > 16 {
		w.t.Fatalf("%d lines", len(cp.Signatures))
	}
	return cp, nil
}

// vouched waits until the audited checkpoint has the size.
func (w *world) vouched(size uint64) *tlog.Checkpoint {
	w.t.Helper()
	var cp *tlog.Checkpoint
	eventually(w.t, func() (err error) {
		if cp, err = w.audited(); err == nil && cp.Size < size {
			err = fmt.Errorf("audited: %d of %d", cp.Size, size)
		}
		return err
	})
	return cp
}

// kinds returns the answers by auditor; both keys of one must answer alike.
func kinds(t *testing.T, n *round.Round) map[string]round.Kind {
	t.Helper()
	out := make(map[string]round.Kind)
	for _, a := range n.Auditors {
		if k, ok := out[a.Auditor]; ok && k != a.Kind {
			t.Fatalf("the keys of %s answer %s and %s", a.Auditor, k, a.Kind)
		}
		out[a.Auditor] = a.Kind
	}
	return out
}

// TestAuditRound checks that the log names the published head, and serves it with the
// cosignatures of witnesses and auditors once these meet the audit policy; and what
// readers and metrics see.
func TestAuditRound(t *testing.T) {
	t.Parallel()
	w, list := auditWorld(t)
	list[2].answer(down)
	w.start()
	w.vouched(1)
	p := w.append(w.warrant())
	cp := w.vouched(p.Index + 1)
	policy, err := tlog.ParsePolicy([]byte("log " + w.keys[0].Verifier().String() + "\n" + w.charter().AuditPolicy))
	check(t, err)
	policy = policy.WithSpread(tlog.NoSpread)
	ok, err := policy.Verify(cp, "")
	check(t, err)
	if len(ok.Witnesses) != 4 {
		t.Errorf("%d lines of auditors", len(ok.Witnesses))
	}
	n := w.until("met", func(n *round.Round) bool { return n.State == round.Met && n.Size == cp.Size })
	if got := kinds(t, n); got["dog"] != round.Cosigned || got["cat"] != round.Cosigned || got["cow"] != round.Silent || len(n.Auditors) != 6 {
		t.Errorf("the answers are %v", got)
	}
	if time.Since(n.Named) > time.Minute || n.Root != cp.Root {
		t.Errorf("named at %v, root %v", n.Named, n.Root)
	}
	cl, err := client.New(client.Config{URL: w.url, Policy: w.policy})
	check(t, err)
	head, vouched, err := cl.Audited(t.Context(), policy)
	check(t, err)
	proof, err := cl.ProveAt(t.Context(), head, p.Index)
	check(t, err)
	if got, err := cl.Round(t.Context()); err != nil || got.Size != n.Size || vouched.LoggedAfter != ok.LoggedAfter || !bytes.Equal(proof.Checkpoint.Bytes(), cp.Bytes()) {
		t.Errorf("a client reads %+v, %v", got, err)
	}
	text := w.log.Metrics()
	for name, want := range map[string]float64{
		"vasistas_log_named_size": float64(cp.Size), "vasistas_log_audited_size": float64(cp.Size),
		"vasistas_log_audited_timestamp_seconds": float64(ok.LoggedAfter), "vasistas_log_named_timestamp_seconds": float64(n.Named.Unix()),
	} {
		if got := metric(text, name); got != want {
			t.Errorf("%s is %v; want %v", name, got, want)
		}
	}
	if metric(text, `vasistas_log_auditor_answers_total{auditor="dog",answer="cosigned"}`) < 2 || metric(text, `vasistas_log_auditor_answers_total{auditor="cow",answer="silent"}`) < 2 {
		t.Errorf("answers are not counted:\n%s", text)
	}
	for _, path := range []string{"/audit/round", "/audit/checkpoint"} {
		first, err := http.Get(w.url + path)
		check(t, err)
		first.Body.Close()
		tag := first.Header.Get("ETag")
		req, err := http.NewRequest(http.MethodGet, w.url+path, nil)
		check(t, err)
		req.Header.Set("If-None-Match", `"other", `+tag)
		again, err := http.DefaultClient.Do(req)
		check(t, err)
		again.Body.Close()
		if tag == "" || again.StatusCode != http.StatusNotModified || again.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s with its tag %s: %v", path, tag, again)
		}
		if resp, err := http.Post(w.url+path, "text/plain", nil); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %v %v", path, resp.StatusCode, err)
		}
	}
}

// TestAuditNone checks that a log whose charter asks for no auditors says so.
func TestAuditNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.append(w.warrant())
	for _, path := range []string{"/audit/round", "/audit/checkpoint"} {
		resp, err := http.Get(w.url + path)
		check(t, err)
		b, err := io.ReadAll(resp.Body)
		check(t, err)
		resp.Body.Close()
		if err := problemOf(resp, b); !isProblem(err, "not-found") || !strings.Contains(err.Error(), "asks for no auditors") || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("GET %s: %v", path, err)
		}
	}
}

// TestAuditDeclined checks that a head is given up once so many auditors decline that it
// can't meet the policy, that the log quotes why, and that the next published head is
// named at once. Before, the head stays named.
func TestAuditDeclined(t *testing.T) {
	t.Parallel()
	w, list := auditWorld(t)
	w.start()
	w.vouched(1)
	long := strings.Repeat("é", 2000)
	var many []string
	for range 40 {
		many = append(many, overdue)
	}
	list[0].answer(declines("\x1b[2J"+long, many...))
	list[1].answer(down)
	p := w.append(w.warrant())
	n := w.until("declined by one", func(n *round.Round) bool {
		return n.Size > p.Index && kinds(t, n)["dog"] == round.Refused && kinds(t, n)["cow"] == round.Cosigned
	})
	for range 3 {
		w.append(w.warrant())
	}
	if m, err := w.round(); err != nil || m.Size != n.Size || m.State != round.Open {
		t.Fatalf("one auditor of three declines, and another head is named: %v", err)
	}
	a := n.Auditors[0]
	if len(a.Bars) != round.MaxBars || a.Bars[0].Obligation.Rule != "disclosure" || len(a.Text) > round.MaxText || strings.Contains(a.Text, "\x1b") || !strings.Contains(a.Text, "éé") {
		t.Errorf("the log quotes %+v", a)
	}
	list[1].answer(declines("a breach", `{"breach":{"rule":"chain","way":"gap","index":1,"seen":2,"count":1,"by":"custodian holder","text":"x"}}`))
	last := w.checkpoint().Size
	w.until("the next head", func(n *round.Round) bool { return n.Size == last })
	if cp, err := w.audited(); err != nil || cp.Size >= n.Size {
		t.Fatalf("audited without a quorum: %v", err)
	}
	w.until("declined", func(n *round.Round) bool { return n.State == round.Declined })
	// The same head is named again, since a bar can end without a new entry.
	list[0].answer(nil)
	list[1].answer(nil)
	w.vouched(last)
}

// TestAuditNested checks an audit policy of three groups, of which each must vouch: two of three
// regulators, the tribunal, and one of two associations. If one group is short by one auditor, all
// others can't make up for it.
func TestAuditNested(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, 1, 1)
	w.profile.Round, w.profile.Stale = 600, 3600
	var all []*auditor
	for _, name := range []string{"reg1", "reg2", "reg3", "tribunal", "civil1", "civil2"} {
		all = append(all, w.newAuditor(name))
	}
	w.extra = func(c *event.Charter) {
		w.nameAuditors(c, all)
		c.AuditPolicy = people.Nested(3, people.Group{Name: "regulators", K: 2, Members: named(all[:3])},
			people.Group{Name: "courts", K: 1, Members: named(all[3:4])}, people.Group{Name: "associations", K: 1, Members: named(all[4:])})
	}
	w.create()
	w.start()
	w.vouched(1)
	for name, silent := range map[string][]*auditor{"regulators": all[1:3], "courts": all[3:4], "associations": all[4:]} {
		for _, a := range silent {
			a.answer(declines("a breach"))
		}
		p := w.append(w.warrant())
		n := w.until(name+" short", func(n *round.Round) bool {
			got := kinds(t, n)
			return n.Size > p.Index && !slices.ContainsFunc(all, func(a *auditor) bool {
				return slices.Contains(silent, a) != (got[a.name] == round.Refused) || !slices.Contains(silent, a) && got[a.name] != round.Cosigned
			})
		})
		if cp, err := w.audited(); err != nil || n.State == round.Met || cp.Size > p.Index {
			t.Errorf("%s are short, the others cosigned, and the round is %s: %v", name, n.State, err)
		}
		silent[0].answer(nil) // the smallest set that suffices
		w.vouched(p.Index + 1)
		for _, a := range silent {
			a.answer(nil)
		}
	}
}

// TestAuditCatchUp checks that auditors that are catching up are asked again for the same
// head, which stays named.
func TestAuditCatchUp(t *testing.T) {
	t.Parallel()
	w, list := auditWorld(t)
	for _, a := range list {
		a.answer(declines("catching up"))
	}
	w.start()
	p := w.append(w.warrant())
	first := w.until("named", func(n *round.Round) bool { return kinds(t, n)["dog"] == round.Refused })
	if p.Index < first.Size {
		t.Log("the head with the warrant is named")
	}
	asked := list[0].asked()
	eventually(t, func() error {
		if list[0].asked() < asked+2 {
			return errors.New("it is not asked again")
		}
		return nil
	})
	if n, err := w.round(); err != nil || n.Size != first.Size || !n.Named.Equal(first.Named) || n.State != round.Open {
		t.Fatalf("the head does not stay named: %v", err)
	}
	for _, a := range list {
		a.answer(nil)
	}
	w.vouched(p.Index + 1)
}

// TestAuditFaults checks that auditors that hang, lie or never stop talking delay no
// publication, and that two honest ones of three suffice.
func TestAuditFaults(t *testing.T) {
	t.Parallel()
	for name, lies := range map[string]func(*auditor) lie{
		"hangs": func(*auditor) lie { return hang },
		"endless": func(*auditor) lie {
			return func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
				for r.Context().Err() == nil {
					if _, err := rw.Write(bytes.Repeat([]byte("x"), 4096)); err != nil {
						return
					}
				}
			}
		},
		"trickles": func(*auditor) lie {
			return func(rw http.ResponseWriter, r *http.Request, _ http.Handler) {
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for r.Context().Err() == nil {
					<-tick.C
					io.WriteString(rw, "—")
					rw.(http.Flusher).Flush()
				}
			}
		},
		"old time":    func(a *auditor) lie { return a.at(func() time.Time { return time.Now().Add(-time.Hour) }) },
		"future time": func(a *auditor) lie { return a.at(func() time.Time { return time.Now().Add(time.Hour) }) },
		"other root": func(a *auditor) lie {
			return func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
				sig, err := a.keys[0].Sign(&tlog.Head{Origin: origin, Size: 1}, uint64(time.Now().Unix()))
				if err != nil {
					t.Error(err)
				}
				rw.Write(tlog.SignatureLines([]tlog.Signature{sig}))
			}
		},
		"ahead": func(*auditor) lie {
			return func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
				rw.WriteHeader(http.StatusConflict)
				io.WriteString(rw, "999\n")
			}
		},
		"conflict": func(*auditor) lie {
			return func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) { rw.WriteHeader(422) }
		},
		"no bars": func(*auditor) lie { return declines("x", `{}`, `7`) },
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			w, list := auditWorld(t)
			list[0].answer(lies(list[0]))
			w.start()
			w.vouched(1)
			cp := w.vouched(w.append(w.warrant()).Index + 1)
			for _, key := range list[0].keys {
				if cp.Find(key.Verifier()) != nil {
					t.Error("a line of the liar is in the audited checkpoint")
				}
			}
			list[1].answer(lies(list[1]))
			size := w.append(w.warrant()).Index
			w.until("open", func(n *round.Round) bool { return n.Size > size && kinds(t, n)["cow"] == round.Cosigned })
			// While no quorum of auditors answers, every event is published as before.
			before := failedRounds(w.log)
			for range 10 {
				w.append(w.warrant())
			}
			if n := failedRounds(w.log) - before; n > 0 {
				t.Errorf("%v publications failed", n)
			}
			if cp, err := w.audited(); err != nil || cp.Size > size {
				t.Fatalf("audited without a quorum: %v", err)
			}
			if err := w.log.Err(); err != nil {
				t.Errorf("the log says %v", err)
			}
		})
	}
}

// TestAuditRestart checks that a restart serves the checkpoint that met the policy last,
// though no auditor answers, and that a damaged one or one of another tree is not served.
func TestAuditRestart(t *testing.T) {
	t.Parallel()
	w, list := auditWorld(t)
	w.start()
	p := w.append(w.warrant())
	before := w.vouched(p.Index + 1)
	w.until("met", func(n *round.Round) bool { return n.State == round.Met })
	w.stop()
	for _, a := range list {
		a.answer(down)
	}
	w.start()
	if cp, err := w.audited(); err != nil || !bytes.Equal(cp.Bytes(), before.Bytes()) {
		t.Fatalf("after a restart: %v", err)
	}
	w.append(w.warrant())
	w.until("named", func(n *round.Round) bool { return n.State == round.Open })
	w.stop()
	for _, a := range list {
		a.answer(nil)
	}
	w.start()
	w.vouched(p.Index + 2)
	w.audit()
}

// TestAuditAmendment checks that the round ends with an amendment of the audit policy, and
// that the next head needs the new auditors only. Without auditors there are no rounds.
func TestAuditAmendment(t *testing.T) {
	t.Parallel()
	w, list := auditWorld(t)
	w.start()
	w.vouched(w.append(w.warrant()).Index + 1)
	for _, a := range list {
		a.answer(down)
	}
	w.append(w.warrant())
	w.until("open", func(n *round.Round) bool { return n.State == round.Open })
	next := w.newAuditor("hen")
	env := w.amendment(2, referTo(0, w.founding), w.auditors(1, next))
	at := w.mustSequence(env.Bytes())
	cp := w.vouched(at + 1)
	if cp.Find(next.keys[0].Verifier()) == nil {
		t.Error("the new auditor's line is missing")
	}
	n := w.until("met", func(n *round.Round) bool { return n.State == round.Met })
	if len(n.Auditors) != 2 || n.Auditors[0].Auditor != "hen" {
		t.Errorf("the round is %s", n.Bytes())
	}
	w.published(at + 1)
	last := w.amendment(3, referTo(at, env), func(c *event.Charter) { c.AuditPolicy = "quorum none\n" })
	w.mustSequence(last.Bytes())
	eventually(t, func() error {
		if status, b := w.get("/audit/checkpoint"); status != http.StatusNotFound || !bytes.Contains(b, []byte("asks for no auditors")) {
			return fmt.Errorf("%d: %s", status, b)
		}
		return nil
	})
	w.stop()
	w.start()
	w.append(w.warrant())
	if status, _ := w.get("/audit/round"); status != http.StatusNotFound {
		t.Errorf("without auditors there is a round: %d", status)
	}
	w.audit()
}

// TestAuditIdle checks that an idle log names its head again, so that the cosignatures of
// auditors do not get old, and that a round that is not met ends with its time.
func TestAuditIdle(t *testing.T) {
	t.Parallel()
	w := prepareWorld(t, 1, 1)
	w.profile.Round, w.profile.Stale = 1, 4
	a := w.newAuditor("dog")
	w.extra = w.auditors(1, a)
	w.config.Refresh = 500 * time.Millisecond
	w.create()
	w.start()
	first := w.vouched(1)
	eventually(t, func() error {
		if cp := w.vouched(1); cp.Size != 1 || bytes.Equal(cp.Bytes(), first.Bytes()) {
			return errors.New("the audited checkpoint is the same")
		}
		return nil
	})
	a.answer(hang)
	n := w.until("open", func(n *round.Round) bool { return n.State == round.Open })
	w.until("named again", func(m *round.Round) bool { return m.Named.After(n.Named) })
	a.answer(nil)
	w.vouched(w.append(w.warrant()).Index + 1)
}
