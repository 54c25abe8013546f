// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// model is a second reading of a valid policy: names and a recursion over
// them. It knows no limits and makes no checks, and shares no code with
// ParsePolicy.
type model struct {
	witnesses []string // in the order of the lines
	groups    map[string]modelGroup
	quorum    string
}

type modelGroup struct {
	k       int
	members []string
}

func readModel(text string) model {
	m := model{groups: map[string]modelGroup{}}
	for _, line := range strings.Split(text, "\n") {
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "witness":
			m.witnesses = append(m.witnesses, words[1])
		case "group":
			g := modelGroup{members: words[3:]}
			switch words[2] {
			case "any":
				g.k = 1
			case "all":
				g.k = len(g.members)
			default:
				g.k, _ = strconv.Atoi(words[2])
			}
			m.groups[words[1]] = g
		case "quorum":
			m.quorum = words[1]
		}
	}
	return m
}

func (m model) met(name string, set uint) bool {
	if name == "none" {
		return true
	}
	if i := slices.Index(m.witnesses, name); i >= 0 {
		return set&(1<<i) != 0
	}
	n := 0
	for _, member := range m.groups[name].members {
		if m.met(member, set) {
			n++
		}
	}
	return n >= m.groups[name].k
}

// checkPolicyModel compares p with the model over all subsets of its
// witnesses, of which there must be few.
func checkPolicyModel(t interface {
	Helper()
	Fatalf(string, ...any)
}, p *Policy, m model, times []uint64) {
	t.Helper()
	n := len(p.Witnesses)
	met := make([]bool, 1<<n)
	for set := range met {
		met[set] = m.met(m.quorum, uint(set))
		has := func(i int) bool { return set&(1<<i) != 0 }
		if got := p.Satisfied(has); got != met[set] {
			t.Fatalf("Satisfied(%b): %v, want %v", set, got, met[set])
		}
	}
	for set := range met {
		has := func(i int) bool { return set&(1<<i) != 0 }
		checkSmallestSet(t, p, met, set)

		given := map[int]uint64{}
		for i := range n {
			if has(i) {
				given[i] = times[i]
			}
		}
		before, after, ok := p.Times(given)
		if ok != met[set] {
			t.Fatalf("Times of %b: %v, want %v", set, ok, met[set])
		}
		if !ok || m.quorum == "none" {
			if before != 0 || after != 0 {
				t.Fatalf("Times of %b: %d and %d, want none", set, before, after)
			}
			continue
		}
		wantBefore, wantAfter := bruteTimes(met, given)
		if before != wantBefore || after != wantAfter {
			t.Fatalf("Times of %v: %d and %d, want %d and %d", given, before, after, wantBefore, wantAfter)
		}
	}
}

func checkSmallestSet(t interface {
	Helper()
	Fatalf(string, ...any)
}, p *Policy, met []bool, set int) {
	t.Helper()
	want := -1
	for s := range met {
		if s&^set == 0 && met[s] && (want < 0 || bits.OnesCount(uint(s)) < want) {
			want = bits.OnesCount(uint(s))
		}
	}
	got, ok := p.SmallestSet(func(i int) bool { return set&(1<<i) != 0 })
	if ok != (want >= 0) {
		t.Fatalf("SmallestSet of %b: %v, want %v", set, ok, want >= 0)
	}
	if !ok {
		if len(got) != 0 {
			t.Fatalf("SmallestSet of %b: %v, though there is none", set, got)
		}
		return
	}
	chosen := 0
	for _, i := range got {
		chosen |= 1 << i
	}
	if !slices.IsSorted(got) || bits.OnesCount(uint(chosen)) != len(got) || len(got) != want || chosen&^set != 0 || !met[chosen] {
		t.Fatalf("SmallestSet of %b: %v, want %d of them that meet the quorum", set, got, want)
	}
}

// bruteTimes is the definition: the smallest T such that the witnesses with a
// time of at most T meet the quorum, and the largest such that those with a
// time of at least T do.
func bruteTimes(met []bool, given map[int]uint64) (before, after uint64) {
	first := true
	for _, T := range given {
		early, late := 0, 0
		for i, t := range given {
			if t <= T {
				early |= 1 << i
			}
			if t >= T {
				late |= 1 << i
			}
		}
		if met[early] && (first || T < before) {
			before, first = T, false
		}
		if met[late] && T > after {
			after = T
		}
	}
	return before, after
}

// drawPolicy draws a random policy whose groups nest in any way that the
// format allows.
func drawPolicy(t *rapid.T, vkeys []string) string {
	var b strings.Builder
	var free []string
	witnesses := rapid.IntRange(1, len(vkeys)).Draw(t, "witnesses")
	for i := range witnesses {
		name := fmt.Sprintf("w%d", i)
		fmt.Fprintf(&b, "witness %s %s\n", name, vkeys[i])
		free = append(free, name)
	}
	all := slices.Clone(free)
	for g := range rapid.IntRange(0, 6).Draw(t, "groups") {
		if len(free) == 0 {
			break
		}
		free = rapid.Permutation(free).Draw(t, "order")
		n := rapid.IntRange(1, len(free)).Draw(t, "n")
		k := rapid.SampledFrom([]string{"any", "all", strconv.Itoa(rapid.IntRange(1, n).Draw(t, "k"))}).Draw(t, "threshold")
		name := fmt.Sprintf("g%d", g)
		fmt.Fprintf(&b, "group %s %s %s\n", name, k, strings.Join(free[:n], " "))
		free = append(free[n:], name)
		all = append(all, name)
	}
	// The last name is the outermost group, the likeliest to be of interest.
	quorum := rapid.OneOf(rapid.Just(all[len(all)-1]), rapid.SampledFrom(append(all, "none"))).Draw(t, "quorum")
	fmt.Fprintf(&b, "quorum %s\n", quorum)
	return b.String()
}

func TestPolicyAgainstBruteForce(t *testing.T) {
	var vkeys []string
	for i := range 7 {
		vkeys = append(vkeys, testSigner(t, fmt.Sprintf("k%d", i), CosignatureEd25519).Verifier().String())
	}
	rapid.Check(t, func(t *rapid.T) {
		text := drawPolicy(t, vkeys)
		p, err := ParsePolicy([]byte(text))
		if err != nil {
			t.Fatalf("refused: %v\n%s", err, text)
		}
		times := rapid.SliceOfN(rapid.Uint64Range(1, 5), 7, 7).Draw(t, "times") // few, so that some are equal
		checkPolicyModel(t, p, readModel(text), times)
	})
}

// For a flat k of n, the times are the k-th smallest and the k-th largest.
func TestPolicyTimesFlat(t *testing.T) {
	times := []uint64{50, 10, 40, 20, 30}
	for k := 1; k <= 5; k++ {
		p := mustPolicy(t, fmt.Sprintf("witness a {w1}\nwitness b {w2}\nwitness c {w3}\nwitness d {w4}\nwitness e {w5}\ngroup g %d a b c d e\nquorum g\n", k))
		given := map[int]uint64{}
		for i, at := range times {
			given[i] = at
		}
		before, after, ok := p.Times(given)
		if !ok || before != uint64(10*k) || after != uint64(60-10*k) {
			t.Errorf("%d of 5: %d and %d, %v", k, before, after, ok)
		}
	}
}
