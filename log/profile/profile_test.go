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
		f, err := profile.LoadFile(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := f.Profile
		if len(f.Basis) == 0 || len(f.Omits) == 0 {
			t.Errorf("%s doesn't say what it rests on, or what it does not cover", name)
		}
		if p.ID != name {
			t.Errorf("%s calls itself %s", name, p.ID)
		}
		// Before the next call, which sorts.
		if _, err := p.File(); err != nil {
			t.Errorf("%s, as it stands in the file of a charter: %v", name, err)
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
			found := slices.ContainsFunc(f.Figures, func(fig profile.Figure) bool { return fig.Path == s.Figure && fig.Value == "none" })
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
	de, us, ca, eu, fr, demo := load("de"), load("us"), load("ca"), load("eu"), load("fr"), load("demo")
	g10 := de.Instrument("g10-3").Deferral
	for _, c := range []struct {
		what      string
		got, want uint64
	}{
		{"StPO 101(6): court after 12 months", de.Deferral.Steps[1].After, 365 * day},
		{"StPO 101(6): court after 6 months, 100b", de.Instrument("stpo-100b").Deferral.Steps[1].After, 181 * day},
		{"StPO 101(6): court after 6 months, 100c", de.Instrument("stpo-100c").Deferral.Steps[1].After, 181 * day},
		{"StPO 101a(6): a first deferral of 12 months, traffic data", de.Instrument("stpo-100g").Deferral.Steps[0].Longest, 365 * day},
		{"G 10 12(1): commission after 12 months", g10.Steps[1].After, 365 * day},
		{"G 10 12(1): never after 5 years, the longest such", g10.Never.After, (5*365 + 2) * day},
		{"18 USC 3103a(b)(3)", us.Seal.Longest, 30 * day},
		{"18 USC 2705(a)(1)", us.Instrument("usc-2703-order").Seal.Longest, 90 * day},
		{"18 USC 2705(a)(4)", us.Deferral.Steps[0].Longest, 90 * day},
		{"Penal Code 1546.2(b)(1)", ca.Seal.Longest, 90 * day},
		{"Penal Code 1546.2(b)(2)", ca.Deferral.Steps[0].Longest, 90 * day},
		{"Penal Code 1546.2(a)", ca.Emergency.Decision.Within, 3 * day},
		{"Regulation 2023/1543 art. 10", eu.AccessLife, 10 * day},
		{"Regulation 2023/1543 art. 4(5)", eu.Emergency.Decision.Within, 2 * day},
		{"Regulation 2023/1543 art. 11(1)", eu.Instrument("epo-pr").Window, 60 * day},
		{"CSI L. 821-4", fr.Instrument("csi-l852-1").Window, 120 * day},
		{"CSI L. 821-1", fr.Emergency.Decision.Within, day},
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
	if us.Deferral.Never != nil || ca.Deferral.Never != nil || eu.Deferral.Never != nil || fr.Deferral.Never != nil || us.Emergency != nil ||
		!slices.Equal(eu.Emergency.Categories, []string{"identification", "subscriber"}) || !slices.Contains(eu.Bars, "emergency") {
		t.Error("a permission that the law doesn't give")
	}
}

// Who issues what, read a second time by hand: authorities that sign alone, those that
// need a second signature, and whose.
func TestInstrumentsOfLaw(t *testing.T) {
	const judges, all = "court investigating-judge judge", "court investigating-judge judge prosecutor"
	for _, c := range []struct{ profile, code, category, with, issuers, validated, validators string }{
		{"eu", "epo-subscriber", "subscriber", "", all, "investigating-authority", all},
		{"eu", "epo-identification", "identification", "subscriber", all, "investigating-authority", all},
		{"eu", "epo-traffic", "traffic", "identification subscriber", judges, "investigating-authority prosecutor", judges},
		{"eu", "epo-content", "content", "identification subscriber traffic", judges, "investigating-authority prosecutor", judges},
		{"eu", "epo-pr", "", "", all, "investigating-authority", all},
		{"fr", "csi-l852-1", "content", "connection", "", "prime-minister", "cnctr conseil-d-etat"},
		{"fr", "csi-l851-1", "connection", "", "", "prime-minister", "cnctr conseil-d-etat"},
		{"de", "stpo-100a", "content", "subscriber traffic", "court", "", ""},
		{"de", "stpo-100g", "traffic", "subscriber", "court", "", ""},
		{"de", "stpo-100j", "subscriber", "", "court police prosecution", "", ""},
		{"de", "g10-3", "content", "subscriber traffic", "", "federal-ministry land-ministry", "g10-commission"},
		{"us", "usc-2703-warrant", "content", "records subscriber", "court", "", ""},
		{"us", "usc-2703-order", "records", "subscriber", "court", "", ""},
		{"ca", "calecpa-search-warrant", "", "", "court", "", ""},
		{"demo", "calecpa-search-warrant", "", "", "", "", ""},
	} {
		p, err := profile.Load(c.profile)
		if err != nil {
			t.Fatal(err)
		}
		in := p.Instrument(c.code)
		got := []string{in.Category, strings.Join(in.With, " "), strings.Join(in.Issuers, " "), strings.Join(in.Validated, " "), strings.Join(in.Validators, " ")}
		if diff := cmp.Diff([]string{c.category, c.with, c.issuers, c.validated, c.validators}, got); diff != "" || in.Preserves != (c.code == "epo-pr") {
			t.Errorf("%s: %s preserves %v, and (-want +got):\n%s", c.profile, c.code, in.Preserves, diff)
		}
	}
}

// The parser sorts each list, as the strict encoding of a charter demands.
func TestListsAreSorted(t *testing.T) {
	sorted := 0
	for _, name := range profile.Names() {
		want, err := profile.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		var reversed strings.Builder
		for l := range strings.Lines(text(t, name)) {
			if cells := strings.Split(l, "|"); len(cells) > 2 && strings.Contains(strings.TrimSpace(cells[1]), " ") && cells[0] != "rests " {
				codes := strings.Fields(cells[1])
				slices.Reverse(codes)
				cells[1] = strings.Join(codes, " ")
				l, sorted = strings.Join(cells, "|"), sorted+1
			}
			reversed.WriteString(l)
		}
		got, err := profile.Parse([]byte(reversed.String()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Profile); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if sorted < 40 {
		t.Errorf("%d lists", sorted)
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
	for _, name := range []string{"", "xx", "../de", "de.profile", "DE"} {
		if _, err := profile.Load(name); !errors.Is(err, profile.ErrUnknown) {
			t.Errorf("Load(%q): %v", name, err)
		}
	}
	if _, err := profile.Load("xx"); !strings.Contains(err.Error(), "ca, de, demo, eu, fr, us") {
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
	const in = "instruments.calecpa-search-warrant"
	window := line(in + ".window")
	instrument := line(in) + line(in+".issuers") + window
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
		{window, "", "instruments.calecpa-search-warrant.window is missing"},
		{line(in), "instruments.x | no | law\n", "to declare an instrument"},
		{line(in), "instruments.x.seal.default | 1d | law\n", "is not declared above"},
		{line(in), "instruments.x.deferral.never | none | law\n", "is not declared above"},
		{instrument, "instruments.x | yes | law\ninstruments.x.window | 1d | law\ninstruments.x.seal.default | 1d | law\n", "instruments.x.seal.longest is missing"},
		{line("categories"), "", "categories is missing"},
		{line("categories"), "categories | a a | law\n", "a stands twice"},
		{line("categories"), "category | a | law\n", "no figure of a profile has this path"},
		{line("categories"), line("categories") + line("categories"), "categories stands twice"},
		{line("nonExecution"), "", "nonExecution is missing"},
		{line("nonExecution"), "nonExecution | a a | law\n", "a stands twice"},
		{line("nonExecution"), "nonexecution | a | law\n", "no figure of a profile has this path"},
		{line("emergency.categories"), "", "emergency.categories is missing"},
		{line("emergency.categories"), "emergency.categories | a a | law\n", "a stands twice"},
		{line("reasons"), line("reasons") + "emergency.Categories | a | law\n", "no figure of a profile has this path"},
		{window, window + in + ".category | a b | law\n", "want one code"},
		{window, window + in + ".category | none | law\n", "it can't be none"},
		{window, window + in + ".categories | none | law\n", "it can't be none"},
		{window, window + in + ".emergency | none | law\n", "it can't be none"},
		{window, window + in + ".code | a | law\n", "no figure of a profile has this path"},
		{window, window + "id | a | law\n", "no figure of a profile has this path"},
		{window, window + in + ".with | a a | law\n", "a stands twice"},
		{window, window + in + ".with | none | law\n", "it can't be none"},
		{window, window + in + ".issuers | a | law\n", in + ".issuers stands twice"},
		{line(in + ".issuers"), in + ".issuers | a a | law\n", "a stands twice"},
		{window, window + in + ".validated | a a | law\n", "a stands twice"},
		{window, window + in + ".validated.x | a | law\n", "no figure of a profile has this path"},
		{window, window + in + ".validators | a a | law\n", "a stands twice"},
		{window, window + in + ".validators | none | law\n", "it can't be none"},
		{window, window + in + ".preserves | no | law\n", "want the value yes, or no line"},
		{window, window + in + ".preserves | none | law\n", "it can't be none"},
		{window, window + "instruments.x.preserves | yes | law\n", "is not declared above"},
		{window, window + "instruments.x.category | a | law\n", "is not declared above"},
		{"omits ", "omits | a | law\nomits ", "omits has 2 columns"},
		{"omits ", "omits\nomits ", "omits has 2 columns"},
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
	f.Add([]byte("profile | x\nlongest | 1d | l\n"))
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
