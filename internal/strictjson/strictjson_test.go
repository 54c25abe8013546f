// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestRefused(t *testing.T) {
	for text, want := range map[string]string{
		``:                                 "line 1, byte 0: unexpected end of JSON input: the file was cut off",
		"{\"a\": {\"b\": [1, \"x":          "line 1, byte 18: a.b[1]: unexpected end of JSON input",
		"{\n\"a\": 1,\n\"a\": 2}":          `line 3, byte 10: "a" stands twice in one object, first in line 2`,
		"{\"a\": 1,\n\"\\u0061\": 2}":      `line 2, byte 9: "a" stands twice`,
		"[{\"b\": [\n{\"c\":1,\"c\":1}]}]": `line 2, byte 16: [0].b[0]: "c" stands twice`,
		"[\n\n1,]":                         "line 3, byte 5: [1]: invalid character ']' looking for beginning of value: a value must stand there",
		"[1]\n2":                           "line 2, byte 4: invalid character '2' after top-level value: nothing may follow",
		"[1,\nnull]":                       "line 2, byte 4: [1]: null: leave the member out",
		`["\ud800"]`:                       "[0]: a string has half of a surrogate pair",
		`["\udc00\ud800"]`:                 "half of a surrogate pair",
		`["\ud800\ud800\udc00"]`:           "half of a surrogate pair",
		`["\ud800x\udc00"]`:                "half of a surrogate pair",
		`{"\udfff": 1}`:                    "half of a surrogate pair",
		"{\"a\":\n\"x\xff\"}":              "line 2, byte 8: a: not valid UTF-8",
		"\ufeff[]":                         "line 1, byte 0: invalid character",
		`{a: 1}`:                           "line 1, byte 1: invalid character 'a' looking for beginning of object key string: a name in double quotes must stand there",
		`{"a": 1, }`:                       "byte 9: a: invalid character '}' looking for beginning of object key string: a name in double quotes must stand there, and no comma before a }",
		`{"a": {"b": 1 "c": 2}}`:           "byte 14: a.b: invalid character '\"' after object key:value pair: a comma must stand between members",
		`{"a": 'x'}`:                       "byte 6: a: invalid character '\\'' looking for beginning of value: a value must stand there, text in double quotes",
		`{"a" 1}`:                          "after object key: a colon must stand",
		"[\"a\nb\"]":                       "[0]: invalid character '\\n' in string literal: write it as \\n",
		`{"a": null, "b": }`:               "byte 6: a: null: leave the member out",
		`[01]`:                             "byte 2: [0]: invalid character '1'",
	} {
		_, err := Parse([]byte(text))
		if !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestPlaces(t *testing.T) {
	text := "{\n \"a\": [1, true,\n\"\\ud83d\\ude00\\\\u\"],\n\"A\": {}\n}"
	v, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if a, other := v.Member("a"), v.Member("A"); a.Line != 2 || other.Line != 4 || text[a.Start:a.End] != "[1, true,\n\"\\ud83d\\ude00\\\\u\"]" || text[other.Start:other.End] != "{}" {
		t.Errorf("%+v %+v", a, other)
	}
	if s := v.Member("a").Values[2]; s.Line != 3 || s.Text != "\U0001f600\\u" {
		t.Errorf("%+v", s)
	}
	if v.Member("b") != nil || v.End != len(text) {
		t.Errorf("%+v", v)
	}
}

// plain is what encoding/json makes of the same text.
func plain(v *Value) any {
	switch v.Kind {
	case '{':
		o := make(map[string]any)
		for i, name := range v.Names {
			o[name] = plain(v.Values[i])
		}
		return o
	case '[':
		list := []any{}
		for _, e := range v.Values {
			list = append(list, plain(e))
		}
		return list
	case '0':
		return json.Number(v.Text)
	case 't':
		return v.Text == "true"
	}
	return v.Text
}

// encoding/json reads each accepted text alike, and each value is the text between its
// offsets.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,true,"x"],"b":{"c":-1e5}}`, "[ ]", `"\ud83d\ude00"`, `["\ud800"]`, `{"a":1,"a":2}`, "[null]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrSyntax) {
				t.Fatalf("error is %v", err)
			}
			return
		}
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		var want any
		if err := d.Decode(&want); err != nil || !reflect.DeepEqual(plain(v), want) {
			t.Fatalf("%q was read as %v, not %v (%v)", b, plain(v), want, err)
		}
		var walk func(*Value)
		walk = func(v *Value) {
			again, err := Parse(b[v.Start:v.End])
			if err != nil || !reflect.DeepEqual(plain(again), plain(v)) {
				t.Fatalf("%q: the value at %d is %q (%v)", b, v.Start, b[v.Start:v.End], err)
			}
			for _, e := range v.Values {
				walk(e)
			}
		}
		walk(v)
	})
}

// TestDecode: each member once, under its own name, and in UTF-8.
func TestDecode(t *testing.T) {
	type inner struct {
		Count int `json:"count,omitempty"`
	}
	for in, ok := range map[string]bool{
		`{"name":"a","count":2}`:    true,
		`{"name":"a"}`:              true,
		`{"Name":"a"}`:              false,
		`{"name":"a","name":"b"}`:   false,
		`{"name":"a","other":1}`:    false,
		`{"name":"a"} {}`:           false,
		`{"name":"a","":1}`:         false,
		"{\"name\":\"\xff\"}":       false,
		`{"name":"\ud800"}`:         false,
		`["name"]`:                  false,
		`{"name":1}`:                false,
		`{"name":"a","count":null}`: false,
		`{"name":"a","hidden":"b"}`: false,
	} {
		var v struct {
			Name string `json:"name"`
			inner
			hidden string
		}
		if err := Decode([]byte(in), &v); (err == nil) != ok || err != nil && !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %v, %+v", in, err, v)
		}
		_ = v.hidden
	}
}

// TestDecodeNames: the error names line, offset and member, and what stands there.
func TestDecodeNames(t *testing.T) {
	for in, want := range map[string]string{
		"{\"name\":\n1}":                 "line 2, byte 9: name: want a string, not a JSON number",
		`{"in":{"count":"x"}}`:           "line 1, byte 15: in.count: want a number, not a JSON string",
		`{"in":[]}`:                      "line 1, byte 6: in: want an object, not a JSON array",
		"{\"name\":\"a\",\n\"Count\":1}": "line 2: Count: no such member; the members here are name, in",
	} {
		var v struct {
			Name string `json:"name"`
			In   struct {
				Count int `json:"count"`
			} `json:"in"`
		}
		if err := Decode([]byte(in), &v); !errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", in, err, want)
		}
	}
}
