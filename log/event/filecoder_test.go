// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/internal/strictjson"
)

func sampleFile(t testing.TB) string {
	t.Helper()
	b, err := sampleBodies()[0].(*Charter).File("log.example/2026")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A body that a person writes is read in any order, and an error names line and member.
func TestParseBodyFile(t *testing.T) {
	const ref = `"warrant": {"leaf": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "index": 3}`
	for _, c := range []struct {
		typ        Type
		file, want string
	}{
		{TypeResponse, `{` + ref + `, "outcome": "partial", "ground": "immunity", "categories": ["traffic", "content"]}`, ""},
		{TypeResponse, `{` + ref + `, "outcome": "partial", "ground": "immunity", "categories": ["content", "content"]}`, "categories: list must be sorted by JSON text, without duplicates"},
		{TypeResponse, `{` + ref + `, "outcome": "partial", "ground": "immunity"}`, "body.categories: is missing: the outcome partial needs it"},
		{TypeResponse, `{` + ref + `, "outcome": "refused", "ground": "immunity", "reason": "moot"}`, "line 1: reason: no such member; the members here are categories, ground, outcome, warrant"},
		{TypeResponse, `{` + ref + `, "outcome": "refused", "outcome": "unable", "ground": "immunity"}`, `"outcome" stands twice in one object`},
		{TypeResponse, "{\n" + ref + `, "outcome": "refused", "ground": null}`, "line 2, byte 115: ground: null: leave the member out"},
		{TypeRevocation, `{` + ref + `, "reason": "moot"}`, "line 1: scope: it is missing: what ends, is suspended or resumes"},
		{TypeRevocation, "{\n" + ref + `, "reason": "moot", "scope": "suspend"}`, "line 2: scope: want one of: all, "},
		{TypeRevocation, `{` + ref + `, "reason": "moot", "scope": "resumed"}`, "body.suspension: is missing: the scope resumed needs it"},
		{TypeRevocation, `{` + ref + `, "reason": "moot", "scope": "all", "categories": ["traffic"]}`, "body.categories: must be absent: only the scope categories has it"},
		{TypeRevocation, `{"warrant": "@w.tlog-proof", "reason": "moot", "scope": "all"}`, "line 1: warrant: want an object, in braces"},
		{TypeWarrant, "{\n\"extends\": \"3 x\"}", "line 2: extends: it is a sealed value (public), and no member of the body"},
		{TypeWarrant, `[]`, "want an object, in braces"},
		{"wish", `{}`, `no type "wish"`},
	} {
		body, err := ParseBodyFile(c.typ, []byte(c.file))
		if err == nil {
			var ev *Event
			if ev, err = New("log.example", body); err == nil {
				_, err = ev.Bytes()
			}
		}
		if (err == nil) != (c.want == "") || err != nil && !(errors.Is(err, ErrMalformed) && strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %s: %v, want %s", c.typ, c.file, err, c.want)
		}
	}
	if _, err := ParseBodyFile(TypeWarrant, bytes.Repeat([]byte(" "), MaxCharterFile+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file too large: %v", err)
	}
}

// A body of each type, written as a file, is the body that was written.
func TestBodyFileRoundTrip(t *testing.T) {
	for _, body := range sampleBodies() {
		ev, err := New("log.example/2026", body)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := ev.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		var parts struct{ Body json.RawMessage }
		if err := json.Unmarshal(payload, &parts); err != nil {
			t.Fatal(err)
		}
		got, err := ParseBodyFile(body.Type(), parts.Body)
		if err != nil {
			t.Errorf("%s: %v", body.Type(), err)
			continue
		}
		ev.Body = got
		if again, err := ev.Bytes(); err != nil || !bytes.Equal(again, payload) {
			t.Errorf("%s: %s, %v, want %s", body.Type(), again, err, payload)
		}
	}
}

// What a command line says of a member is what a file has.
func TestMemberJSON(t *testing.T) {
	for _, body := range sampleBodies() {
		payload, err := sample(t, body).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		v, err := strictjson.Parse(payload)
		if err != nil {
			t.Fatal(err)
		}
		members := Members(body.Type())
		for i, name := range v.Member("body").Names {
			at := slices.IndexFunc(members, func(m Member) bool { return m.Name == name })
			if at < 0 {
				t.Errorf("%s has no %s", body.Type(), name)
				continue
			}
			m, is := members[at], v.Member("body").Values[i]
			text := is.Text
			switch {
			case m.Kind == MemberReference:
				text = is.Member("index").Text + " " + is.Member("leaf").Text
			case is.Kind == '{', strings.HasPrefix(m.Kind, "list of objects"), strings.HasPrefix(m.Kind, "list of disclosures"):
				continue // no text of a command line
			}
			for j, e := range is.Elements() {
				text += strings.Repeat(",", min(j, 1)) + e.Text
			}
			got, err := m.JSON(text)
			again, bad := strictjson.Parse(got)
			if want := payload[is.Start:is.End]; err != nil || bad != nil || again.Text != is.Text || len(again.Values) != len(is.Values) || again.Kind != is.Kind {
				t.Errorf("%s %s=%s: %s, %v, want %s", body.Type(), name, text, got, err, want)
			}
		}
	}
}

// An error in a charter file names line and member, and what to do.
func TestCharterFileRefuses(t *testing.T) {
	good := sampleFile(t)
	for _, c := range []struct{ old, new, want string }{
		{`"log": `, `"Log": `, `Log: no such member; the members here are log, auditPolicy, `},
		{`  "log": "log.example/2026",`, ``, "line 1: log: it is missing: origin of the log"},
		{`"skew": "`, `"skew": "x`, `profile.skew: "x`},
		{`"accessLife": "`, `"accessLife": "0`, `is no duration like 90d, 6h, 10m or 45s`},
		{`"rules": 2`, `"rules": "2"`, "rules: want an integer"},
		{`"rules": 2`, `"rules": 2.5`, "rules: want an integer"},
		{`"rules": 2`, `"rules": 2e0`, "rules: want an integer"},
		{`"rules": 2`, `"rules": 2, "rules": 2`, `"rules" stands twice in one object`},
		{`"rules": 2`, `"rules": null`, "null: leave the member out"},
		{`"members": [`, `"members": [], "member": [`, `groups[0].member: no such member; the members here are id, members, threshold`},
		{`"reasons": [`, `"reasons": [], "reason": [`, `profile.reason: no such member`},
		{`"above": [`, `"above": [{"a": 1},`, `above[0]: want a string`},
		{`"role": "provider"`, `"role": "king"`, "role: want one of: auditor, "},
		{`"role": "provider"`, `"role": 7`, "role: want a string"},
		{`"thresholds": {`, `"thresholds": [`, "not strict JSON: line "},
	} {
		if !strings.Contains(good, c.old) {
			t.Errorf("the sample has no %s", c.old)
			continue
		}
		bad := strings.Replace(good, c.old, c.new, 1)
		_, _, err := ParseCharterFile([]byte(bad))
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s for %s: %v, want %s", c.new, c.old, err, c.want)
		}
	}
	void := good[:strings.Index(good, `"void": [`)] + `"void": [],` + good[strings.Index(good, "\n  \"witnessPolicy"):]
	if _, _, err := ParseCharterFile([]byte(void)); err == nil || !strings.Contains(err.Error(), "void: the list is empty: give an element") {
		t.Errorf("an empty list: %v", err)
	}
	if _, _, err := ParseCharterFile(bytes.Repeat([]byte(" "), MaxCharterFile+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file too large: %v", err)
	}
}

// A value in a list has a line and path of its own.
func TestCharterFilePlace(t *testing.T) {
	lines := strings.Split(sampleFile(t), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, `      "keys": [`) })
	lines[i+1] = strings.Replace(lines[i+1], `"M`, `"!`, 1)
	_, _, err := ParseCharterFile([]byte(strings.Join(lines, "\n")))
	if err == nil || !strings.Contains(err.Error(), "parties[0].keys[0]: ") {
		t.Errorf("%v", err)
	}
}

