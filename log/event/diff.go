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
	"strings"
)

// A Change is one value that differs between two charters.
type Change struct {
	Path    string // the value's place, such as "authority court, keys" or "profile.seal.longest"
	Was, Is string // as in a charter file, keys by id or hash; "": none

	// Name is the name by which a gate's operator confirms the change, such as
	// "witness w1.example+0a1b2c3d"; "" if the change is not about trust.
	Name string
	// Groups are the custodian groups whose accesses depend on the change; nil: all.
	Groups []string
}

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
// If a charter is malformed, the only change is one of trust with the error.
func Diff(was, is *Charter) []Change {
	before, err := lines(was)
	after, err2 := lines(is)
	if err = cmp.Or(err, err2); err != nil {
		return []Change{{Path: "charter", Is: err.Error(), Name: "charter"}}
	}
	count := make(map[line]int)
	for _, l := range before {
		count[l]++
	}
	var out []Change
	for _, l := range after {
		if count[l]--; count[l] < 0 {
			out = append(out, Change{Path: l.path, Is: l.value, Name: l.name})
		}
	}
	for l, n := range count {
		for range n {
			out = append(out, Change{Path: l.path, Was: l.value, Name: l.name})
		}
	}
	if was != nil {
		out = append(out, keyOrder(was.LogKeys, is.LogKeys)...)
		slices.SortFunc(out, func(a, b Change) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Name, b.Name), cmp.Compare(b.Was, a.Was), cmp.Compare(a.Is, b.Is))
		})
		out = paired(out)
	}
	for i := range out {
		out[i].concern(was, is)
	}
	return out
}

// paired joins a value that is gone and its only replacement into one change.
func paired(list []Change) []Change {
	var out []Change
	for len(list) > 0 {
		first := list[0]
		n := slices.IndexFunc(list, func(c Change) bool { return c.Path != first.Path || c.Name != first.Name })
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

// concern sets the groups that a change is about. A change of a custodian in no group
// is not about trust.
func (c *Change) concern(charters ...*Charter) {
	if id, ok := strings.CutPrefix(c.Name, "group "); ok {
		c.Groups = []string{id}
	}
	name, ok := strings.CutPrefix(c.Name, "custodian ")
	if !ok {
		return
	}
	for _, ch := range charters {
		if ch != nil {
			c.Groups = append(c.Groups, ch.GroupsOf(name)...)
		}
	}
	slices.Sort(c.Groups)
	if c.Groups = slices.Compact(c.Groups); len(c.Groups) == 0 {
		c.Name = ""
	}
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
		return []Change{{Path: "log keys", Was: a, Is: b}}
	}
	return nil
}

// A line is one value of a charter.
type line struct{ path, value, name string }

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
	add := func(path, value, name string) { out = append(out, line{path, value, name}) }
	for _, k := range ch.LogKeys {
		add("log keys", Shorten(k), "log key "+keyName(k))
	}
	for i, o := range body["parties"].([]any) {
		ch.Parties[i].lines(o.(map[string]any), add)
	}
	for _, g := range ch.Groups {
		label := "group " + g.ID
		add(label+", members", strings.Join(g.Members, " "), label)
		add(label+", threshold", fmt.Sprint(g.Threshold), label)
	}
	flatten("thresholds", body["thresholds"], func(path, value string) { add(path, value, "thresholds") })
	for _, v := range ch.Void {
		add("void", fmt.Sprintf("key %s from entry %d on", v.Key, v.From), "")
	}
	for l := range strings.Lines(ch.WitnessPolicy) {
		add("witness policy", Shorten(strings.TrimSuffix(l, "\n")), policyName("witness", l))
	}
	for l := range strings.Lines(ch.AuditPolicy) {
		add("audit policy", Shorten(strings.TrimSuffix(l, "\n")), policyName("auditor", l))
	}
	for _, done := range []string{"version", "prev", "logKeys", "witnessPolicy", "auditPolicy", "void", "groups", "parties", "thresholds"} {
		delete(body, done)
	}
	flatten("", body, func(path, value string) { add(path, value, "") })
	return out, nil
}

// lines lists the values of a party with the members o. The keys of founders,
// custodians and auditors are trusted.
func (p *Party) lines(o map[string]any, add func(path, value, name string)) {
	label := string(p.Role) + " " + p.Name
	delete(o, "name")
	delete(o, "role")
	for _, k := range p.Keys {
		add(label+", keys", k.KeyID(), p.trusted(label))
	}
	delete(o, "keys")
	for _, member := range slices.Sorted(maps.Keys(o)) {
		name := ""
		if member == "cosigners" || member == "gates" {
			name = p.trusted(label)
		}
		flatten(label+", "+member, o[member], func(path, value string) { add(path, value, name) })
	}
}

func (p *Party) trusted(label string) string {
	if p.Role == RoleCharter || p.Role == RoleCustodian || p.Role == RoleAuditor {
		return label
	}
	return ""
}

// flatten visits the values of JSON. The path of a list element has the element's
// identifying member, that of a step its number.
func flatten(path string, v any, leaf func(path, value string)) {
	at := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	switch v := v.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			flatten(at(name), v[name], leaf)
		}
	case []any:
		for i, element := range v {
			o, _ := element.(map[string]any)
			switch {
			case o == nil:
				flatten(path, element, leaf)
			case o["code"] != nil: // an instrument, whose existence is a value too
				path := at(fmt.Sprint(o["code"]))
				leaf(path, "yes")
				delete(o, "code")
				flatten(path, o, leaf)
			case o["kem"] != nil:
				leaf(path, Shorten(fmt.Sprint(o["kem"], " ", o["public"])))
			case o["law"] != nil:
				leaf(path, fmt.Sprint(o["figure"], ": ", o["law"]))
			default:
				flatten(at(fmt.Sprint(i)), element, leaf)
			}
		}
	default:
		leaf(path, Shorten(fmt.Sprint(v)))
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

// policyName returns the Change.Name of a policy's line.
func policyName(who, line string) string {
	if words := strings.Fields(line); len(words) > 2 && words[0] == "witness" {
		return who + " " + keyName(words[2])
	}
	return who + " policy"
}
