// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// numbered returns a JSON list of n sorted codes.
func numbered(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`"c%03d"`, i)
	}
	return "[" + strings.Join(list, ",") + "]"
}

// says reports whether a parser refused its input with these words, or, if they are "", did not.
func says(err error, want string) bool {
	return want == "" && err == nil || want != "" && errors.Is(err, ErrMalformed) && strings.Contains(err.Error(), want)
}

// Each member of a warrant, a revocation, an access, a response and a return has an error of
// its own for each way of being wrong.
func TestBodiesRefuse(t *testing.T) {
	const (
		there   = `"ground":"g","outcome":%s,"warrant":REF}`
		granted = `"decision":"granted","instrument":"i","notAfter":"2026-03-01T12:00:00Z","notBefore":"2026-03-01T12:00:00Z","offence":"o","provider":"p"}`
		denied  = `"decision":"denied","instrument":"i","offence":"o","provider":"p"}`
		keys    = `"group":"g","recipient":{"kem":"x25519","public":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"warrant":REF}`
		figures = `"days":0,"encryption":false,"executed":%s,"persons":0,"plaintext":false,"warrant":REF}`
		revoked = `"reason":"r","scope":%s,"warrant":REF}`
	)
	reference, err := json.Marshal(ref(1))
	if err != nil {
		t.Fatal(err)
	}
	parse := func(typ Type, body string) error {
		body = strings.ReplaceAll(body, "REF", string(reference))
		_, err := Parse([]byte(`{"body":` + body + `,"id":"AAAAAAAAAAAAAAAAAAAAAQ","log":"` + testLog + `","time":"2026-03-01T12:00:00Z","type":"` + string(typ) + `"}`))
		return err
	}
	set := func(text, value string) string { return fmt.Sprintf(text, value) }
	for _, c := range []struct {
		typ        Type
		body, want string // what the error has; "": no error
	}{
		{TypeWarrant, `{"accesses":1,"accounts":2,` + granted, ""},
		{TypeWarrant, `{` + granted, ""},
		{TypeWarrant, `{"categories":["a","b"],` + denied, ""},
		{TypeWarrant, `{"accesses":1,` + granted, "body.accounts: is missing"},
		{TypeWarrant, `{"accounts":1,` + granted, "body.accesses: is missing"},
		{TypeWarrant, `{"accesses":0,"accounts":1,` + granted, "body.accesses: integer out of range"},
		{TypeWarrant, `{"accesses":1,"accounts":0,` + granted, "body.accounts: integer out of range"},
		{TypeWarrant, `{"accesses":1,"accounts":1,` + denied, "body.accesses: must be absent when denied"},
		{TypeWarrant, `{"accounts":1,` + denied, "body.accounts: must be absent when denied"},

		{TypeRevocation, `{` + set(revoked, `"all"`), ""},
		{TypeRevocation, `{` + set(revoked, `"suspended"`), ""},
		{TypeRevocation, `{"categories":["a"],` + set(revoked, `"categories"`), ""},
		{TypeRevocation, `{` + strings.Replace(set(revoked, `"resumed"`), `"warrant"`, `"suspension":REF,"warrant"`, 1), ""},
		{TypeRevocation, `{"reason":"r","warrant":REF}`, "body.scope: is missing"},
		{TypeRevocation, `{` + set(revoked, `"none"`), "body.scope: want one of: all, categories, resumed, suspended"},
		{TypeRevocation, `{` + set(revoked, `""`), "body.scope: want one of: all, categories, resumed, suspended"},
		{TypeRevocation, `{` + set(revoked, `1`), "body.scope: want a string without unneeded escapes"},
		{TypeRevocation, `{` + set(revoked, `"categories"`), "body.categories: is missing"},
		{TypeRevocation, `{"categories":["a"],` + set(revoked, `"all"`), "body.categories: must be absent"},
		{TypeRevocation, `{"categories":["a"],` + set(revoked, `"suspended"`), "body.categories: must be absent"},
		{TypeRevocation, `{"categories":["a"],` + strings.Replace(set(revoked, `"resumed"`), `"warrant"`, `"suspension":REF,"warrant"`, 1), "body.categories: must be absent"},
		{TypeRevocation, `{` + set(revoked, `"resumed"`), "body.suspension: is missing"},
		{TypeRevocation, `{` + strings.Replace(set(revoked, `"suspended"`), `"warrant"`, `"suspension":REF,"warrant"`, 1), "body.suspension: must be absent"},
		{TypeRevocation, `{` + strings.Replace(set(revoked, `"all"`), `"warrant"`, `"suspension":REF,"warrant"`, 1), "body.suspension: must be absent"},
		{TypeRevocation, `{` + strings.Replace(set(revoked, `"resumed"`), `"warrant"`, `"suspension":4,"warrant"`, 1), "body.suspension: want '{'"},

		{TypeResponse, `{` + set(there, `"refused"`), ""},
		{TypeResponse, `{` + set(there, `"unable"`), ""},
		{TypeResponse, `{"categories":["a"],` + set(there, `"partial"`), ""},
		{TypeResponse, `{` + set(there, `"executed"`), "body.outcome: want one of: partial, refused, unable"},
		{TypeResponse, `{"ground":"g","warrant":REF}`, "body.outcome: is missing"},
		{TypeResponse, `{"outcome":"refused","warrant":REF}`, "body.ground: is missing"},
		{TypeResponse, `{"ground":"No data","outcome":"refused","warrant":REF}`, "body.ground: " + errCode.Error()},
		{TypeResponse, `{` + set(there, `"partial"`), "body.categories: is missing"},
		{TypeResponse, `{"categories":["a"],` + set(there, `"refused"`), "body.categories: must be absent"},
		{TypeResponse, `{"categories":["a"],` + set(there, `"unable"`), "body.categories: must be absent"},
		{TypeResponse, `{"ground":"g","outcome":"refused"}`, "body.warrant: is missing"},

		{TypeReturn, `{"accounts":0,` + set(figures, "false"), ""},
		{TypeReturn, `{"accounts":1,` + set(figures, "true"), ""},
		{TypeReturn, `{` + set(figures, "true"), "body.accounts: is missing"},
		{TypeReturn, `{"accounts":1,` + set(figures, "false"), "body: figures for a warrant that was not executed"},
	} {
		if err := parse(c.typ, c.body); !says(err, c.want) {
			t.Errorf("%s %s: %v, want %s", c.typ, c.body, err, c.want)
		}
	}
	const categories = `"categories":LIST,`
	for typ, body := range map[Type]string{
		TypeWarrant:    `{` + categories + granted,
		TypeRevocation: `{` + categories + set(revoked, `"categories"`),
		TypeResponse:   `{` + categories + set(there, `"partial"`),
		TypeAccess:     `{"accounts":1,` + categories + keys,
	} {
		for list, want := range map[string]string{
			numbered(16): "",
			numbered(17): errLong.Error(),
			`[]`:         errEmptyList.Error(),
			`["b","a"]`:  errUnsorted.Error(),
			`["a","a"]`:  errUnsorted.Error(),
			`["A"]`:      errCode.Error(),
			`[""]`:       errCode.Error(),
			`["2026-03-01T12:00:00Z/2026-03-01T12:00:00Z"]`: errCode.Error(),
			`[1]`:    errString.Error(),
			`["a",]`: errString.Error(),
			`"a"`:    "want '[' at byte",
			`null`:   "want '[' at byte",
		} {
			if want != "" {
				want = "body.categories: " + want
			}
			if err := parse(typ, strings.Replace(body, "LIST", list, 1)); !says(err, want) {
				t.Errorf("%s %s: %v, want %s", typ, list, err, want)
			}
		}
	}
}