// A file may be written in any order, and with other units.
func TestCharterFileOrder(t *testing.T) {
	text := sampleFile(t)
	a := strings.Index(text, `  "rules"`)
	b := strings.Index(text, `  "thresholds"`)
	moved := "{\n" + text[a:b] + strings.TrimPrefix(text[:a]+text[b:], "{\n")
	log, ch, err := ParseCharterFile([]byte(moved))
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(ch.Parties)
	again, err := ch.File(log)
	if err != nil || string(again) != text {
		t.Errorf("%s (%v)", again, err)
	}
}

func TestSpan(t *testing.T) {
	for seconds, want := range map[uint64]string{0: "0 seconds", 1: "1 second", 59: "59 seconds", 60: "1 minute", 90: "1 minute 30 seconds", 3600: "1 hour",
		3601: "1 hour", 86399: "23 hours 59 minutes", 90061: "1 day 1 hour", 14 * 86400: "14 days", MaxInteger: "104249991374 days 7 hours"} {
		if got := Span(seconds); got != want {
			t.Errorf("%d: %q, want %q", seconds, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for seconds, text := range map[uint64]string{0: "0s", 1: "1s", 90: "90s", 3600: "1h", 36 * 3600: "36h", 90 * 86400: "90d", MaxInteger: "9007199254740991s"} {
		if got := formatDuration(seconds); got != text {
			t.Errorf("%d is %s, want %s", seconds, got, text)
		}
		if got, err := ParseDuration(text); got != seconds || err != nil {
			t.Errorf("%s is %d (%v), want %d", text, got, err, seconds)
		}
	}
	for _, text := range []string{"", "s", "5", "05s", "-1s", "+1s", "1.5h", "1 s", "1w", "1hh", "1H", "9007199254740992s", "104249991375d", "99999999999999999999d"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
}

// A charter file has one printed form, and the event made from it says the same.
func FuzzCharterFile(f *testing.F) {
	f.Add([]byte(sampleFile(f)))
	f.Add([]byte(`{"log":"a","rules":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		log, ch, err := ParseCharterFile(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		printed, err := ch.File(log)
		if err != nil {
			t.Fatalf("%s can't be printed: %v", b, err)
		}
		log2, ch2, err := ParseCharterFile(printed)
		if err != nil {
			t.Fatalf("%s can't be read again: %v", printed, err)
		}
		if again, err := ch2.File(log2); err != nil || !bytes.Equal(again, printed) {
			t.Fatalf("%s\nwas read as\n%s (%v)", printed, again, err)
		}
		ev, err := New(log, ch)
		if err != nil {
			t.Fatalf("no event can be made of %s: %v", printed, err)
		}
		payload, err := ev.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(payload)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := back.Body.(*Charter).File(back.Log); err != nil || !bytes.Equal(again, printed) {
			t.Fatalf("%s\ncame out of its event as\n%s (%v)", printed, again, err)
		}
	})
}
