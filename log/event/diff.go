// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vasistas/vasistas/log/tlog"
)

// A Change is one value that differs between two charters.
type Change struct {
	Path    string // the value's place, such as "authority court, keys" or "profile.seal.longest"
	Was, Is string // as in a charter file, keys by id or hash; "": none

	// Means says in words what follows from the change; "" if the value says it.
	Means string

	// Direction is where the change goes; "" if it changes neither who is trusted nor
	// what is demanded.
	Direction Direction
	// Confirm is set if a gate's operator must confirm the change: every change of who is
	// trusted, and every other one that weakens what is demanded.
	Confirm bool
}

// A Direction says whether a change weakens what a charter demands.
type Direction string

// Directions of changes.
const (
	Weaker   Direction = "weaker"
	Stronger Direction = "stronger"
	Either   Direction = "either way" // a replaced key, or a figure without a stated direction
)

// A weakening says which changes of a value make it weaker. The zero value has no stated
// direction: every change may weaken.
type weakening uint8

const (
	_       weakening = iota
	free              // no change of it concerns trust
	more              // a larger number is weaker
	less              // a smaller number is weaker
	added             // a new value is weaker, one that is gone stronger
	removed           // a value that is gone is weaker, a new one stronger
)

// weakenings has the values with a stated direction, by line.kind.
var weakenings = map[string]weakening{
	"authority, above": added, "authority, enforces": removed, "authority, keys": added, "charter, keys": added, "duty, keys": added, "provider, keys": free,
	"group, threshold": less, "log keys": added, "thresholds.amend": less, "thresholds.recover": less, "void": removed,

	"profile.accessLife": more, "profile.anchor.grace": more, "profile.anchor.within": more, "profile.bars": removed,
	"profile.deferral.never.after": less, "profile.deferral.never.signatures": less,
	"profile.deferral.steps.*.after": more, "profile.deferral.steps.*.longest": more, "profile.deferral.steps.*.signatures": less,
	"profile.deferral.total": more, "profile.disclosureGrace": more,
	"profile.emergency.accounts": more, "profile.emergency.categories": added, "profile.emergency.decision.grace": more, "profile.emergency.decision.within": more,
	"profile.emergency.grounds": added, "profile.emergency.open": more, "profile.grounds": added,
	"profile.heartbeat.grace": more, "profile.heartbeat.within": more, "profile.id": free, "profile.inclusion": more,
	"profile.categories": free, "profile.instruments.*": added, "profile.instruments.*.window": more,
	"profile.instruments.*.issuers": added, "profile.instruments.*.validators": added,
	"profile.instruments.*.with": added, "profile.lag": more, "profile.nonExecution": removed,
	"profile.missingRelease.grace": more, "profile.missingRelease.within": more, "profile.offences": free,
	"profile.publication": more, "profile.reasons": removed, "profile.return.grace": more, "profile.return.within": more,
	"profile.round": more, "profile.seal.default": more, "profile.seal.longest": more, "profile.skew": more, "profile.sources": free,
	"profile.spread": more, "profile.stale": more, "profile.unfulfilled": more,

	forkLiars: less, silentKeys: less, timeLiars: less,
}

// noLimit is the value of an absent member whose absence allows most. Its space keeps it apart
// from every code.
const noLimit = "no limit"

// limits has the members whose absence is noLimit, by the line.kind of their object.
var limits = map[string][]string{
	"profile": {"categories"}, "profile.emergency": {"categories"},
	"profile.instruments.*": {"category", "issuers", "preserves"},
	"profile.deferral":      {"total"}, "profile.deferral.never": {"kinds"}, "profile.deferral.steps.*": {"kinds"},
}

// likeProfile returns the kind of the profile's limit that an instrument's own limit replaces;
// other kinds as they are.
func likeProfile(kind string) string {
	return strings.Replace(kind, "profile.instruments.*.", "profile.", 1)
}

// Kinds of the lines that measure a policy: see [tlog.Strength].
const (
	forkLiars  = ", liars that a fork needs"
	silentKeys = ", silent members that stop it"
	timeLiars  = ", liars that false times need"
)

