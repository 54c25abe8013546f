// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package profile_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
)

const origin = "log.example/2026"

// charter makes the smallest charter that carries a profile. It fails if
// package event refuses the profile.
func charter(p event.Profile) (*event.Event, error) {
	seed := sha256.Sum256([]byte("log"))
	raw := append([]byte{1}, ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)...)
	id := sha256.Sum256(append([]byte(origin+"\n"), raw...))
	party := func(role event.Role) event.Party {
		seed := sha256.Sum256([]byte(role))
		k, err := event.NewPublicKey(ed25519.NewKeyFromSeed(seed[:]).Public())
		if err != nil {
			panic(err)
		}
		return event.Party{Name: "a", Role: role, Keys: []*event.PublicKey{k}}
	}
	return event.New(origin, &event.Charter{
		Version: 1, Rules: 2, Thresholds: event.Thresholds{Amend: 1, Recover: 1}, Profile: p,
		LogKeys:       []string{origin + "+" + hex.EncodeToString(id[:4]) + "+" + base64.StdEncoding.EncodeToString(raw)},
		Parties:       []event.Party{party(event.RoleCharter), party(event.RoleProvider)},
		WitnessPolicy: "quorum none\n", AuditPolicy: "quorum none\n",
	})
}

// leaves lists the paths of all values of a profile, as its canonical JSON has
// them: every number, and every list of codes.
func leaves(t *testing.T, e *event.Event) map[string]string {
	t.Helper()
	payload, err := e.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var event struct {
		Body struct{ Profile map[string]any }
	}
	d := json.NewDecoder(strings.NewReader(string(payload)))
	d.UseNumber()
	if err := d.Decode(&event); err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, v := range v {
				if name != "code" {
					walk(strings.TrimPrefix(path+"."+name, "."), v)
				}
			}
			if code, ok := v["code"]; ok {
				out[path] = fmt.Sprint(code)
			}
		case []any:
			for i, e := range v {
				switch o, _ := e.(map[string]any); {
				case o == nil:
					out[path] += fmt.Sprint(e) + " "
				case o["code"] != nil:
					walk(path+"."+o["code"].(string), e)
				default:
					walk(fmt.Sprintf("%s.%d", path, i), e)
				}
			}
		default:
			out[path] = fmt.Sprint(v)
		}
	}
	p := event.Body.Profile
	delete(p, "sources")
	delete(p, "id")
	walk("", p)
	return out
}