// A charter is refused with the same error as an event and as a file. A file's lists may be
// unsorted.
func TestCharterMembersRefuse(t *testing.T) {
	const (
		preserved  = `"code":"epo-preservation","issuers":["court"],"preserves":true,"validated":["police"],"validators":["court"]`
		content    = `"category":"content","code":"stpo-100a"`
		with       = `"with":["subscriber","traffic"]`
		categories = `"categories":["content","subscriber","traffic"]`
		grounds    = `"nonExecution":["data-not-held","immunity"]`
		emergency  = `"categories":["subscriber"],"decision"`
		enforces   = `"enforces":["ag-berlin"]`
		noIssue    = "body.profile.instruments: a kind that is validated neither issues alone nor validates (instrument epo-preservation)"
		pair       = "body.profile.instruments: validated and validators need each other (instrument epo-preservation)"
		kinds      = `"code":"epo-preservation","issuers":LIST,"preserves":true,"validated":["police"],"validators":["court"]`
		unknown    = "body.profile.instruments: category and with: not all are categories of the profile (instrument stpo-100a)"
	)
	watchdog := url.EncodeToString(edSigner("watchdog").Public().SPKI())
	list := func(s string) string { return strings.Replace(kinds, "LIST", s, 1) }
	for _, c := range []struct{ old, new, want string }{
		{enforces, `"enforces":["lg-berlin"]`, "enforces: lg-berlin is not another authority"},
		{enforces, `"enforces":["ag-hamburg"]`, "enforces: ag-hamburg is not another authority"},
		{enforces, `"enforces":["messenger"]`, "enforces: messenger is not another authority"},
		{enforces, `"enforces":["custodian-1"]`, "enforces: custodian-1 is not another authority"},
		{enforces, `"enforces":["ag-berlin","ag-berlin"]`, "list must be sorted"},
		{enforces, `"enforces":[]`, "enforces: "},
		{enforces, `"enforces":["Berlin"]`, errCode.Error()},
		{enforces, `"enforces":` + numbered(maxParties+1), errLong.Error()},
		{`],"keys":["` + watchdog, `],"enforces":["ag-berlin"],"keys":["` + watchdog, "kind, above, enforces: must be absent: for authorities only"},

		{categories, `"categories":[]`, "profile.categories: "},
		{categories, `"categories":["content","content"]`, "profile.categories: list must be sorted"},
		{categories, `"categories":["content","of content"]`, errCode.Error()},
		{categories, `"categories":` + numbered(17), "profile.categories: " + errLong.Error()},
		{categories, `"categories":["content","traffic"]`, unknown},
		{grounds, `"nonExecution":[]`, "profile.nonExecution: "},
		{grounds, `"nonExecution":["immunity","immunity"]`, "profile.nonExecution: list must be sorted"},
		{grounds, `"nonExecution":[7]`, "want a string"},
		{grounds, `"nonExecution":` + numbered(129), "profile.nonExecution: " + errLong.Error()},
		{emergency, `"categories":[],"decision"`, "profile.emergency.categories: "},
		{emergency, `"categories":["location"],"decision"`, "body.profile.emergency.categories: not all are categories of the profile"},
		{emergency, `"categories":` + numbered(17) + `,"decision"`, "profile.emergency.categories: " + errLong.Error()},

		{content, `"category":"location","code":"stpo-100a"`, unknown},
		{content, `"category":"Content","code":"stpo-100a"`, "category: " + errCode.Error()},
		{with, `"with":["location"]`, unknown},
		{with, `"with":["content","traffic"]`, "body.profile.instruments: with has the category itself (instrument stpo-100a)"},
		{with, `"with":[]`, "with: "},
		{with, `"with":["traffic","traffic"]`, "list must be sorted"},
		{with, `"with":` + numbered(17), errLong.Error()},

		{preserved, list(`["police"]`), noIssue},
		{preserved, list(`["court","police"]`), noIssue},
		{preserved, list(`[]`), "issuers: "},
		{preserved, list(`["court","court"]`), "list must be sorted"},
		{preserved, list(numbered(129)), errLong.Error()},
		{`"validators":["court"]`, `"validators":["police"]`, noIssue},
		{`,"validators":["court"]`, ``, pair},
		{`"validated":["police"],`, ``, pair},
		{`"validated":["police"]`, `"validated":[]`, "validated: "},
		{`"validators":["court"]`, `"validators":[]`, "validators: "},
		{`"preserves":true`, `"preserves":false`, "preserves: want true, or no such member"},
		{`"preserves":true`, `"preserves":"true"`, "preserves: want true, or no such member"},
	} {
		ch := sampleCharter()
		event := sample(t, ch)
		payload, err := event.Bytes()
		must(t, err)
		indented, err := ch.File(testLog)
		must(t, err)
		var file bytes.Buffer
		must(t, json.Compact(&file, indented))
		for what, text := range map[string]string{"event": string(payload), "file": file.String()} {
			if strings.Count(text, c.old) != 1 {
				t.Errorf("the %s has %q %d times", what, c.old, strings.Count(text, c.old))
				continue
			}
			bad := strings.Replace(text, c.old, c.new, 1)
			if what == "event" {
				_, err = Parse([]byte(bad))
			} else {
				_, _, err = ParseCharterFile([]byte(bad))
			}
			if !says(err, c.want) {
				t.Errorf("%s: %s for %s: %v, want %s", what, c.new, c.old, err, c.want)
			}
		}
	}
}

