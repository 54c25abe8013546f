// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package profile holds legislators' decisions as data: the profiles that Vasistas
// ships, each figure with its legal source.
//
// # Contract
//
// A profile is a text file, shipped or the operator's own, that [Parse] compiles into
// the [event.Profile] of a charter. A figure and its source stand on one line, so no
// figure lacks one. Nothing has a default: a missing figure is an error. If a law
// leaves a figure out on purpose (no emergencies, no deferral without end, no total),
// its line has the value none.
//
// Some members say what data an instrument reaches and who issues it: category, with, issuers,
// validated, validators and preserves. Each may be absent, and then it limits nothing. A
// profile with categories and emergencies must have emergency.categories.
//
// The package promises that the compiled figures are those of the file. A reader
// compares the file with the law by docs/profiles.md. A profile is no legal advice:
// the founders of a log answer for the profile in its charter.
//
// # Format
//
// UTF-8, lines ended by LF. A line is empty, a comment (#), or columns
// separated by bars:
//
//	profile | de                                    the id; the first line
//	title   | text                                  the title; once
//	rests   | law | text                            a law that figures rest on; any number
//	omits   | text                                  what the profile does not cover; any number
//	path    | value | source | note                 a figure; the note is optional
//
// A path names a member of the profile in docs/events.md, with a number for a step
// and a code for an instrument. Durations are whole numbers with a unit: s, m, h or d
// (86,400 seconds). Spaces separate the codes of a list. A line with the value yes
// declares an instrument, or says that it preserves.
//
// # Sources
//
// A source is one of three:
//
//   - a citation: the law states this figure, or this permission;
//   - "design, CITATION": the law demands a figure and gives none, or gives one in a
//     unit that can't be counted in seconds (court days); the figure is ours;
//   - "design": no law demands it; the system needs it.
//
// In a charter, a row of sources covers its path and all paths below it that have no
// row of their own.
//
// # Months and years
//
// Months and years have no fixed length, so each is rounded in favour of disclosure. A
// limit of secrecy, and the age from which a stricter rule holds, is the shortest such
// period (6 months: 181 days, 12 months: 365). The age from which a rule allows more is
// the longest (6 months: 184 days, 12 months: 366, 5 years: 1,827).
package profile

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vasistas/vasistas/log/event"
)

//go:embed data/*.profile
var data embed.FS

const suffix = ".profile"

// MaxSize bounds a profile's text, in bytes.
const MaxSize = 64 << 10

// Errors of this package.
var (
	// ErrUnknown: no shipped profile has this name.
	ErrUnknown = errors.New("no such profile")
	// ErrMalformed: a text is not a profile; the error names the line.
	ErrMalformed = errors.New("malformed")
)

// A Figure is one decision with its source.
type Figure struct {
	Path  string // such as seal.longest
	Value string // as written: 90d, 3, a list of codes, yes, none
	Law   string // source, see the package comment
	Note  string // "": none
}

// A Basis is a law that figures rest on, with the relevant text.
type Basis struct{ Law, Text string }

// A File is a parsed profile with its sources.
type File struct {
	Profile event.Profile
	Title   string
	Basis   []Basis
	Omits   []string // what the profile does not cover
	Figures []Figure // in the order of the text
}

// Names returns the names of the shipped profiles, sorted.
func Names() []string {
	entries, err := data.ReadDir("data")
	if err != nil {
		panic(err) // the directory is embedded
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), suffix))
	}
	slices.Sort(names)
	return names
}

// Load returns the profile of this name. The error wraps ErrUnknown.
func Load(name string) (event.Profile, error) {
	f, err := LoadFile(name)
	if err != nil {
		return event.Profile{}, err
	}
	return f.Profile, nil
}

// LoadFile returns the profile of this name with its sources. The error wraps
// ErrUnknown.
func LoadFile(name string) (*File, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("%w: %q; the profiles are %s", ErrUnknown, name, strings.Join(Names(), ", "))
	}
	text, err := data.ReadFile("data/" + name + suffix)
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Parse compiles a text to a complete profile. Package event checks codes, citations
// and graces when a charter carries the profile. The error wraps ErrMalformed.
func Parse(text []byte) (*File, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(text), MaxSize)
	}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%w: not valid UTF-8", ErrMalformed)
	}
	b := &builder{f: new(File), seen: make(map[string]string)}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, ok := strings.CutSuffix(line, "\n")
		if !ok {
			return nil, fmt.Errorf("%w: line %d: the last line does not end in a line feed", ErrMalformed, n)
		}
		if err := b.line(line); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrMalformed, n, err)
		}
	}
	if err := b.finish(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return b.f, nil
}

