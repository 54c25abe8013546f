// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/events.md")

// describe walks fields without a value and returns their rows.
func describe(fields func(*coder)) []row {
	c := coder{mode: describing}
	fields(&c)
	return c.rows
}

// shared are the objects that are documented once.
func shared() []struct {
	name string
	rows []row
} {
	type s = struct {
		name string
		rows []row
	}
	return []s{
		{"reference", describe(new(Reference).fields)},
		{"head", describe(new(Head).fields)},
		{"encryption key", describe(new(HPKEKey).fields)},
		{"deadline", describe(new(Deadline).fields)},
		{"seal limit", describe(new(SealLimit).fields)},
		{"deferral limit", describe(new(DeferralLimit).fields)},
		{"step", describe(new(Step).fields)},
	}
}

// RFC 8785 sorts members, so each walk must be in that order at every level.
func TestMembersAreSorted(t *testing.T) {
	check := func(what string, rows []row) {
		last := make(map[string]string)
		for _, r := range rows {
			parent, name := "", r.name
			if i := strings.LastIndexByte(r.name, '.'); i >= 0 {
				parent, name = r.name[:i], r.name[i+1:]
			}
			if name <= last[parent] {
				t.Errorf("%s: %s stands after %s", what, r.name, last[parent])
			}
			last[parent] = name
			if r.doc == "" || r.kind == "" {
				t.Errorf("%s: %s is not documented", what, r.name)
			}
		}
	}
	for i := range types {
		check(string(types[i].t), describe(types[i].body().fields))
	}
	for _, s := range shared() {
		check(s.name, s.rows)
	}
	check("header", describe(func(c *coder) { c.header(new(Event)) }))
	check("envelope", describe(new(Envelope).fields))
	check("openings", describe(new(Openings).fields))
}

func TestNamesTable(t *testing.T) {
	kinds := make(map[string]ValueKind)
	for i, n := range names {
		if !n.Type.Valid() || checkFigure(n.Name) != nil || n.Min > n.Max || n.Max > MaxDigests || n.Doc == "" {
			t.Errorf("bad row %+v", n)
		}
		if k, ok := kinds[n.Name]; ok && k != n.Kind {
			t.Errorf("%s has two kinds", n.Name)
		}
		kinds[n.Name] = n.Kind
		for _, o := range names[:i] {
			// A name in both classes would let a disclosure open a value
			// that is only for the subject.
			if o.Name == n.Name && (o.Class != n.Class || o.Type == n.Type) {
				t.Errorf("%s stands twice", n.Name)
			}
		}
	}
}