// A charter takes each shipped profile, and each of its figures has a source
// in the charter itself, where everybody reads it.
func TestEveryFigureHasASource(t *testing.T) {
	for _, name := range profile.Names() {
		p, err := profile.Load(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.ID != name {
			t.Errorf("%s calls itself %s", name, p.ID)
		}
		e, err := charter(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		figures := leaves(t, e)
		if len(figures) < 25 {
			t.Errorf("%s has %d figures", name, len(figures))
		}
		for path := range figures {
			if !slices.ContainsFunc(p.Sources, func(s event.Source) bool { return profile.Covers(s.Figure, path) }) {
				t.Errorf("%s: %s has no source", name, path)
			}
		}
		for _, s := range p.Sources {
			none := slices.ContainsFunc([]string{"emergency", "deferral.total", "deferral.never"}, func(end string) bool { return strings.HasSuffix(s.Figure, end) })
			found := none
			for path := range figures {
				found = found || profile.Covers(s.Figure, path)
			}
			if !found {
				t.Errorf("%s: a source for %s, which it does not have", name, s.Figure)
			}
			if !strings.HasPrefix(s.Law, "design") && !strings.ContainsAny(s.Law, "0123456789") {
				t.Errorf("%s: %s: %q cites nothing and isn't marked as design", name, s.Figure, s.Law)
			}
		}
	}
}

// The nearest row of the charter says what the file says of a figure.
func TestSourcesJoin(t *testing.T) {
	for _, name := range profile.Names() {
		f, err := profile.LoadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, fig := range f.Figures {
			var nearest event.Source
			for _, s := range f.Profile.Sources {
				if profile.Covers(s.Figure, fig.Path) && len(s.Figure) >= len(nearest.Figure) {
					nearest = s
				}
			}
			if nearest.Law != fig.Law {
				t.Errorf("%s: %s is by %q, and the charter says %q", name, fig.Path, fig.Law, nearest.Law)
			}
		}
	}
}

// Figures that the law states, read here a second time, by hand.
func TestFiguresOfLaw(t *testing.T) {
	const day = 86400
	load := func(name string) event.Profile {
		p, err := profile.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	de, us, ca, eu, demo := load("de"), load("us"), load("ca"), load("eu"), load("demo")
	g10 := de.Instrument("g10-3").Deferral
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"StPO 101(6): court after 12 months", de.Deferral.Steps[1].After, 365 * day},
		{"StPO 101(6): court after 6 months, 100b", de.Instrument("stpo-100b").Deferral.Steps[1].After, 181 * day},
		{"StPO 101(6): court after 6 months, 100c", de.Instrument("stpo-100c").Deferral.Steps[1].After, 181 * day},
		{"G 10 12(1): commission after 12 months", g10.Steps[1].After, 365 * day},
		{"G 10 12(1): never after 5 years, the longest such", g10.Never.After, (5*365 + 2) * day},
		{"18 USC 3103a(b)(3)", us.Seal.Longest, 30 * day},
		{"18 USC 2705(a)(1)", us.Instrument("usc-2703-order").Seal.Longest, 90 * day},
		{"18 USC 2705(a)(4)", us.Deferral.Steps[0].Longest, 90 * day},
		{"Penal Code 1546.2(b)(1)", ca.Seal.Longest, 90 * day},
		{"Penal Code 1546.2(b)(2)", ca.Deferral.Steps[0].Longest, 90 * day},
		{"Penal Code 1546.2(a)", ca.Emergency.Decision.Within, 3 * day},
		{"Regulation 2023/1543 art. 10", eu.AccessLife, 10 * day},
		{"demo: seconds for days", demo.Seal.Longest * day, ca.Seal.Longest},
		{"demo: seconds for days", demo.Deferral.Steps[0].Longest * day, ca.Deferral.Steps[0].Longest},
		{"demo: seconds for days", demo.AccessLife * day, ca.AccessLife},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d seconds, want %d", c.what, c.got, c.want)
		}
	}
	if !cmp.Equal(g10.Steps[1].Kinds, []string{"g10-commission"}) || !cmp.Equal(de.Deferral.Steps[1].Kinds, []string{"court"}) {
		t.Error("de: another kind of authority decides after 12 months")
	}
	if us.Deferral.Never != nil || ca.Deferral.Never != nil || eu.Deferral.Never != nil || us.Emergency != nil || eu.Emergency != nil {
		t.Error("a permission that the law doesn't give")
	}
}

// The demonstration derives these codes from the CalECPA rows.
func TestDemoCovers(t *testing.T) {
	p, err := profile.Load("demo")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		list  []string
		codes string
	}{
		{p.Offences, "homicide narcotics theft-fraud crime-of-violence child-exploitation arrest-warrant-fugitive threats-harassment human-trafficking computer-crime-fraud not-stated several withheld other"},
		{p.Grounds, "stolen-or-embezzled means-of-felony possessed-with-intent evidence-of-felony evidence-of-child-exploitation withheld not-stated"},
		{p.Emergency.Grounds, "calecpa-emergency"},
		{[]string{p.Instruments[0].Code}, "calecpa-search-warrant"},
	} {
		for code := range strings.FieldsSeq(c.codes) {
			if !slices.Contains(c.list, code) {
				t.Errorf("demo lacks the code %s", code)
			}
		}
	}
}

func TestUnknown(t *testing.T) {
	for _, name := range []string{"", "fr", "../de", "de.profile", "DE"} {
		if _, err := profile.Load(name); !errors.Is(err, profile.ErrUnknown) {
			t.Errorf("Load(%q): %v", name, err)
		}
	}
	if _, err := profile.Load("fr"); !strings.Contains(err.Error(), "ca, de, demo, eu, us") {
		t.Errorf("the error does not say which there are: %v", err)
	}
}

