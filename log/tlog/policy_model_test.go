// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"fmt"
	"math"
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
	if want := bruteStrength(met); m.quorum != "none" && p.Strength() != want {
		t.Fatalf("Strength: %+v, want %+v", p.Strength(), want)
	}
	for set := range met {
		has := func(i int) bool { return set&(1<<i) != 0 }
		checkSmallestSet(t, p, met, set)

		given := Times{}
		for i := range n {
			if has(i) {
				given[i] = times[i]
			}
		}
		got, err := p.Window(given)
		want, wantErr := bruteWindow(met, given, p.Spread)
		if m.quorum == "none" {
			want = Window{}
		}
		if err != wantErr || got.LoggedAfter != want.LoggedAfter || got.ExistedBefore != want.ExistedBefore {
			t.Fatalf("Window of %v with spread %d: %+v, %v; want %+v, %v", given, p.Spread, got, err, want, wantErr)
		}
		// What is published, what is anchored and all lines prove the same.
		anchored := Times{}
		for _, i := range got.Set {
			anchored[i] = given[i]
		}
		if again, err2 := p.Window(anchored); err == nil && (err2 != nil || again.LoggedAfter != got.LoggedAfter || again.ExistedBefore != got.ExistedBefore) {
			t.Fatalf("Window of the smallest set %v of %v: %+v, %v; want %+v", got.Set, given, again, err2, got)
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

// bruteWindow is the definition, over all subsets: A is the latest time that is the first of
// a subset that meets the quorum and lies within the spread, B the earliest that is the last
// of such a subset from A on.
func bruteWindow(met []bool, given Times, spread uint64) (w Window, err error) {
	all, quorum := 0, false
	for i := range given {
		all |= 1 << i
	}
	found := false
	span := func(set int) (first, last uint64) {
		first = 1 << 63
		for i, t := range given {
			if set&(1<<i) != 0 {
				first, last = min(first, t), max(last, t)
			}
		}
		return first, last
	}
	for set, ok := range met {
		if !ok || set&^all != 0 {
			continue
		}
		quorum = true
		first, last := span(set)
		if set == 0 || last-first > spread {
			continue
		}
		switch {
		case !found || first > w.LoggedAfter:
			w.LoggedAfter, w.ExistedBefore = first, last
		case first == w.LoggedAfter:
			w.ExistedBefore = min(w.ExistedBefore, last)
		}
		found = true
	}
	switch {
	case !quorum:
		return w, ErrNoQuorum
	case !found && !met[0]:
		return w, ErrNoWindow
	}
	return w, nil
}

// bruteStrength is the definition of Strength, over all subsets of keys.
func bruteStrength(met []bool) (s Strength) {
	n := bits.TrailingZeros(uint(len(met)))
	everyone := len(met) - 1
	s = Strength{n, n + 1, n}
	for set, ok := range met {
		size := bits.OnesCount(uint(set))
		if ok {
			s.Time = min(s.Time, size)
		}
		if !met[everyone&^set] {
			s.Silence = min(s.Silence, size)
		}
		for other, ok2 := range met {
			if ok && ok2 { // these two heads, each by its own subset
				s.Fork = min(s.Fork, bits.OnesCount(uint(set&other)))
			}
		}
	}
	return s
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
		p = p.WithSpread(rapid.SampledFrom([]uint64{0, 1, 2, NoSpread}).Draw(t, "spread"))
		checkPolicyModel(t, p, readModel(text), times)
	})
}

// Without a spread, and for a flat k of n, the logged-after time is the k-th largest.
func TestPolicyTimesFlat(t *testing.T) {
	times := []uint64{50, 10, 40, 20, 30}
	for k := 1; k <= 5; k++ {
		p := mustPolicy(t, fmt.Sprintf("witness a {w1}\nwitness b {w2}\nwitness c {w3}\nwitness d {w4}\nwitness e {w5}\ngroup g %d a b c d e\nquorum g\n", k))
		given := Times{}
		for i, at := range times {
			given[i] = at
		}
		if w, err := p.WithSpread(NoSpread).Window(given); err != nil || w.LoggedAfter != uint64(60-10*k) || w.ExistedBefore != 50 {
			t.Errorf("%d of 5: %+v, %v", k, w, err)
		}
	}
}

