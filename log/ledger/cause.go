// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vasistas/vasistas/log/event"
)

// A Way is one way to break a rule, declared next to the code that checks it. Rule and
// Code keep their meaning in every version of the rules.
type Way struct {
	Rule     string
	Code     string
	Kind     Kind
	Template string // the verdict's text, with its parameters as {name}
	Cure     string // what to do about it; "": nothing helps
}

// A Cause is a way in which a rule was broken, with its arguments.
type Cause struct {
	*Way
	// Args are the template's arguments, in the order in which it first names them.
	// Each is a uint64, a string (a name, a key, a parser's error), a time.Time, a
	// [Term] or, in rule unfulfilled, the Cause of the missed obligation.
	Args []any
}

// A Term is an argument that is an English word or phrase of the rules. A
// translation has a word for each.
type Term string

// Text renders the cause in English. A translation renders the same arguments with
// its own template for each way.
func (c Cause) Text() string {
	var pairs []string
	for i, name := range c.params() {
		if i == len(c.Args) {
			break
		}
		text := fmt.Sprint(c.Args[i])
		switch a := c.Args[i].(type) {
		case time.Time:
			text = a.Format(time.RFC3339)
		case Cause:
			text = a.Text()
		}
		pairs = append(pairs, "{"+name+"}", text)
	}
	return strings.NewReplacer(pairs...).Replace(c.Template)
}

// params returns the names of the template's parameters, each once.
func (w *Way) params() []string {
	var out []string
	for _, part := range strings.Split(w.Template, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// cause makes a cause, and converts each argument to a type that [Cause] allows.
func (w *Way) cause(args ...any) Cause {
	for i, a := range args {
		switch a := a.(type) {
		case int:
			args[i] = uint64(a)
		case int64:
			args[i] = uint64(a)
		case event.Role:
			args[i] = Term(a)
		case event.Type:
			args[i] = Term(a)
		case error:
			args[i] = a.Error()
		}
	}
	return Cause{w, args}
}

// by makes the verdict about the entry at index, recognized at the entry seen.
func (w *Way) by(answers string, index, seen uint64, args ...any) *Violation {
	return &Violation{Cause: w.cause(args...), Index: index, Seen: seen, By: answers}
}

// fail makes a verdict about the entry that is being checked.
func (x *act) fail(w *Way, args ...any) *Violation {
	return w.by(x.by, x.e.Index, x.e.Index, args...)
}
