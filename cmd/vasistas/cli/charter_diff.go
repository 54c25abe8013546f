// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vasistas/vasistas/log/event"
)

// diffCharters says what a charter changes in another, a line each, - for what
// goes and + for what comes. It compares every value of the canonical JSON, so
// that nothing can be left out: aside from version and prev, which always change,
// only the order of a policy's lines, which decides nothing.
func diffCharters(from, to *event.Event) ([]string, error) {
	was, err := charterLines(from)
	if err != nil {
		return nil, err
	}
	is, err := charterLines(to)
	if err != nil {
		return nil, err
	}
	count := make(map[string]int)
	for _, l := range is {
		count[l]++
	}
	for _, l := range was {
		count[l]--
	}
	var out []string
	for _, l := range slices.Sorted(maps.Keys(count)) {
		switch n := count[l]; {
		case n < 0:
			out = append(out, "- "+l)
		case n > 0:
			out = append(out, "+ "+l)
		}
	}
	// What goes beside what comes in its place.
	slices.SortStableFunc(out, func(a, b string) int {
		return cmp.Or(strings.Compare(subject(a), subject(b)), strings.Compare(b[:1], a[:1]))
	})
	return out, nil
}

func subject(line string) string {
	s, _, _ := strings.Cut(line[2:], ": ")
	return s
}

// charterLines is every value of a charter as a line of text.
func charterLines(ev *event.Event) ([]string, error) {
	payload, err := ev.Bytes()
	if err != nil {
		return nil, err
	}
	var v struct {
		Body map[string]any `json:"body"`
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	delete(v.Body, "version")
	delete(v.Body, "prev")
	var out []string
	flatten("", v.Body, func(path, value string) { out = append(out, path+": "+value) })
	return out, nil
}

// flatten visits the leaves of JSON in order. Elements of lists are called by
// what tells them apart, or by number where the order is what counts.
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
			switch name := elementName(o); {
			case name != "":
				// It may say no more than its name; of an instrument, the
				// existence is a decision by itself.
				if len(o) == 0 || lastWord(path) == "instruments" {
					leaf(path, name)
				}
				flatten(at(name), element, leaf)
			case o != nil || slices.Contains(ordered, lastWord(path)):
				flatten(fmt.Sprintf("%s[%d]", path, i), element, leaf)
			default:
				flatten(path, element, leaf)
			}
		}
	case json.Number:
		leaf(path, number(path, v))
	case string:
		for line := range strings.Lines(v) {
			leaf(path, shorten(path, strings.TrimSuffix(line, "\n")))
		}
	default:
		leaf(path, fmt.Sprint(v))
	}
}

// ordered are the lists of strings whose order has a meaning.
var ordered = []string{"logKeys", "members"}

func elementName(o map[string]any) string {
	for _, ids := range [][]string{{"role", "name"}, {"id"}, {"code"}, {"figure", "law"}, {"kem"}, {"key"}} {
		var words []string
		for _, id := range ids {
			if s, ok := o[id].(string); ok {
				words = append(words, s)
			}
		}
		if len(words) == len(ids) {
			for _, id := range ids {
				delete(o, id)
			}
			return strings.Join(words, " ")
		}
	}
	return ""
}

func lastWord(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// shorten names event keys by their id, as all else does, and what is too long
// to compare by its hash: ML-DSA and HPKE keys.
func shorten(path, s string) string {
	if lastWord(path) == "keys" {
		if spki, err := base64.RawURLEncoding.DecodeString(s); err == nil {
			if k, err := event.ParsePublicKey(spki); err == nil {
				return k.KeyID()
			}
		}
	}
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

// counts are the numbers of a profile that are no durations.
var counts = []string{"accounts", "open", "signatures"}

// number writes a profile's durations so that they can be read.
func number(path string, n json.Number) string {
	seconds, err := n.Int64()
	if err != nil || !strings.HasPrefix(path, "profile.") || slices.Contains(counts, lastWord(path)) {
		return n.String()
	}
	return duration(seconds)
}

func duration(seconds int64) string {
	for _, u := range []struct {
		name string
		n    int64
	}{{"d", 86400}, {"h", 3600}, {"m", 60}} {
		if seconds > 0 && seconds%u.n == 0 {
			return fmt.Sprintf("%d%s", seconds/u.n, u.name)
		}
	}
	return fmt.Sprintf("%ds", seconds)
}
