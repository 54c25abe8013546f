// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/strictjson"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tlog"
)

type sealFlags struct {
	until           string
	public, subject []string
	file            string
	proceeding      string // file with the secret for tags of proceedings
	decoys          int
	limit           event.SealLimit // of the charter; zero: not known
}

// named is a value to be sealed, as text, or a list of values.
type named struct {
	name   string
	values []string
}

func (f *sealFlags) empty() bool {
	return f.until == "" && f.file == "" && f.proceeding == "" && len(f.public)+len(f.subject)+f.decoys == 0
}

// seal seals the event and returns its openings, nil if there is nothing to seal.
func (e *env) seal(ev *event.Event, f *sealFlags) (*event.Openings, error) {
	if f.empty() {
		return nil, nil
	}
	values, err := e.sealedValues(f)
	if err != nil {
		return nil, err
	}
	if f.proceeding != "" && !slices.ContainsFunc(values.public, func(n named) bool { return n.name == "proceeding" }) {
		return nil, usagef("--proceeding-secret makes the tag of a proceeding; give its number, as --public proceeding=NUMBER")
	}
	if values.until == "" && f.limit.Default > 0 {
		values.until = fmt.Sprintf("%ds", f.limit.Default)
	}
	until, err := parseUntil(values.until, ev.Time)
	if err != nil {
		return nil, err
	}
	o := &event.Openings{}
	if o.Public, err = e.makeOpenings(ev, event.ClassPublic, values.public, f); err != nil {
		return nil, err
	}
	if o.Subject, err = e.makeOpenings(ev, event.ClassSubject, values.subject, f); err != nil {
		return nil, err
	}
	return o, ev.Seal(until, o.Public, o.Subject)
}

type sealedValues struct {
	until           string
	public, subject []named
}

func (e *env) sealedValues(f *sealFlags) (v sealedValues, err error) {
	if f.file != "" {
		if v, err = readAs(e, f.file, event.MaxOpeningsSize, parseSealedValues); err != nil {
			return v, err
		}
	}
	v.until = cmp.Or(f.until, v.until)
	for list, args := range map[*[]named][]string{&v.public: f.public, &v.subject: f.subject} {
		for _, arg := range args {
			name, value, ok := strings.Cut(arg, "=")
			if !ok {
				return v, usagef("%q: write name=value", arg)
			}
			*list = append(*list, named{name, []string{value}})
		}
	}
	return v, nil
}

// parseSealedValues reads a file of sealed values, as strictly as a charter file.
func parseSealedValues(b []byte) (v sealedValues, err error) {
	file, err := strictjson.Parse(b)
	if err != nil {
		return v, err
	}
	if file.Kind != '{' {
		return v, errors.New("want an object, in braces")
	}
	lists := map[string]*[]named{"public": &v.public, "subject": &v.subject}
	for i, name := range file.Names {
		switch value, list := file.Values[i], lists[name]; {
		case list != nil && value.Kind == '{':
			*list, err = jsonValues(value)
		case list != nil:
			err = fmt.Errorf("line %d: %s: want an object, in braces", value.Line, name)
		case name != "until":
			err = fmt.Errorf("line %d: %s: no such member; the members here are until, public, subject", value.Line, name)
		case value.Kind != '"':
			err = fmt.Errorf("line %d: until: want a string", value.Line)
		default:
			v.until = value.Text
		}
		if err != nil {
			return v, err
		}
	}
	return v, nil
}

// jsonValues returns the members of an object, each a string or a list of strings.
func jsonValues(object *strictjson.Value) ([]named, error) {
	var out []named
	for i, name := range object.Names {
		value := object.Values[i]
		list := value.Elements()
		if value.Kind == '"' {
			list = []*strictjson.Value{value}
		}
		n := named{name: name}
		for _, e := range list {
			if e.Kind == '"' {
				n.values = append(n.values, e.Text)
			}
		}
		if len(n.values) == 0 || len(n.values) != len(list) {
			return nil, fmt.Errorf("line %d: %s: want a string or a list of strings", value.Line, name)
		}
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b named) int { return cmp.Compare(a.name, b.name) })
	return out, nil
}

// parseUntil parses a time, or a duration from the event's time.
func parseUntil(s string, from time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, usagef("give --until, the time by which public values are opened, like 2006-01-02T15:04:05Z, or a duration like 30d")
	}
	if d, err := command.ParseDuration(s); err == nil && d > 0 {
		return from.Add(d).Truncate(time.Second), nil
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	if err != nil {
		return time.Time{}, usagef("--until %q: give a time like 2006-01-02T15:04:05Z, or a duration like 30d", s)
	}
	return t, nil
}