func table(b *bytes.Buffer, rows []row) {
	fmt.Fprintf(b, "| member | value | | meaning |\n|---|---|---|---|\n")
	for _, r := range rows {
		must := ""
		if r.presence == optional {
			must = "optional"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", r.name, r.kind, must, r.doc)
	}
	b.WriteByte('\n')
}

func reference() []byte {
	b := new(bytes.Buffer)
	fmt.Fprint(b, `# Event reference

This page is rendered from the tables in `+"`log/event`"+`. To change it, change the tables and run
`+"`go test ./log/event -run TestReference -update`"+`.

An entry is the exact bytes of a DSSE envelope in JCS form (RFC 8785), at most `, MaxEntrySize, ` bytes,
with at most `, MaxSignatures, ` signatures. Its leaf hash is RFC 6962's. Its *event hash* is SHA-256 of the DSSE
pre-authentication encoding, and doesn't depend on the signatures. Payload type: `+"`"+PayloadType+"`"+`.

An empty member is absent, never null, and no member takes free text. Members and lists stand in sorted order (lists by
their elements' JSON text, without duplicates) unless the table says *in order*. An event has exactly
one encoding, and parsers refuse any other.

| value | written as |
|---|---|
| integer | decimal, 0 to 2^53-1, no sign, fraction, exponent or leading zeros; optional ones are at least 1 |
| code | string of `+"`[a-z0-9][a-z0-9._-]{0,63}`"+` |
| time | string, exactly `+"`2006-01-02T15:04:05Z`"+`, years 1970 to 9999 |
| digest | string, unpadded base64url of 32 bytes |
| leaf hash | string, padded standard base64 of 32 bytes, as in C2SP |
| bytes | string, unpadded base64url |
| key | string, unpadded base64url of a SubjectPublicKeyInfo: Ed25519, or ECDSA P-256 uncompressed |
| key id | string, hex SHA-256 of the SubjectPublicKeyInfo |
| origin | string, 1 to 255 printable ASCII characters without space, plus, quote and backslash |
| verifier key | string, a C2SP vkey: Ed25519 (0x01), Ed25519 cosignature (0x04) or ML-DSA-44 cosignature (0x06) |
| policy | string, C2SP tlog-policy: ASCII, single spaces, LF after each line, no comments, no empty lines |
| signed note | string, a C2SP signed note |
| citation | string, 1 to 96 letters, digits, spaces and `+"`.,()/-`"+` |
| path | string, 1 to 96 letters, digits, dots, dashes and underscores |
| disclosure | string, a disclosure text (see Openings) |

## Envelope

`)
	table(b, describe(new(Envelope).fields))
	fmt.Fprint(b, "## Header\n\n")
	table(b, append([]row{{"body", "object", "members of the type, see below", required}}, describe(func(c *coder) { c.header(new(Event)) })...))
	fmt.Fprint(b, "## Events\n\n")
	for _, info := range types {
		var roles []string
		for _, r := range info.signers {
			roles = append(roles, string(r))
		}
		fmt.Fprintf(b, "### %s\n\n%s Signed by: %s.\n\n", info.t, info.doc, strings.Join(roles, ", "))
		table(b, describe(info.body().fields))
	}
	fmt.Fprint(b, "## Objects\n\n")
	for _, s := range shared() {
		fmt.Fprintf(b, "### %s\n\n", s.name)
		table(b, s.rows)
	}
	openingsReference(b)
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
}

func openingsReference(b *bytes.Buffer) {
	fmt.Fprint(b, `## Openings

A sealed value is opened by its disclosure text (RFC 9901, section 4.2.1, in JCS form): base64url of
`+"`[salt,name,value]`"+` with a fresh 16-byte salt in base64url. The digest is SHA-256 of that text. *Every* digest is
opened in its class. A decoy has the name `+"`"+DecoyName+"`"+`. It may stand in each class below and is opened like any
other value.

| event | class | name | value | how many | meaning |
|---|---|---|---|---|---|
`)
	for _, n := range names {
		many := fmt.Sprint(n.Min)
		if n.Min != n.Max {
			many = fmt.Sprintf("%d to %d", n.Min, n.Max)
		}
		fmt.Fprintf(b, "| %s | %s | `%s` | %s | %s | %s |\n", n.Type, n.Class, n.Name, n.Kind, many, n.Doc)
	}
	fmt.Fprint(b, `
Values: a *code*, *text* (1 to 512 bytes of UTF-8 without control characters, compared byte by byte), *bytes* (at most
1,024), a *digest* or a *key* is a string; *codes* is a sorted list of 1 to 16 codes; a decoy's is the integer 0.
*Periods* is a sorted list of 1 to 16 strings `+"`START/END`"+`, two times of which both are included; each period begins
after the one before has ended. A *reference* is one string here: the index of an entry, a space and its leaf hash.

The agency's signature is over the DSSE pre-authentication encoding, under the payload type
`+"`"+consentType+"`"+`, of the warrant's event hash (32 bytes; all zero in an emergency), the access's
id (16 bytes), and the recipient key, as its object in the access.

### What a warrant says of its data and proceeding

One warrant is one order, and its instrument is that of the most demanding category of data that it asks for.
Two warrants would count as two orders in statistics.

`+"`dataPeriods`"+` are the periods of the data. They are never the window, in which the data may be opened.

`+"`extends`"+` names an earlier warrant for the same provider, by the same authority or by one below it. Admission checks
it, and so does every replay once it is opened. It moves no date. The longest window of an instrument does not bound a
measure as a whole: a fresh order that names no earlier one evades it.

`+"`proceeding`"+` is HMAC-SHA256, under a secret of the authority, of `+"`vasistas proceeding`"+`, LF, and the number of the
proceeding. Before its disclosure a tag links no orders. Afterwards equal tags of one authority count as one proceeding.
Without the secret a tag says nothing of the number.

### Openings file

One line of JSON in JCS form, ended by LF. It holds the secrets of one event's seals.

`)
	table(b, describe(new(Openings).fields))
}

func TestReference(t *testing.T) {
	name := filepath.Join("..", "..", "docs", "events.md")
	want := reference()
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s differs from the tables: run go test ./log/event -run TestReference -update", name)
	}
	for _, typ := range Types() {
		if !slices.Contains(strings.Split(string(have), "\n"), "### "+string(typ)) {
			t.Errorf("no section on %s", typ)
		}
	}
}