func text(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("data/" + name + ".profile")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// One change to a good file, and the error that it costs.
func TestMalformed(t *testing.T) {
	good := text(t, "ca")
	line := func(path string) string {
		for l := range strings.Lines(good) {
			if strings.HasPrefix(l, path+" ") {
				return l
			}
		}
		t.Fatalf("no line %s", path)
		return ""
	}
	instrument := line("instruments.calecpa-search-warrant") + line("instruments.calecpa-search-warrant.window")
	for _, c := range []struct{ old, new, want string }{
		{line("seal.longest"), "seal.longest | 90d\n", "a figure needs a source"},
		{line("seal.longest"), "seal.longest | 90d | \n", "an empty column"},
		{line("seal.longest"), "", "seal.longest is missing"},
		{line("seal.longest"), "seal.longest | 90 | law\n", "no duration"},
		{line("seal.longest"), "seal.longest | 090d | law\n", "no duration"},
		{line("seal.longest"), "seal.longest | -1d | law\n", "no duration"},
		{line("seal.longest"), "seal.longest | 1w | law\n", "no duration"},
		{line("seal.longest"), "seal.longest | 99999999999999d | law\n", "no duration"},
		{line("seal.longest"), "seal.longest | none | law\n", "it can't be none"},
		{line("seal.longest"), "seal.Longest | 90d | law\n", "no figure of a profile has this path"},
		{line("seal.longest"), "seal.longest.x | 90d | law\n", "no figure of a profile has this path"},
		{line("seal.longest"), line("seal.longest") + line("seal.longest"), "seal.longest stands twice"},
		{line("deferral.total"), "", "deferral.total is missing"},
		{line("deferral.never"), "", "deferral.never is missing"},
		{line("deferral.never"), line("deferral.never") + "deferral.never.after | 0s | law\n", "deferral.never is none"},
		{line("deferral.never"), "deferral.never.after | 0s | law\n", "deferral.never.signatures is missing"},
		{line("deferral.never"), "deferral.never.longest | 1s | law\n", "no figure of a profile has this path"},
		{line("deferral.steps.0.after"), "deferral.steps.1.after | 0s | law\n", "steps are numbered"},
		{line("deferral.steps.0.signatures"), "", "deferral.steps.0.signatures is missing"},
		{line("emergency.open"), "", "emergency.open is missing"},
		{line("emergency.open"), "emergency.open | 1d | law\n", "not a whole number"},
		{line("reasons"), line("reasons") + "emergency | none | law\n", "is given"},
		{line("reasons"), "reasons | a b a | law\n", "a stands twice"},
		{instrument, "", "instruments.CODE is missing"},
		{line("instruments.calecpa-search-warrant.window"), "", "instruments.calecpa-search-warrant.window is missing"},
		{line("instruments.calecpa-search-warrant"), "instruments.x | no | law\n", "to declare an instrument"},
		{line("instruments.calecpa-search-warrant"), "instruments.x.seal.default | 1d | law\n", "is not declared above"},
		{line("instruments.calecpa-search-warrant"), "instruments.x.deferral.never | none | law\n", "is not declared above"},
		{instrument, "instruments.x | yes | law\ninstruments.x.window | 1d | law\ninstruments.x.seal.default | 1d | law\n", "instruments.x.seal.longest is missing"},
		{line("profile"), "", "the first line must be"},
		{line("profile"), "profile | a\nprofile | b\n", "a second profile line"},
		{"title ", "title | a\ntitle ", "a second title"},
		{"rests ", "rests | a\nrests ", "rests has 3 columns"},
		{"\n", "\r\n", "a control character"},
	} {
		changed := strings.Replace(good, c.old, c.new, 1)
		if _, err := profile.Parse([]byte(changed)); !errors.Is(err, profile.ErrMalformed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: %v, want %q", c.new, c.old, err, c.want)
		}
	}
	for name, whole := range map[string]string{
		"no line feed":  strings.TrimSuffix(good, "\n"),
		"not UTF-8":     good + "# \xff\n",
		"too long":      good + strings.Repeat("#\n", profile.MaxSize/2),
		"nothing":       "",
		"comments only": "# \n",
	} {
		if _, err := profile.Parse([]byte(whole)); !errors.Is(err, profile.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever Parse takes is whole: each slot that a charter needs is filled, so
// that a charter refuses it for a value only, never for what is missing.
func FuzzParse(f *testing.F) {
	for _, name := range profile.Names() {
		f.Add([]byte(text(f, name)))
	}
	f.Add([]byte("profile | x\ninstruments.a | yes | l\ninstruments.a.deferral.steps.0.after | 0s | l\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := profile.Parse(b)
		if err != nil {
			if !errors.Is(err, profile.ErrMalformed) || file != nil {
				t.Errorf("%v, %v", file, err)
			}
			return
		}
		if len(file.Profile.Instruments) == 0 || len(file.Profile.Deferral.Steps) == 0 || len(file.Profile.Sources) == 0 {
			t.Errorf("incomplete: %+v", file.Profile)
		}
	})
}