// makeOpenings makes a class's openings of an event with new salts. The form of a name's
// values is in event.Names.
func (e *env) makeOpenings(ev *event.Event, class event.Class, values []named, f *sealFlags) ([]event.Opening, error) {
	kinds := make(map[string]event.ValueKind)
	for _, n := range event.Names(ev.Type) {
		if n.Class == class {
			kinds[n.Name] = n.Kind
		}
	}
	if len(kinds) == 0 && len(values) == 0 {
		return nil, nil
	}
	var out []event.Opening
	var periods []event.Period // flags give one each, and they are one value
	for _, n := range values {
		kind, ok := kinds[n.name]
		if !ok {
			return nil, usagef("a %s has no sealed %s value %q; it has %s", ev.Type, class, n.name,
				strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		}
		switch kind {
		case event.KindCodes:
			out = append(out, event.NewOpening(n.name, event.Codes(commas(n.values)...)))
			continue
		case event.KindPeriods:
			for _, s := range commas(n.values) {
				p, err := event.ParsePeriod(s)
				if err != nil {
					return nil, usagef("%s %q: give START/END, such as 2026-01-01T00:00:00Z/2026-03-31T23:59:59Z: %w", n.name, s, err)
				}
				periods = append(periods, p)
			}
			continue
		}
		for _, v := range n.values {
			value, err := e.makeValue(ev.Log, n.name, kind, v, f.proceeding)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", n.name, err)
			}
			out = append(out, event.NewOpening(n.name, value))
		}
	}
	if periods != nil {
		out = append(out, event.NewOpening("dataPeriods", event.Periods(periods...)))
	}
	for range f.decoys {
		out = append(out, event.Decoy())
	}
	return out, nil
}

func commas(list []string) []string { return strings.Split(strings.Join(list, ","), ",") }

// makeValue returns the value that s stands for. A key may be @FILE, a file with its SPKI in
// PEM. A reference may be @FILE, the proof file of a warrant of the same log.
func (e *env) makeValue(log, name string, kind event.ValueKind, s, secret string) (event.Value, error) {
	file, isFile := strings.CutPrefix(s, "@")
	switch {
	case kind == event.KindKey && isFile:
		key, err := eventkey.LoadPublic(file)
		if err != nil {
			return event.Value{}, err
		}
		return event.Bytes(key.SPKI()), nil
	case kind == event.KindReference:
		r, err := e.reference(name, event.TypeWarrant, s, log)
		return event.Text(r.String()), err
	case name == "proceeding":
		tag, err := e.proceeding(s, secret)
		return event.Text(tag.String()), err
	}
	return event.Text(s), nil
}

// proceeding returns the tag of a proceeding: s is its number if there is a file with a secret,
// else the tag in hex or base64url.
func (e *env) proceeding(s, secret string) (tag event.Digest, err error) {
	if secret == "" {
		if b, err := hex.DecodeString(s); err == nil {
			s = event.Bytes(b).Text()
		}
		if tag, err = event.ParseDigest(s); err != nil {
			err = usagef("the proceeding is no tag of 32 bytes; to make the tag of a proceeding's number, give --proceeding-secret FILE")
		}
		return tag, err
	}
	if info, err := os.Stat(secret); err == nil && secret != "-" && info.Mode().Perm()&0o077 != 0 {
		return tag, fmt.Errorf("%s is a secret, and other users may read it: change its mode from %#o to 0600", secret, info.Mode().Perm())
	}
	return readAs(e, secret, 4096, line(func(b []byte) (event.Digest, error) { return event.ProceedingTag(b, s) }))
}

// reference returns the reference to an entry that a value names: @FILE, its proof file, or INDEX
// LEAF. Of a type that is none, the entry may be any. Only the log can check what else it must be.
func (e *env) reference(name string, want event.Type, value, log string) (r event.Reference, err error) {
	file, isFile := strings.CutPrefix(value, "@")
	if !isFile {
		if r, err = event.ParseReference(value); err != nil {
			err = usagef("%s %q: give @FILE, the entry's proof, or 'INDEX LEAF', as 'vasistas show' prints both: %w", name, value, err)
		}
		return r, err
	}
	b, err := e.read(file, tlog.MaxProofSize)
	if err != nil {
		return r, err
	}
	entry, index, err := unwrap(b)
	if err == nil && index == nil {
		err = errors.New("it is no proof file, which says the entry's index")
	}
	var env *event.Envelope
	if err == nil {
		env, err = event.ParseEnvelope(entry)
	}
	switch {
	case err != nil:
	case want.Valid() && env.Event.Type != want:
		err = fmt.Errorf("it is a %s, and not a %s", env.Event.Type, want)
	case env.Event.Log != log:
		err = fmt.Errorf("it is of the log %q, and not of %q", env.Event.Log, log)
	default:
		return event.Reference{Index: *index, Leaf: env.LeafHash()}, nil
	}
	return r, fmt.Errorf("%s: %w", file, err)
}