// builder fills a File. seen holds the value of each path so far.
type builder struct {
	f    *File
	seen map[string]string
}

func (b *builder) line(line string) error {
	for _, r := range line {
		if r < ' ' || r == 0x7f {
			return errors.New("a control character")
		}
	}
	line = strings.TrimSpace(line)
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	cells := strings.Split(line, "|")
	for i := range cells {
		if cells[i] = strings.TrimSpace(cells[i]); cells[i] == "" {
			return errors.New("an empty column")
		}
	}
	if n, ok := columns[cells[0]]; ok && len(cells) != n {
		return fmt.Errorf("%s has %d columns, not %d", cells[0], n, len(cells))
	}
	f := b.f
	switch id := f.Profile.ID; cells[0] {
	case "profile":
		if id != "" {
			return errors.New("a second profile line")
		}
		f.Profile.ID = cells[1]
	case "title":
		if f.Title != "" {
			return errors.New("a second title")
		}
		f.Title = cells[1]
	case "rests":
		f.Basis = append(f.Basis, Basis{cells[1], cells[2]})
	case "omits":
		f.Omits = append(f.Omits, cells[1])
	default:
		if id == "" {
			return errors.New("the first line must be: profile | ID")
		}
		return b.figure(cells)
	}
	return nil
}

// columns is the number of columns of each line that is no figure.
var columns = map[string]int{"profile": 2, "title": 2, "rests": 3, "omits": 2}

func (b *builder) figure(cells []string) error {
	if len(cells) != 3 && len(cells) != 4 {
		return fmt.Errorf("%s: want path | value | source, and an optional note; a figure needs a source", cells[0])
	}
	fig := Figure{Path: cells[0], Value: cells[1], Law: cells[2]}
	if len(cells) == 4 {
		fig.Note = cells[3]
	}
	if _, ok := b.seen[fig.Path]; ok {
		return fmt.Errorf("%s stands twice", fig.Path)
	}
	if above, ok := b.noneAbove(fig.Path); ok {
		return fmt.Errorf("%s: %s is none", fig.Path, above)
	}
	if err := b.set(fig.Path, fig.Value); err != nil {
		return fmt.Errorf("%s: %w", fig.Path, err)
	}
	b.seen[fig.Path] = fig.Value
	b.f.Figures = append(b.f.Figures, fig)
	return nil
}

// noneAbove returns a path above this one with the value none.
func (b *builder) noneAbove(path string) (string, bool) {
	for i, r := range path {
		if r == '.' && b.seen[path[:i]] == none {
			return path[:i], true
		}
	}
	return "", false
}

// finish checks that no figure is missing, and sorts the instruments.
func (b *builder) finish() error {
	p := &b.f.Profile
	if p.ID == "" {
		return errors.New("no profile line")
	}
	for _, path := range required(p) {
		if _, ok := b.seen[path]; !ok {
			return fmt.Errorf("%s is missing: give its value and its source", path)
		}
	}
	// A charter sorts instruments by their JSON text, in which category precedes code. So those
	// without a category come last: "~" is above every code.
	slices.SortFunc(p.Instruments, func(a, c event.Instrument) int {
		return cmp.Or(strings.Compare(cmp.Or(a.Category, "~"), cmp.Or(c.Category, "~")), strings.Compare(a.Code, c.Code))
	})
	p.Sources = sources(b.f.Figures)
	return nil
}

// Values that are not figures.
const (
	none = "none" // the law leaves the figure out on purpose
	yes  = "yes"  // the instrument exists, or preserves
)

var errPath = errors.New("no figure of a profile has this path")

// set sets the figure of a path.
func (b *builder) set(path, value string) error {
	p := &b.f.Profile
	words := strings.Split(path, ".")
	if len(words) == 2 && words[0] == "instruments" {
		if value != yes {
			return errors.New("want the value yes to declare an instrument")
		}
		p.Instruments = append(p.Instruments, event.Instrument{Code: words[1]})
		return nil
	}
	if value == none {
		if !mayBeNone(words) {
			return errors.New("it can't be none")
		}
		for seen := range b.seen {
			if strings.HasPrefix(seen, path+".") {
				return fmt.Errorf("the value is none, but %s is given", seen)
			}
		}
		if words[0] == "instruments" && p.Instrument(words[1]) == nil {
			return fmt.Errorf("instrument %s is not declared above", words[1])
		}
		return nil
	}
	at, err := find(p, words)
	if err != nil {
		return err
	}
	switch at := at.(type) {
	case *uint64:
		read := event.ParseDuration
		if slices.Contains(counts, words[len(words)-1]) {
			read = count
		}
		*at, err = read(value)
	case *[]string:
		*at, err = list(value)
	case *string:
		switch {
		case words[len(words)-1] != "category": // the id, or the code of an instrument
			return errPath
		case strings.Contains(value, " "):
			return errors.New("want one code")
		}
		*at = value
	case *bool:
		if value != yes {
			return errors.New("want the value yes, or no line")
		}
		*at = true
	default:
		return errPath
	}
	return err
}

