// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package people makes the keys and the first charter of a log for tests and the demo: the
// event keys of its parties, the note keys of log, witnesses and auditors, a profile, and
// signed events.
//
// Names choose keys: the first use of a name makes its key. Functions that sign or make an
// event return an error if the event is malformed. All others can't fail; they panic on a
// name that no key can have.
package people

import (
	"cmp"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// People hold the keys of a log and its parties. They are safe for concurrent use.
type People struct {
	Origin string // of the log
	seed   []byte

	mu     sync.Mutex
	events map[string]*eventKey
	notes  map[string]*tlog.Signer     // by label
	ids    map[string]*event.PublicKey // of events, by key id
}

type eventKey struct {
	event.Signer
	private ed25519.PrivateKey
}

// New returns the people of a log. Their keys are derived from seed, so that one seed gives
// the same keys in every run; if seed is "", from a random one.
func New(origin, seed string) *People {
	if seed == "" {
		seed = rand.Text()
	}
	return &People{Origin: origin, seed: []byte(seed), events: make(map[string]*eventKey), notes: make(map[string]*tlog.Signer),
		ids: make(map[string]*event.PublicKey)}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// derive returns the secret of a label.
func (p *People) derive(label string) [32]byte {
	return [32]byte(must(hkdf.Key(sha256.New, p.seed, nil, "vasistas people "+label, 32)))
}

func (p *People) key(name string) *eventKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.events[name]
	if k == nil {
		seed := p.derive("event key " + name)
		k = &eventKey{private: ed25519.NewKeyFromSeed(seed[:])}
		k.Signer = must(event.NewSigner(k.private))
		p.events[name], p.ids[k.KeyID()] = k, k.Public()
	}
	return k
}

// Signer returns the event key of a name.
func (p *People) Signer(name string) event.Signer { return p.key(name).Signer }

// Public returns the public half of the event key of a name.
func (p *People) Public(name string) *event.PublicKey { return p.key(name).Public() }

// KeyID returns the id of the event key of a name.
func (p *People) KeyID(name string) string { return p.key(name).KeyID() }

// PEM returns the private half of the event key of a name as a PKCS #8 file, which eventkey loads.
func (p *People) PEM(name string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(p.key(name).private))})
}

// Lookup returns the event key of an id if it was made, else nil, as Envelope.Verify and
// verify.Options want it.
func (p *People) Lookup(id string) *event.PublicKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ids[id]
}

// Note returns the note key of a name. It can be used under several algorithms.
func (p *People) Note(name string, a tlog.Algorithm) *tlog.Signer {
	p.mu.Lock()
	defer p.mu.Unlock()
	label := fmt.Sprintf("note key %d %s", a, name)
	if p.notes[label] == nil {
		p.notes[label] = must(tlog.NewSigner(name, a, p.derive(label)))
	}
	return p.notes[label]
}

// Log returns the log's Ed25519 key.
func (p *People) Log() *tlog.Signer { return p.Note(p.Origin, tlog.Ed25519) }

// Witness returns the Ed25519 key that cosigns for a witness or an auditor. The key's name
// is the given one with ".example" after it.
func (p *People) Witness(name string) *tlog.Signer {
	return p.Note(name+".example", tlog.CosignatureEd25519)
}

// Gate returns a gate's X25519 key, whose private half is not kept.
func (p *People) Gate(name string) event.HPKEKey {
	seed := p.derive("gate key " + name)
	return event.HPKEKey{KEM: event.KEMX25519, Public: must(ecdh.X25519().NewPrivateKey(seed[:])).PublicKey().Bytes()}
}

// Checkpoint returns a head with the line of the log's Ed25519 key and the cosignatures of these
// witnesses of a time, in POSIX seconds.
func (p *People) Checkpoint(h tlog.Head, time uint64, witnesses ...string) (*tlog.Checkpoint, error) {
	signers := []*tlog.Signer{p.Log()}
	for _, w := range witnesses {
		signers = append(signers, p.Witness(w))
	}
	return Cosign(h, time, signers...)
}

// Cosign returns a head with a line of each key, of a time in POSIX seconds.
func Cosign(h tlog.Head, time uint64, signers ...*tlog.Signer) (*tlog.Checkpoint, error) {
	lines, err := cosigning.Cosign(signers, &h, time)
	if err != nil {
		return nil, err
	}
	return &tlog.Checkpoint{Head: h, Signatures: lines}, nil
}

// Event returns an event of this log that claims a time.
func (p *People) Event(at time.Time, body event.Body) (*event.Event, error) {
	e, err := event.New(p.Origin, body)
	if err != nil {
		return nil, fmt.Errorf("%T: %w", body, err)
	}
	e.Time = at.UTC().Truncate(time.Second)
	return e, nil
}

