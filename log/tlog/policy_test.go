// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// policyText replaces {l1}, {w1}, {m1}... by the vkeys of a log, of a witness
// with an Ed25519 key, and of one with an ML-DSA-44 key.
func policyText(t testing.TB, s string) string {
	t.Helper()
	kinds := map[byte]Algorithm{'l': Ed25519, 'w': CosignatureEd25519, 'm': CosignatureMLDSA44}
	for {
		i := strings.IndexByte(s, '{')
		if i < 0 {
			return s
		}
		name := s[i+1 : i+strings.IndexByte(s[i:], '}')]
		s = strings.ReplaceAll(s, "{"+name+"}", testSigner(t, name, kinds[name[0]]).Verifier().String())
	}
}

func mustPolicy(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := ParsePolicy([]byte(policyText(t, text)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const examplePolicy = `# the example of the specification
log {l1} https://log.example/
	log {l2}

witness X1 {w1} https://w1.example/prefix
witness X2 {w2}
witness X3 {m3}  http://127.0.0.1:8080
group X-witnesses 2 X1 X2 X3

  witness Y1 {w4}
witness Y2 {w5}
witness Y3 {w6}
group Y-witnesses any Y1 Y2 Y3
group X-and-Y all X-witnesses Y-witnesses  
quorum X-and-Y
# after the quorum
witness Z {w7}
`

func TestPolicyExample(t *testing.T) {
	text := policyText(t, examplePolicy)
	p := checkRoundTrip(t, ParsePolicy, text)
	if len(p.Logs) != 2 || p.Logs[0].URL != "https://log.example/" || p.Logs[1].URL != "" || p.Logs[1].Key.Name != "l2" {
		t.Errorf("logs %+v", p.Logs)
	}
	var names, urls []string
	for _, w := range p.Witnesses {
		names, urls = append(names, w.Name), append(urls, w.URL)
	}
	if !slices.Equal(names, []string{"X1", "X2", "X3", "Y1", "Y2", "Y3", "Z"}) ||
		!slices.Equal(urls, []string{"https://w1.example/prefix", "", "http://127.0.0.1:8080", "", "", "", ""}) {
		t.Errorf("witnesses %q %q", names, urls)
	}
	if p.Witnesses[2].Key.Algorithm != CosignatureMLDSA44 || !p.NeedsWitnesses() {
		t.Error("the third witness has no ML-DSA-44 key, or no witness is needed")
	}
	p.Bytes()[0] = 'x'
	if string(p.Bytes()) != text {
		t.Error("Bytes hands out the text itself")
	}
}

func TestPolicyAccepts(t *testing.T) {
	for name, text := range map[string]string{
		"quorum none alone":            "quorum none\n",
		"quorum none with witnesses":   "log {l1}\nwitness a {w1}\ngroup g any a\nquorum none\n",
		"no log":                       "witness a {w1}\nquorum a\n",
		"one witness":                  "log {l1}\nwitness a {w1}\nquorum a\n",
		"a log of ML-DSA-44":           "log {m1}\nquorum none\n",
		"witness in group and quorum":  "witness a {w1}\ngroup g all a\nquorum a\n",
		"blank lines and spaces":       "\n \t \n\tquorum \t none \n\n",
		"comments":                     "#\n # group x 0 y\n\t#quorum a\nquorum none\n",
		"names with any other octet":   "witness a#\"!\x80\xff {w1}\ngroup \u00a0\u2003 any a#\"!\x80\xff\nquorum \u00a0\u2003\n",
		"names that are keywords":      "witness log {w1}\nwitness quorum {w2}\ngroup group all log quorum\nquorum group\n",
		"threshold words as names":     "witness any {w1}\nwitness 2 {w2}\ngroup all 2 any 2\nquorum all\n",
		"None is not none":             "witness None {w1}\nquorum None\n",
		"K is not the Kelvin sign":     "witness K {w1}\nwitness \u212a {w2}\ngroup g all K \u212a\nquorum g\n",
		"groups after a single quorum": "witness a {w1}\nquorum a\nwitness b {w2}\ngroup g all a b\n",
		"address of an IPv6 host":      "log {l1} http://[::1]:8080/\nquorum none\n",
		"address not ASCII":            "log {l1} https://été.example/\nquorum none\n",
	} {
		t.Run(name, func(t *testing.T) { checkRoundTrip(t, ParsePolicy, policyText(t, text)) })
	}
}

// Any error refuses the whole policy and names the line.
func TestPolicyFailsClosed(t *testing.T) {
	same := func(name string, a Algorithm) string { // the key of {w1} under another name or type
		k, err := NewVerifierKey(name, a, testSigner(t, "w1", CosignatureEd25519).key.Key)
		if err != nil {
			t.Fatal(err)
		}
		return k.String()
	}
	sameML, _ := NewVerifierKey("other", CosignatureMLDSA44, testSigner(t, "m1", CosignatureMLDSA44).key.Key)
	sameLog, _ := NewVerifierKey("other", Ed25519, testSigner(t, "l1", Ed25519).key.Key)
	three := "witness a {w1}\nwitness b {w2}\nwitness c {w3}\n"
	w1 := testSigner(t, "w1", CosignatureEd25519).Verifier().String()
	for _, c := range []struct {
		name, text string
		line       int
		want       string
	}{
		{"empty", "", 0, "no quorum line"},
		{"comment only", "# quorum none\n", 0, "no quorum line"},
		{"no quorum line", three + "group g 2 a b c\n", 0, "no quorum line"},
		{"too large", strings.Repeat("#", MaxPolicySize+1), 0, "allowed"},
		{"no final line feed", "quorum none", 1, "line feed"},
		{"quorum cut off", "quorum none\nquorum a", 2, "line feed"},

		{"witness twice", "witness a {w1}\nwitness b {w1}\nquorum a\n", 2, "already that of witness a"},
		{"witness key under another key name", "witness a {w1}\nwitness b " + same("other", CosignatureEd25519) + "\nquorum a\n", 2, "already that of witness a"},
		{"ML-DSA witness key under another key name", "witness a {m1}\nwitness b " + sameML.String() + "\nquorum a\n", 2, "already that of witness a"},
		{"log twice", "log {l1}\nlog {l1}\nquorum none\n", 2, "already that of a log"},
		{"log key under another origin", "log {l1}\nlog " + sameLog.String() + "\nquorum none\n", 2, "already that of a log"},
		{"log key as a witness", "log " + same("l", Ed25519) + "\nwitness a {w1}\nquorum a\n", 2, "already that of a log"},
		{"witness key as a log", "witness a {w1}\nlog " + same("l", Ed25519) + "\nquorum a\n", 2, "already that of witness a"},
		{"witness name twice", "witness a {w1}\nwitness a {w2}\nquorum a\n", 2, "already defined"},
		{"group name twice", three + "group g any a\ngroup g any b\nquorum g\n", 5, "already defined"},
		{"group with a witness's name", three + "group a any b\nquorum a\n", 4, "already defined"},
		{"witness with a group's name", three + "group g any b\nwitness g {w4}\nquorum g\n", 5, "already defined"},

		{"member twice in a group", three + "group g 2 a a b\nquorum g\n", 4, "already a member"},
		{"member of two groups", three + "group g any a\ngroup h any b a\nquorum h\n", 5, "already a member"},
		{"group in two groups", three + "group g any a\ngroup h any g\ngroup i any g b\nquorum h\n", 6, "already a member"},
		{"threshold 0", three + "group g 0 a b c\nquorum g\n", 4, "threshold is 0"},
		{"threshold above n", three + "group g 4 a b c\nquorum g\n", 4, "has 3 members"},
		{"threshold -1", three + "group g -1 a b c\nquorum g\n", 4, "neither"},
		{"threshold 02", three + "group g 02 a b c\nquorum g\n", 4, "neither"},
		{"threshold +2", three + "group g +2 a b c\nquorum g\n", 4, "neither"},
		{"threshold that wraps", three + "group g 18446744073709551617 a b c\nquorum g\n", 4, "neither"},
		{"threshold ALL", three + "group g ALL a b c\nquorum g\n", 4, "neither"},
		{"threshold left out", three + "group g a b c\nquorum g\n", 4, "neither"},
		{"no members", three + "group g all\nquorum g\n", 4, "want: group"},
		{"no members, threshold 0", three + "group g 0\nquorum g\n", 4, "want: group"},
		{"group without anything", "group\nquorum none\n", 1, "want: group"},
		{"forward reference", "group g any a\nwitness a {w1}\nquorum g\n", 1, "not defined above"},
		{"group of itself", "witness a {w1}\ngroup g any g a\nquorum g\n", 2, "not defined above"},
		{"unknown member", three + "group g any d\nquorum g\n", 4, "not defined above"},
		{"none as a member", three + "group g any a none\nquorum g\n", 4, "none"},
		{"group none", three + "group none any a\nquorum none\n", 4, "reserved"},
		{"witness none", "witness none {w1}\nquorum none\n", 1, "reserved"},

		{"second quorum line", three + "quorum a\nquorum none\n", 5, "second quorum"},
		{"second quorum line, the same", "quorum none\nquorum none\n", 2, "second quorum"},
		{"quorum before its group", "witness a {w1}\nquorum g\ngroup g any a\n", 2, "not defined above"},
		{"quorum of a log", "log {l1}\nquorum l1\n", 2, "not defined above"},
		{"quorum without a name", "quorum\n", 1, "want: quorum"},
		{"quorum with two names", three + "quorum a b\n", 4, "want: quorum"},
		{"quorum with a comment", "quorum none # why\n", 1, "want: quorum"},
		{"quorum NONE", "quorum NONE\n", 1, "not defined above"},

		{"unknown line", "threshold 2\nquorum none\n", 1, "begins with"},
		{"capital keyword", "Quorum none\n", 1, "begins with"},
		{"byte order mark", "\ufeffquorum none\n", 1, "begins with"},
		{"no-break space", "quorum\u00a0none\n", 1, "begins with"},
		{"CRLF", "quorum none\r\n", 1, "control character 0x0d at column 12"},
		{"carriage return in a comment", "# a\rquorum none\nquorum none\n", 1, "control character"},
		{"NUL", "quorum\x00none\n", 1, "control character"},
		{"vertical tab", "quorum\vnone\n", 1, "control character"},
		{"form feed", "quorum none\f\n", 1, "control character"},
		{"escape in a comment", "quorum none\n# \x1b[2K\n", 2, "control character"},
		{"DEL", "quorum none\x7f\n", 1, "control character"},

		{"log without a key", "log\nquorum none\n", 1, "want: log"},
		{"log with a name", "log name {l1} https://a.example\nquorum none\n", 1, "want: log"},
		{"log with a cosignature key", "log {w1}\nquorum none\n", 1, "type 1 or 6"},
		{"witness without a name", "witness {w1}\nquorum none\n", 1, "want: witness"},
		{"witness with a note key", "witness a {l1}\nquorum a\n", 1, "type 4 or 6"},
		{"key with a wrong ID", "witness a " + swap(t, w1, "w1+", "w9+") + "\nquorum a\n", 1, "key ID"},
		{"key of small order", "witness a n+f1f1ed93+" + b64(append([]byte{4, 1}, make([]byte, 31)...)) + "\nquorum a\n", 1, "small order"},
		{"address without a scheme", "log {l1} log.example\nquorum none\n", 1, "URL"},
		{"address of a file", "log {l1} file:///etc\nquorum none\n", 1, "URL"},
		{"address without a host", "log {l1} https://:80/\nquorum none\n", 1, "URL"},
		{"address with a password", "log {l1} https://a:b@log.example\nquorum none\n", 1, "URL"},
		{"address with a query", "log {l1} https://log.example/?\nquorum none\n", 1, "URL"},
		{"address with a fragment", "witness a {w1} https://w.example/#\nquorum a\n", 1, "URL"},
		{"comment after a log", "log {l1} # comment\nquorum none\n", 1, "want: log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := ParsePolicy([]byte(policyText(t, c.text)))
			var pe *PolicyError
			if p != nil || !errors.As(err, &pe) || !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v, %v; want a PolicyError that is ErrMalformed", p, err)
			}
			if pe.Line != c.line || !strings.Contains(pe.Msg, c.want) {
				t.Errorf("line %d: %s; want line %d and %q", pe.Line, pe.Msg, c.line, c.want)
			}
			if named := strings.Contains(err.Error(), fmt.Sprintf("line %d:", c.line)); named != (c.line > 0) {
				t.Errorf("the text names the line: %v: %v", named, err)
			}
		})
	}
}

// Key IDs have 32 bits, so two keys of one name can be made to share one. Two
// such keys are found by hand here, below the parser.
func TestPolicyRefusesCollidingKeyIDs(t *testing.T) {
	a, b := *testSigner(t, "w1", CosignatureEd25519).Verifier(), *testSigner(t, "w2", CosignatureEd25519).Verifier()
	b.Name, b.ID = a.Name, a.ID
	pp := &policyParser{keys: map[string]string{}, ids: map[string]string{}}
	if err := pp.claimKey(&a, "witness a"); err != nil {
		t.Fatal(err)
	}
	if err := pp.claimKey(&b, "witness b"); err == nil || !strings.Contains(err.Error(), "already those of witness a") {
		t.Errorf("colliding key: %v", err)
	}
}

// More than the 32 logs, witnesses and groups that the specification asks for,
// nested as deep as they go.
func TestPolicyLimits(t *testing.T) {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "log {l%d}\nwitness w%d {w%d}\n", i, i, i)
		if i == 0 {
			fmt.Fprintf(&b, "group g0 any w0\n")
		} else {
			fmt.Fprintf(&b, "group g%d all g%d w%d\n", i, i-1, i)
		}
	}
	b.WriteString("quorum g39\n")
	p := mustPolicy(t, b.String())
	if !p.Satisfied(func(int) bool { return true }) || p.Satisfied(func(i int) bool { return i != 0 }) {
		t.Error("40 nested groups of all are not all of them")
	}
	if set, ok := p.SmallestSet(func(int) bool { return true }); !ok || len(set) != 40 {
		t.Errorf("smallest set %v, %v", set, ok)
	}

	var flat strings.Builder
	for i := range MaxPolicyNames + 1 {
		fmt.Fprintf(&flat, "log {l%d}\n", i)
	}
	_, err := ParsePolicy([]byte(policyText(t, flat.String())))
	var pe *PolicyError
	if !errors.As(err, &pe) || pe.Line != MaxPolicyNames+1 {
		t.Errorf("%d logs: %v", MaxPolicyNames+1, err)
	}
	for kind, line := range map[string]string{"witnesses": "witness w%d {w%[1]d}\n", "groups": "witness w%d {w%[1]d}\ngroup g%[1]d any w%[1]d\n"} {
		flat.Reset()
		for i := range MaxPolicyNames + 1 {
			fmt.Fprintf(&flat, line, i)
		}
		if _, err := ParsePolicy([]byte(policyText(t, flat.String()))); !errors.As(err, &pe) {
			t.Errorf("too many %s: %v", kind, err)
		}
	}
}