// String describes the change.
func (c *Change) String() string {
	switch {
	case c.Was == "":
		return fmt.Sprintf("%s: %s is new", c.Path, c.Is)
	case c.Is == "":
		return fmt.Sprintf("%s: %s is gone", c.Path, c.Was)
	}
	return fmt.Sprintf("%s: %s, and was %s", c.Path, c.Is, c.Was)
}

// Diff lists every difference between two charters except version, prev and the
// order of a policy's lines. It compares the values of the charter files, so it
// misses no member. was may be nil: then all values are new, in the charter's order.
// If a charter is malformed, the only change is the error, which is to be confirmed.
func Diff(was, is *Charter) []Change {
	before, err := lines(was)
	after, err2 := lines(is)
	if err = cmp.Or(err, err2); err != nil {
		return []Change{{Path: "charter", Is: err.Error(), Direction: Either, Confirm: true}}
	}
	count := make(map[line]int)
	for _, l := range before {
		count[l]++
	}
	var list []difference
	for _, l := range after {
		if count[l]--; count[l] < 0 && (was != nil || l.value != noLimit) {
			list = append(list, difference{l.kind, Change{Path: l.path, Is: l.value}})
		}
	}
	for l, n := range count {
		for range n {
			list = append(list, difference{l.kind, Change{Path: l.path, Was: l.value}})
		}
	}
	if was != nil {
		slices.SortFunc(list, func(a, b difference) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.kind, b.kind), cmp.Compare(b.Was, a.Was), cmp.Compare(a.Is, b.Is))
		})
		list = paired(list)
	}
	var out []Change
	for _, c := range list {
		c.direct(c.kind)
		if was != nil {
			c.mean(c.kind, was, is)
		}
		out = append(out, c.Change)
	}
	if was != nil {
		out = append(out, keyOrder(was.LogKeys, is.LogKeys)...)
	}
	return out
}

// A difference is a change with the kind of its lines. Lines of two kinds may have one path,
// since the codes of instruments may have dots.
type difference struct {
	kind string
	Change
}

// paired joins a value that is gone and its only replacement into one change.
func paired(list []difference) []difference {
	var out []difference
	for len(list) > 0 {
		first := list[0]
		n := slices.IndexFunc(list, func(c difference) bool { return c.Path != first.Path || c.kind != first.kind })
		if n < 0 {
			n = len(list)
		}
		if n == 2 && first.Is == "" && list[1].Was == "" {
			first.Is = list[1].Is
			out = append(out, first)
		} else {
			out = append(out, list[:n]...)
		}
		list = list[n:]
	}
	return out
}

// signing has the members of a profile that say which kinds of authorities sign.
var signing = []string{"issuers", "kinds", "validated", "validators"}

// direct sets the direction of a change of a value of this kind.
func (c *Change) direct(kind string) {
	w := cmp.Or(weakenings[kind], weakenings[likeProfile(kind)])
	limit := c.Was == noLimit || c.Is == noLimit
	if w == free && !limit {
		return
	}
	weaker, stronger := false, false
	switch was, is := number(c.Was), number(c.Is); {
	case limit:
		weaker, stronger = c.Is == noLimit, c.Was == noLimit
	case w == added || w == removed:
		weaker = w == added && c.Was == "" || w == removed && c.Is == ""
		stronger = w == added && c.Is == "" || w == removed && c.Was == ""
	case w != 0 && was != nil && is != nil:
		weaker = (w == more) == (*is > *was)
		stronger = !weaker
	}
	switch {
	case weaker:
		c.Direction = Weaker
	case stronger:
		c.Direction = Stronger
	default:
		c.Direction = Either
	}
	trust := !strings.HasPrefix(kind, "profile.") || slices.Contains(signing, kind[strings.LastIndexByte(kind, '.')+1:])
	c.Confirm = c.Direction != Stronger || trust
}

// number returns a duration or a number of a charter file, nil if s is neither.
func number(s string) *uint64 {
	n, err := ParseDuration(s)
	if err != nil {
		n, err = strconv.ParseUint(s, 10, 64)
	}
	if err != nil {
		return nil
	}
	return &n
}

