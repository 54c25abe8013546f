// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
)

type sealFlags struct {
	until           string
	public, subject []string
	file            string
	decoys          int
}

type sealFile struct {
	Until   string                     `json:"until"`
	Public  map[string]json.RawMessage `json:"public"`
	Subject map[string]json.RawMessage `json:"subject"`
}

// named is a value to be sealed, as text, or a list of values.
type named struct {
	name   string
	values []string
}

func (f *sealFlags) empty() bool {
	return f.until == "" && f.file == "" && len(f.public)+len(f.subject)+f.decoys == 0
}

// seal seals the event and returns its openings, nil if there is nothing to seal.
func (e *env) seal(ev *event.Event, f *sealFlags) (*event.Openings, error) {
	if f.empty() {
		return nil, nil
	}
	until, public, subject, err := e.sealInput(f)
	if err != nil {
		return nil, err
	}
	at, err := parseUntil(until, ev.Time)
	if err != nil {
		return nil, err
	}
	o := &event.Openings{}
	if o.Public, err = makeOpenings(ev.Type, event.ClassPublic, public, f.decoys); err != nil {
		return nil, err
	}
	if o.Subject, err = makeOpenings(ev.Type, event.ClassSubject, subject, f.decoys); err != nil {
		return nil, err
	}
	if err := ev.Seal(at, o.Public, o.Subject); err != nil {
		return nil, err
	}
	return o, nil
}

func (e *env) sealInput(f *sealFlags) (until string, public, subject []named, err error) {
	until = f.until
	if f.file != "" {
		b, err := e.read(f.file, event.MaxOpeningsSize)
		if err != nil {
			return "", nil, nil, err
		}
		var s sealFile
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&s); err != nil {
			return "", nil, nil, fmt.Errorf("%s: %w", f.file, err)
		}
		if _, err := dec.Token(); err != io.EOF {
			return "", nil, nil, fmt.Errorf("%s: unexpected data after the object", f.file)
		}
		if until == "" {
			until = s.Until
		}
		if public, err = jsonValues(s.Public); err != nil {
			return "", nil, nil, fmt.Errorf("%s: %w", f.file, err)
		}
		if subject, err = jsonValues(s.Subject); err != nil {
			return "", nil, nil, fmt.Errorf("%s: %w", f.file, err)
		}
	}
	for list, args := range map[*[]named][]string{&public: f.public, &subject: f.subject} {
		for _, arg := range args {
			name, value, ok := strings.Cut(arg, "=")
			if !ok {
				return "", nil, nil, usagef("%q: write name=value", arg)
			}
			*list = append(*list, named{name, []string{value}})
		}
	}
	return until, public, subject, nil
}

func jsonValues(m map[string]json.RawMessage) ([]named, error) {
	var out []named
	for _, name := range slices.Sorted(maps.Keys(m)) {
		var one string
		var many []string
		if json.Unmarshal(m[name], &one) == nil {
			many = []string{one}
		} else if err := json.Unmarshal(m[name], &many); err != nil {
			return nil, fmt.Errorf("%s: want a string or a list of strings", name)
		}
		out = append(out, named{name, many})
	}
	return out, nil
}

// parseUntil parses a time, or a duration from the event's time.
func parseUntil(s string, from time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, usagef("give --until, the time by which public values are opened, like 2006-01-02T15:04:05Z, or a duration like 720h")
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return from.Add(d).Truncate(time.Second), nil
	}
	t, err := time.Parse("2006-01-02T15:04:05Z", s)
	if err != nil {
		return time.Time{}, usagef("--until %q: give a time like 2006-01-02T15:04:05Z, or a duration like 720h", s)
	}
	return t, nil
}

// makeOpenings makes a class's openings with new salts. The form of a name's values is in
// event.Names.
func makeOpenings(t event.Type, class event.Class, values []named, decoys int) ([]event.Opening, error) {
	kinds := make(map[string]event.ValueKind)
	for _, n := range event.Names(t) {
		if n.Class == class {
			kinds[n.Name] = n.Kind
		}
	}
	if len(kinds) == 0 && len(values) == 0 {
		return nil, nil
	}
	var out []event.Opening
	for _, n := range values {
		kind, ok := kinds[n.name]
		if !ok {
			return nil, usagef("a %s has no sealed %s value %q; it has %s", t, class, n.name,
				strings.Join(slices.Sorted(maps.Keys(kinds)), ", "))
		}
		if kind == event.KindCodes {
			var codes []string
			for _, v := range n.values {
				codes = append(codes, strings.Split(v, ",")...)
			}
			out = append(out, event.NewOpening(n.name, event.Codes(codes...)))
			continue
		}
		for _, v := range n.values {
			value, err := makeValue(kind, v)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", n.name, err)
			}
			out = append(out, event.NewOpening(n.name, value))
		}
	}
	for range decoys {
		out = append(out, event.Decoy())
	}
	return out, nil
}

// makeValue returns a value of s. A key may be @FILE, a file with its SPKI in PEM.
func makeValue(kind event.ValueKind, s string) (event.Value, error) {
	if file, ok := strings.CutPrefix(s, "@"); ok && kind == event.KindKey {
		key, err := eventkey.LoadPublic(file)
		if err != nil {
			return event.Value{}, err
		}
		return event.Bytes(key.SPKI()), nil
	}
	return event.Text(s), nil
}