// An instrument's category decides where the instrument stands in an event.
func TestWithNeedsCategory(t *testing.T) {
	payload, err := sample(t, sampleCharter()).Bytes()
	must(t, err)
	_, err = Parse([]byte(strings.Replace(string(payload), `"window":2419200}`, `"window":2419200,"with":["traffic"]}`, 1)))
	if !says(err, "body.profile.instruments: with needs a category (instrument stpo-100b)") {
		t.Error(err)
	}
	_, _, err = ParseCharterFile([]byte(strings.Replace(sampleFile(t), `"category": "content",`, ``, 1)))
	if !says(err, "body.profile.instruments: with needs a category (instrument stpo-100a)") {
		t.Error(err)
	}
}

// What a file may leave unsorted, an event may not.
func TestCharterMembersUnsorted(t *testing.T) {
	payload, err := sample(t, sampleCharter()).Bytes()
	must(t, err)
	for _, list := range [][2]string{
		{`"categories":["content","subscriber","traffic"]`, `"categories":["subscriber","content","traffic"]`},
		{`"with":["subscriber","traffic"]`, `"with":["traffic","subscriber"]`},
		{`"nonExecution":["data-not-held","immunity"]`, `"nonExecution":["immunity","data-not-held"]`},
	} {
		bad := strings.Replace(string(payload), list[0], list[1], 1)
		if _, err := Parse([]byte(bad)); !says(err, errUnsorted.Error()) {
			t.Errorf("%s: %v", list[1], err)
		}
	}
	ch := sampleCharter()
	slices.Reverse(ch.Profile.Instruments[1].With)
	slices.Reverse(ch.Profile.Categories)
	slices.Reverse(ch.Profile.NonExecution)
	got, err := ch.File(testLog)
	if err != nil || string(got) != sampleFile(t) {
		t.Errorf("a charter with unsorted lists has another file: %v", err)
	}
}