// keyOrder returns a change if the keys that a log keeps stand in another order.
func keyOrder(was, is []string) []Change {
	order := func(a, b []string) string {
		var names []string
		for _, k := range a {
			if slices.Contains(b, k) {
				names = append(names, keyName(k))
			}
		}
		return "in the order " + strings.Join(names, " ")
	}
	if a, b := order(was, is), order(is, was); a != b {
		return []Change{{Path: "log keys", Was: a, Is: b}} // which key stands first decides nothing
	}
	return nil
}

// A line is one value of a charter. Its kind is its path without names and numbers.
type line struct{ path, kind, value string }

// lines lists a charter's values.
func lines(ch *Charter) ([]line, error) {
	if ch == nil {
		return nil, nil
	}
	text, err := printFile(ch.fields)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&body); err != nil {
		return nil, err
	}
	var out []line
	add := func(path, kind, value string) { out = append(out, line{path, kind, value}) }
	for _, k := range ch.LogKeys {
		add("log keys", "log keys", Shorten(k))
	}
	for i, o := range body["parties"].([]any) {
		ch.Parties[i].lines(o.(map[string]any), add)
	}
	for _, g := range ch.Groups {
		add("group "+g.ID+", members", "group, members", strings.Join(g.Members, " "))
		add("group "+g.ID+", threshold", "group, threshold", fmt.Sprint(g.Threshold))
	}
	flatten("thresholds", "thresholds", body["thresholds"], add)
	for _, v := range ch.Void {
		add("void", "void", fmt.Sprintf("key %s from entry %d on", v.Key, v.From))
	}
	ch.policyLines("witness policy", ch.WitnessPolicy, add)
	ch.policyLines("audit policy", ch.AuditPolicy, add)
	for _, done := range []string{"version", "prev", "logKeys", "witnessPolicy", "auditPolicy", "void", "groups", "parties", "thresholds"} {
		delete(body, done)
	}
	flatten("", "", body, add)
	return out, nil
}

// policyLines lists the lines of a policy, and how strong it is.
func (ch *Charter) policyLines(path, text string, add func(path, kind, value string)) {
	for l := range strings.Lines(text) {
		add(path, path, Shorten(strings.TrimSuffix(l, "\n")))
	}
	p, err := tlog.ParsePolicy([]byte(ch.PolicyFile(text)))
	if err != nil {
		return // the rules refuse it
	}
	s := p.Strength()
	add(path+forkLiars, forkLiars, fmt.Sprint(s.Fork))
	add(path+silentKeys, silentKeys, fmt.Sprint(s.Silence))
	add(path+timeLiars, timeLiars, fmt.Sprint(s.Time))
}

// lines lists the values of a party with the members o.
func (p *Party) lines(o map[string]any, add func(path, kind, value string)) {
	label := string(p.Role) + " " + p.Name
	delete(o, "name")
	delete(o, "role")
	for _, k := range p.Keys {
		add(label+", keys", string(p.Role)+", keys", k.KeyID())
	}
	delete(o, "keys")
	for _, member := range slices.Sorted(maps.Keys(o)) {
		flatten(label+", "+member, string(p.Role)+", "+member, o[member], add)
	}
}

// flatten visits the values of JSON. The path of a list element has the element's
// identifying member, that of a step its number; its kind has * there.
func flatten(path, kind string, v any, leaf func(path, kind, value string)) {
	at := func(path, name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			flatten(at(path, name), at(kind, name), v[name], leaf)
		}
		for _, name := range limits[likeProfile(kind)] {
			if v[name] == nil && (name != "issuers" || v["validated"] == nil) {
				leaf(at(path, name), at(kind, name), noLimit)
			}
		}
	case []any:
		for i, element := range v {
			o, _ := element.(map[string]any)
			switch {
			case o == nil:
				flatten(path, kind, element, leaf)
			case o["code"] != nil: // an instrument, whose existence is a value too
				path, kind := at(path, fmt.Sprint(o["code"])), at(kind, "*")
				leaf(path, kind, "yes")
				delete(o, "code")
				flatten(path, kind, o, leaf)
			case o["kem"] != nil:
				leaf(path, kind, Shorten(fmt.Sprint(o["kem"], " ", o["public"])))
			case o["law"] != nil:
				leaf(path, kind, fmt.Sprint(o["figure"], ": ", o["law"]))
			default:
				flatten(at(path, fmt.Sprint(i)), at(kind, "*"), element, leaf)
			}
		}
	default:
		leaf(path, kind, Shorten(fmt.Sprint(v)))
	}
}

