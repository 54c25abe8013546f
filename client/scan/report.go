// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"slices"
	"time"

	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/notice"
	"github.com/vasistas/vasistas/log/event"
)

// Result is the outcome of a scan, and the exit code of the command.
type Result int

const (
	Nothing   Result = iota // no notice, and the log kept its rules
	Found                   // at least one case
	Undecided               // no case, but there may be one
)

func (r Result) String() string { return [...]string{"nothing", "found", "undecided"}[r] }

// Codes of reasons beyond the audit's.
const (
	ReasonFork     = "fork"     // the log signed two heads of which neither extends the other
	ReasonBreaches = "breaches" // entries broke rules, or obligations are overdue
	ReasonUnproven = "unproven" // notices opened that prove no access
)

// Report is the result of a scan. Names and meanings of its JSON members are stable; members
// may be added.
type Report struct {
	Result  string   `json:"result"`            // nothing, found or undecided
	Reasons []string `json:"reasons,omitempty"` // codes: those of Audit, and those above

	Notices  uint64     `json:"notices"` // tried, in this run and before
	Tries    uint64     `json:"tries"`   // of a key at a notice, in this run
	From     string     `json:"from"`    // first month of the keys
	To       string     `json:"to"`      // last month
	Cases    []*Case    `json:"cases,omitempty"`
	Unproven []Unproven `json:"unproven,omitempty"`
	Left     uint64     `json:"left,omitempty"` // notices that opened, beyond 10,000
	// Sealed counts the undisclosed notices; absent if the log was not read to its head.
	Sealed *Sealed `json:"sealed,omitempty"`

	// Audit is the report of the audit that the scan observed.
	Audit *audit.Report `json:"audit"`

	result Result
}

// Case is an access to the subject's data.
type Case struct {
	Notices  []*Notice `json:"notices"`            // proven ones, one for each custodian and notice key
	Breaches []Breach  `json:"breaches,omitempty"` // of the case's entries

	access event.Reference
}

// Notice is a custodian's proven notice of an access.
type Notice struct {
	*notice.Verified
	Digest         string    `json:"digest"`                  // of its ciphertext, stated by the release
	Disclosure     uint64    `json:"disclosure"`              // index of the entry that published it
	PublishedAfter time.Time `json:"publishedAfter,omitzero"` // witnessed
	Period         string    `json:"period"`                  // month of the key that opened it
	Effect         bool      `json:"effect"`                  // the disclosure kept the rules

	// File is the notice with its proofs.
	File *notice.File `json:"-"`
}

// Breach is an entry of a case that broke a rule.
type Breach struct {
	Index uint64 `json:"index"`
	Rule  string `json:"rule"`
	Text  string `json:"text"`
}

// Unproven is a notice that opened but proves no access.
type Unproven struct {
	Disclosure uint64 `json:"disclosure"`
	Digest     string `json:"digest"`
	Period     string `json:"period"`
	Reason     string `json:"reason"`
}

// Sealed counts the releases and notices that are not disclosed yet. Some may concern this
// subject.
type Sealed struct {
	Releases uint64    `json:"releases"`
	Notices  uint64    `json:"notices"`
	Never    uint64    `json:"never"`         // releases sealed without end
	Last     time.Time `json:"last,omitzero"` // end of the last seal of the others, by decisions so far
	Live     uint64    `json:"live"`          // accesses that a custodian may still answer
}

// Outcome returns the result.
func (r *Report) Outcome() Result { return r.result }

func (r *Report) caseOf(access event.Reference) *Case {
	i := slices.IndexFunc(r.Cases, func(c *Case) bool { return c.access == access })
	if i < 0 {
		i, r.Cases = len(r.Cases), append(r.Cases, &Case{access: access})
	}
	return r.Cases[i]
}

// concerns returns whether an entry is one of the case's.
func (c *Case) concerns(index uint64, v *notice.Verified) bool {
	return index == v.Access.Index || index == v.Release.Index || v.Warrant != nil && index == v.Warrant.Index
}

// conclude decides the result. If the log broke its rules, a notice that had to be disclosed
// may be missing, so the absence of notices proves nothing.
func (r *Report) conclude() {
	for _, why := range r.Audit.Reasons {
		r.Reasons = append(r.Reasons, why.Code)
	}
	if r.Audit.Fork != nil {
		r.Reasons = append(r.Reasons, ReasonFork)
	}
	if r.Audit.Breaches > 0 || r.Audit.Overdue > 0 {
		r.Reasons = append(r.Reasons, ReasonBreaches)
	}
	if len(r.Unproven) > 0 {
		r.Reasons = append(r.Reasons, ReasonUnproven)
	}
	switch {
	case len(r.Cases) > 0:
		r.result = Found
	case len(r.Reasons) > 0 || !r.Audit.Complete:
		r.result = Undecided
	}
	r.Result = r.result.String()
}