// Sign signs an event with the keys of these names. Unlike event.Sign it verifies no signature,
// which would take most of the time that a large log takes to write.
func (p *People) Sign(e *event.Event, by ...string) (*event.Envelope, error) {
	payload, err := e.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%T: %w", e.Body, err)
	}
	env := &event.Envelope{Event: e, Payload: payload}
	for _, name := range by {
		k := p.key(name)
		env.Signatures = append(env.Signatures, event.Signature{KeyID: k.KeyID(), Sig: ed25519.Sign(k.private, event.AppendPAE(nil, event.PayloadType, payload))})
	}
	slices.SortFunc(env.Signatures, func(a, b event.Signature) int { return cmp.Compare(a.KeyID, b.KeyID) })
	return env, nil
}

// Signed makes an event of a time and signs it.
func (p *People) Signed(at time.Time, body event.Body, by ...string) (*event.Envelope, error) {
	e, err := p.Event(at, body)
	if err != nil {
		return nil, err
	}
	return p.Sign(e, by...)
}

// Seconds.
const (
	Minute = 60
	Hour   = 60 * Minute
	Day    = 24 * Hour
)

// Charter returns a first charter, which edit, unless nil, has changed. Its parties are
// f1 to f3 (founders: 2 amend, 3 recover), court (an authority, with the duty key "duty"),
// messenger (provider), c1 to c3 (custodians of the group main, of which 2 open) and a1, a2
// (auditors). Its policies ask for 3 of the witnesses w1 to w4 and for both auditors.
func (p *People) Charter(edit func(*event.Charter)) *event.Charter {
	c := &event.Charter{Version: 1, Rules: 2, LogKeys: []string{p.Log().Verifier().String()}, Profile: Profile(),
		WitnessPolicy: p.Policy(3, "w1", "w2", "w3", "w4")}
	p.Cast(c, event.RoleCharter, "f1", "f2", "f3")
	p.Cast(c, event.RoleAuthority, "court")
	p.Cast(c, event.RoleProvider, "messenger")
	p.Cast(c, event.RoleCustodian, "c1", "c2", "c3")
	p.Cast(c, event.RoleAuditor, "a1", "a2")
	c.Parties = append(c.Parties, p.Party(event.RoleDuty, "court", "duty"))
	if edit != nil {
		edit(c)
	}
	return c
}

// Cast makes these names the parties of a role, in place of those that c has. Whatever
// counts the parties then asks for more than half of them: amendments, the group main of the
// custodians, the policy of the auditors. All founders recover.
func (p *People) Cast(c *event.Charter, role event.Role, names ...string) {
	c.Parties = slices.DeleteFunc(slices.Clone(c.Parties), func(p event.Party) bool { return p.Role == role })
	for _, n := range names {
		c.Parties = append(c.Parties, p.Party(role, n))
	}
	most := len(names)/2 + 1
	switch role {
	case event.RoleCharter:
		c.Thresholds = event.Thresholds{Amend: uint64(most), Recover: uint64(len(names))}
	case event.RoleCustodian:
		c.Groups = []event.Group{{ID: "main", Threshold: uint64(most), Members: names}}
	case event.RoleAuditor:
		c.AuditPolicy = p.Policy(min(most, len(names)), names...)
	}
}

// Party returns a party with the event keys of these names; without names, with that of its
// own. An authority is a court, an auditor cosigns, and a custodian has the key that Gate
// returns.
func (p *People) Party(role event.Role, name string, keys ...string) event.Party {
	if len(keys) == 0 {
		keys = []string{name}
	}
	out := event.Party{Name: name, Role: role}
	for _, k := range keys {
		out.Keys = append(out.Keys, p.Public(k))
	}
	switch role {
	case event.RoleAuthority:
		out.Kind = "court"
	case event.RoleCustodian:
		out.Gates = []event.HPKEKey{p.Gate(name)}
	case event.RoleAuditor:
		out.Cosigners = []string{p.Witness(name).Verifier().String()}
	}
	return out
}

// Policy returns the text of a policy that k of the witnesses meet, without a log line.
func (p *People) Policy(k int, witnesses ...string) string {
	var list []Witness
	for _, n := range witnesses {
		list = append(list, Witness{Name: n, Keys: []*tlog.VerifierKey{p.Witness(n).Verifier()}})
	}
	return Policy(k, list...)
}

// ParsePolicy returns the policy of the log's Ed25519 key and k of the witnesses.
func (p *People) ParsePolicy(k int, witnesses ...string) *tlog.Policy {
	return must(tlog.ParsePolicy([]byte("log " + p.Log().Verifier().String() + "\n" + p.Policy(k, witnesses...))))
}

// Witness is a witness as a policy names it.
type Witness struct {
	Name string
	URL  string // "": the policy does not say it
	Keys []*tlog.VerifierKey
}

var suffixes = map[tlog.Algorithm]string{tlog.CosignatureEd25519: "ed25519", tlog.CosignatureMLDSA44: "mldsa44"}

// Policy returns the text of a policy that k of the witnesses meet; if k is 0, one without a
// quorum that names them. The keys of one witness count once.
func Policy(k int, witnesses ...Witness) string {
	var b strings.Builder
	members := writeWitnesses(&b, k > 0, witnesses)
	if k == 0 {
		return b.String() + "quorum none\n"
	}
	return b.String() + quorum(k, members)
}

// Group is witnesses of which K must cosign for the group.
type Group struct {
	Name    string
	K       int
	Members []Witness
}