// Shorten replaces words that are too long for a person to compare, such as an
// ML-DSA key, by their SHA-256.
func Shorten(s string) string {
	words := strings.Split(s, " ")
	for i, w := range words {
		if len(w) > 400 {
			h := sha256.Sum256([]byte(w))
			name, _, _ := strings.Cut(w, "+")
			if len(name) > 255 {
				name = ""
			}
			words[i] = name + "(SHA-256 " + hex.EncodeToString(h[:]) + ")"
		}
	}
	return strings.Join(words, " ")
}

// keyName shortens a verifier key to its name and hash.
func keyName(vkey string) string {
	name, rest, _ := strings.Cut(vkey, "+")
	hash, _, _ := strings.Cut(rest, "+")
	return name + "+" + hash
}

// meanings says, by line.kind, what follows from a new value and from one that is gone.
var meanings = map[string][2]string{
	"log keys":        {"heads count if the new key signs them", "heads that only the old key signs count no more"},
	"charter, keys":   {"the new key may sign amendments", "the old key signs no more amendments"},
	"authority, keys": {"the new key may sign warrants", "later warrants of the old key have no effect"},
	"duty, keys":      {"the new key may sign emergencies", "later emergencies of the old key have no effect"},
	"provider, keys":  {"the new key may sign accesses", "later accesses of the old key have no effect"},
	"auditor, keys":   {"the new key may close breaches", "later findings of the old key have no effect"},
	"custodian, keys": {"a new chain of releases begins with the new key", "the old key answers no more accesses"},
	"custodian, gates": {"new files are escrowed to the new key",
		"files escrowed before open with this custodian's share only while its gate keeps the file of the old key"},
	"void":           {"what this key signed from that entry on counts no more", "what this key signed counts again"},
	"witness policy": {"the new line decides which heads count", "the old line no longer decides which heads count"},
	"audit policy":   {"the new line decides under which heads gates open", "the old line no longer decides under which heads gates open"},
}

// mean sets what follows from a change of a value of this kind.
func (c *Change) mean(kind string, was, is *Charter) {
	m := meanings[kind]
	switch {
	case strings.HasPrefix(kind, "group, "):
		id, _, _ := strings.Cut(strings.TrimPrefix(c.Path, "group "), ", ")
		c.Means = means(was.Group(id), is.Group(id))
	case c.Was == "":
		c.Means = m[0]
	case c.Is == "" || m[0] == "":
		c.Means = m[1]
	default:
		c.Means = m[0] + "; " + m[1]
	}
}

// means says what becomes of files that were escrowed to a group.
func means(was, is *Group) string {
	why, left := Abandoned(was, is)
	switch {
	case was == nil:
		return "files can be escrowed to the new group"
	case why != "":
		return "files escrowed to the group before can no longer be opened: " + why
	}
	return fmt.Sprintf("of files escrowed to the group before, %d of %d shares are left, and %d open a file", left, len(was.Members), was.Threshold)
}

// Abandoned returns why an amendment of a custodian group makes the files unopenable that were
// escrowed to it before, "" if it does not, and how many of its custodians stay. A file is bound
// to its group's id, threshold and number of custodians, and to the keys of their gates. was or
// is may be nil: there was or is no such group.
func Abandoned(was, is *Group) (why string, left int) {
	switch {
	case was == nil:
		return "", 0
	case is == nil:
		return "the group is gone", 0
	}
	for _, name := range is.Members {
		if slices.Contains(was.Members, name) {
			left++
		}
	}
	switch {
	case is.Threshold != was.Threshold || len(is.Members) != len(was.Members):
		why = fmt.Sprintf("%d of %d custodians become %d of %d", was.Threshold, len(was.Members), is.Threshold, len(is.Members))
	case uint64(left) < was.Threshold:
		why = fmt.Sprintf("%d of its custodians stay, and a file takes the shares of %d", left, was.Threshold)
	}
	return why, left
}
