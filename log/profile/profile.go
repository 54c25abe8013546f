// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package profile

import (
	"embed"
	"errors"
	"fmt"
	"slices"
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
	ErrUnknown = errors.New("profile: no such profile")
	// ErrMalformed: a text is not a profile; the error names the line.
	ErrMalformed = errors.New("profile: malformed")
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
	want := func(columns int) error {
		if len(cells) != columns {
			return fmt.Errorf("%s has %d columns, not %d", cells[0], columns, len(cells))
		}
		return nil
	}
	p := &b.f.Profile
	switch cells[0] {
	case "profile":
		if p.ID != "" {
			return errors.New("a second profile line")
		}
		p.ID = cells[len(cells)-1]
		return want(2)
	case "title":
		if b.f.Title != "" {
			return errors.New("a second title")
		}
		b.f.Title = cells[len(cells)-1]
		return want(2)
	case "rests":
		if err := want(3); err != nil {
			return err
		}
		b.f.Basis = append(b.f.Basis, Basis{cells[1], cells[2]})
		return nil
	}
	if p.ID == "" {
		return errors.New("the first line must be: profile | ID")
	}
	return b.figure(cells)
}

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

// finish checks that no figure is missing, and sorts the lists.
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
	for _, list := range []*[]string{&p.Offences, &p.Grounds, &p.Reasons, &p.Bars} {
		slices.Sort(*list)
	}
	if p.Emergency != nil {
		slices.Sort(p.Emergency.Grounds)
	}
	slices.SortFunc(p.Instruments, func(a, c event.Instrument) int { return strings.Compare(a.Code, c.Code) })
	p.Sources = sources(b.f.Figures)
	return nil
}