// Nested returns the text of a policy that k of the groups meet.
func Nested(k int, groups ...Group) string {
	var b strings.Builder
	var names []string
	for _, g := range groups {
		members := writeWitnesses(&b, true, g.Members)
		fmt.Fprintf(&b, "group %s %d %s\n", g.Name, g.K, strings.Join(members, " "))
		names = append(names, g.Name)
	}
	return b.String() + quorum(k, names)
}

func quorum(k int, members []string) string {
	return fmt.Sprintf("group quorate %d %s\nquorum quorate\n", k, strings.Join(members, " "))
}

// writeWitnesses writes the lines of witnesses and returns their names. If count is set, the keys
// of one witness are a group of its name.
func writeWitnesses(b *strings.Builder, count bool, witnesses []Witness) (members []string) {
	for _, w := range witnesses {
		members = append(members, w.Name)
		var names []string
		for _, key := range w.Keys {
			name := w.Name
			if len(w.Keys) > 1 {
				name = w.Name + "-" + suffixes[key.Algorithm]
			}
			names = append(names, name)
			b.WriteString(strings.TrimRight(fmt.Sprintf("witness %s %s %s", name, key, w.URL), " ") + "\n")
		}
		if len(names) > 1 && count {
			fmt.Fprintf(b, "group %s any %s\n", w.Name, strings.Join(names, " "))
		}
	}
	return members
}

// Profile returns a profile with short deadlines, for logs whose time the test sets.
func Profile() event.Profile {
	return event.Profile{
		ID: "test", AccessLife: Day, Publication: 10, Inclusion: Hour, Lag: 7 * Day, Skew: Minute, Stale: Hour,
		Spread: 30, WitnessTimeout: 10, Round: 10 * Minute, Budget: event.Budget{Events: 1000, Interval: Day},
		Unfulfilled: 30 * Day, DisclosureGrace: Day,
		Anchor: event.Deadline{Within: Day, Grace: Hour}, Heartbeat: event.Deadline{Within: 60 * Day, Grace: Day},
		MissingRelease: event.Deadline{Within: Day, Grace: Hour}, Return: event.Deadline{Within: 30 * Day, Grace: Day},
		Seal:        event.SealLimit{Default: 30 * Day, Longest: 180 * Day},
		Deferral:    event.DeferralLimit{Steps: []event.Step{{Signatures: 1, Longest: 90 * Day}}, Total: 150 * Day},
		Instruments: []event.Instrument{{Code: "search", Window: 120 * Day}},
		Offences:    []string{"fraud"}, Grounds: []string{"investigation"}, Reasons: []string{"ended"},
		Bars: []string{"anchor", "disclosure", "missing-release"},
	}
}

// LongProfile returns a profile under which nothing gets overdue while a test runs, for logs
// that live by the clock. It allows emergencies, and has every reason that gates give.
func LongProfile() event.Profile {
	p := Profile()
	within := event.Deadline{Within: 30 * Day, Grace: Day}
	p.Publication, p.Deferral.Total = 1, 0
	p.Anchor = event.Deadline{Within: 30 * Day, Grace: Hour}
	p.Heartbeat, p.MissingRelease, p.Return = within, within, within
	p.Emergency = &event.Emergency{Open: 8, Accounts: 2, Decision: within, Grounds: []string{"life"}}
	p.Reasons = []string{"account-mismatch", "breach-open", "ended", "expired", "limits-exceeded", "openings-mismatch", "overdue-bars",
		"package-mismatch", "recipient-mismatch", "revoked", "suspended", "unreadable"}
	p.Categories, p.NonExecution = []string{"content", "traffic"}, []string{"data-not-held", "immunity"}
	p.Bars = []string{"anchor", "disclosure", "emergency", "missing-release"}
	return p
}

// Forms amends a charter so that warrants can say what the law's forms say. It adds categories
// of data, grounds of responses, two instruments and two authorities. The court signs the
// instrument "order", for content and traffic data; the prosecutor signs it only together with
// the court. The instrument "preservation" bears no accesses. The enforcer enforces the
// warrants of court and prosecutor.
func (p *People) Forms(c *event.Charter) {
	c.Profile.Categories = []string{"content", "subscriber", "traffic"}
	c.Profile.NonExecution = []string{"data-not-held", "immunity"}
	c.Profile.Instruments = slices.Concat(c.Profile.Instruments, []event.Instrument{
		{Code: "order", Window: 120 * Day, Category: "content", With: []string{"traffic"}, Issuers: []string{"court"},
			Validated: []string{"prosecutor"}, Validators: []string{"court"}},
		{Code: "preservation", Window: 120 * Day, Preserves: true}})
	prosecutor, enforcer := p.Party(event.RoleAuthority, "prosecutor"), p.Party(event.RoleAuthority, "enforcer")
	prosecutor.Kind, enforcer.Kind, enforcer.Enforces = "prosecutor", "enforcing", []string{"court", "prosecutor"}
	c.Parties = slices.Concat(c.Parties, []event.Party{prosecutor, enforcer})
}