// mayBeNone reports whether a law may leave this figure out.
func mayBeNone(words []string) bool {
	none := []string{"deferral.never", "deferral.total"}
	if words[0] == "instruments" {
		words = words[min(2, len(words)):]
	} else {
		none = append(none, "categories", "emergency", "emergency.categories", "nonExecution")
	}
	return slices.Contains(none, strings.Join(words, "."))
}

// counts are the figures that are plain numbers. All others are durations.
var counts = []string{"accounts", "events", "open", "signatures"}

// find returns a pointer to the figure of a path, whose words are names of fields,
// codes of instruments and numbers of steps. It makes the objects on the way.
func find(p *event.Profile, words []string) (any, error) {
	v := reflect.ValueOf(p).Elem()
	for n, word := range words {
		switch list := v.Addr().Interface().(type) {
		case *[]event.Instrument:
			in := p.Instrument(word)
			if in == nil {
				return nil, fmt.Errorf("instrument %s is not declared above", word)
			}
			v = reflect.ValueOf(in).Elem()
			continue
		case *[]event.Step:
			i, err := count(word)
			if err != nil || i > uint64(len(*list)) {
				return nil, errors.New("steps are numbered 0, 1, ... in their order")
			}
			if i == uint64(len(*list)) {
				*list = append(*list, event.Step{})
			}
			v = v.Index(int(i))
			continue
		}
		name := strings.ToUpper(word[:min(1, len(word))]) + word[min(1, len(word)):]
		if v.Kind() != reflect.Struct || name == word || n > 0 && word == "longest" && words[n-1] == "never" {
			return nil, errPath
		}
		if v = v.FieldByName(name); !v.IsValid() {
			return nil, errPath
		}
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
	}
	return v.Addr().Interface(), nil
}

// required lists the paths that a profile like this one must have.
func required(p *event.Profile) []string {
	paths := []string{
		"accessLife", "publication", "inclusion", "lag", "skew", "spread", "witnessTimeout", "round", "stale", "unfulfilled", "disclosureGrace",
		"budget.events", "budget.interval",
		"offences", "grounds", "reasons", "bars", "categories", "nonExecution", "seal.default", "seal.longest",
	}
	for _, d := range []string{"anchor", "heartbeat", "missingRelease", "return"} {
		paths = append(paths, d+".within", d+".grace")
	}
	paths = append(paths, requiredDeferral("", &p.Deferral)...)
	if p.Emergency == nil {
		paths = append(paths, "emergency")
	} else {
		paths = append(paths, "emergency.open", "emergency.accounts", "emergency.grounds", "emergency.decision.within", "emergency.decision.grace")
		if len(p.Categories) > 0 {
			paths = append(paths, "emergency.categories")
		}
	}
	for i := range p.Instruments {
		in := &p.Instruments[i]
		at := "instruments." + in.Code + "."
		paths = append(paths, at+"window")
		if in.Seal != nil {
			paths = append(paths, at+"seal.default", at+"seal.longest")
		}
		if in.Deferral != nil {
			paths = append(paths, requiredDeferral(at, in.Deferral)...)
		}
	}
	if len(p.Instruments) == 0 {
		paths = append(paths, "instruments.CODE")
	}
	return paths
}

func requiredDeferral(at string, d *event.DeferralLimit) []string {
	at += "deferral."
	paths := []string{at + "steps.0.after"}
	for i := range d.Steps {
		step := fmt.Sprintf("%ssteps.%d.", at, i)
		paths = append(paths, step+"after", step+"longest", step+"signatures")
	}
	if d.Total == 0 {
		paths = append(paths, at+"total")
	}
	if d.Never == nil {
		return append(paths, at+"never")
	}
	return append(paths, at+"never.after", at+"never.signatures")
}

func count(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 53)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return n, nil
}

// list returns the codes of a list, sorted.
func list(s string) ([]string, error) {
	codes := strings.Fields(s)
	slices.Sort(codes)
	for i := range codes {
		if i > 0 && codes[i] == codes[i-1] {
			return nil, fmt.Errorf("%s stands twice", codes[i])
		}
	}
	return codes, nil
}