// One liar and one slow witness of four: three must lie to move the times by more than the
// spread.
func TestWindowOfLiars(t *testing.T) {
	p := mustPolicy(t, "witness a {w1}\nwitness b {w2}\nwitness c {w3}\nwitness d {w4}\ngroup g 3 a b c d\nquorum g\n").WithSpread(60)
	const now, day = 1_800_000_000, 86400
	for _, c := range []struct {
		name          string
		times         Times
		after, before uint64
		err           error
	}{
		{"all honest", Times{0: now, 1: now + 1, 2: now + 2, 3: now + 9}, now + 1, now + 9, nil},
		{"one backdates, and one is late", Times{0: now - 2*day, 1: now, 2: now + 1}, 0, 0, ErrNoWindow},
		{"the late one comes", Times{0: now - 2*day, 1: now, 2: now + 1, 3: now + 30}, now, now + 30, nil},
		{"one is ahead", Times{0: now + 2*day, 1: now, 2: now + 1, 3: now + 30}, now, now + 30, nil},
		{"two lie apart", Times{0: now + 2*day, 1: now - day, 2: now + 1, 3: now + 30}, 0, 0, ErrNoWindow},
		{"beyond the spread", Times{0: now, 1: now + 1, 2: now + 61}, 0, 0, ErrNoWindow},
		{"the end of time", Times{0: math.MaxUint64, 1: math.MaxUint64 - 1, 2: math.MaxUint64 - 60}, math.MaxUint64 - 60, math.MaxUint64, nil},
		{"two", Times{0: now, 1: now + 1}, 0, 0, ErrNoQuorum},
	} {
		if w, err := p.Window(c.times); err != c.err || w.LoggedAfter != c.after || w.ExistedBefore != c.before {
			t.Errorf("%s: %+v, %v; want %d, %d, %v", c.name, w, err, c.after, c.before, c.err)
		}
	}
}

func TestPolicyStrength(t *testing.T) {
	keys := "witness a {w1}\nwitness b {w2}\nwitness c {w3}\nwitness d {w4}\nwitness e {w5}\n"
	for rest, want := range map[string]Strength{
		"group g 3 a b c d\nquorum g\n":                               {2, 2, 3},
		"group g 2 a b c\nquorum g\n":                                 {1, 2, 2},
		"group g all a b c\nquorum g\n":                               {3, 1, 3},
		"group g any a b c\nquorum g\n":                               {0, 3, 1},
		"group x any a b\ngroup g 2 x c d\nquorum g\n":                {0, 2, 2},
		"group x all a b\ngroup y all c d\ngroup g 1 x y\nquorum g\n": {0, 2, 2},
		"quorum a\n":    {1, 1, 1},
		"quorum none\n": {},
	} {
		if got := mustPolicy(t, keys+rest).Strength(); got != want {
			t.Errorf("%q: %+v, want %+v", rest, got, want)
		}
	}
}

// An operator's two keys count as one: a policy puts them into one group that any of them
// satisfies. In any other group, or of two names, each key counts.
func TestPolicyStrengthOfOperators(t *testing.T) {
	var lines string
	for i := range 4 {
		name := fmt.Sprintf("w%d", i)
		for _, a := range []Algorithm{CosignatureEd25519, CosignatureMLDSA44} {
			lines += fmt.Sprintf("witness %s-%d %s\n", name, a, testSigner(t, name, a).Verifier())
		}
	}
	group := func(name, k string, operators ...int) (s string) {
		s = "group " + name + " " + k
		for _, o := range operators {
			s += fmt.Sprintf(" w%d-%d w%d-%d", o, CosignatureEd25519, o, CosignatureMLDSA44)
		}
		return s + "\n"
	}
	for rest, want := range map[string]Strength{
		group("a", "any", 0) + group("b", "any", 1) + group("c", "any", 2) + group("d", "any", 3) + "group g 3 a b c d\nquorum g\n": {2, 2, 3},
		group("a", "any", 0) + "quorum a\n":    {1, 1, 1},
		group("a", "all", 0) + "quorum a\n":    {2, 1, 2},
		group("a", "any", 0, 1) + "quorum a\n": {0, 4, 1},
	} {
		p, err := ParsePolicy([]byte(lines + rest))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Strength(); got != want {
			t.Errorf("%q: %+v, want %+v", rest, got, want)
		}
	}
}
