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

// Result is what a scan comes to, and the exit code of the command.
type Result int

// The results.
const (
	Nothing   Result = iota // no notice, and the log kept its rules
	Found                   // at least one case
	Undecided               // no case, and there may be one all the same
)

func (r Result) String() string { return [...]string{"nothing", "found", "undecided"}[r] }

// Codes of reasons beyond the audit's.
const (
	ReasonFork     = "fork"     // the log signed two heads of which neither extends the other
	ReasonBreaches = "breaches" // entries broke rules, or obligations are overdue
	ReasonUnproven = "unproven" // notices opened that prove nothing
)

// Report is what a scan found. Names and meanings of its JSON
// members are stable; members may be added.
type Report struct {
	Result  string   `json:"result"`            // nothing, found or undecided
	Reasons []string `json:"reasons,omitempty"` // codes: those of Audit, and those below

	Notices  uint64     `json:"notices"` // in the log, tried or tried before
	Tries    uint64     `json:"tries"`   // of a key at a notice, in this run
	From     string     `json:"from"`    // first month of the keys
	To       string     `json:"to"`      // last month
	Cases    []*Case    `json:"cases,omitempty"`
	Unproven []Unproven `json:"unproven,omitempty"`
	Left     uint64     `json:"left,omitempty"` // notices that opened, beyond 10,000
	// Sealed is what nobody can read yet; absent if the log was not read to its head.
	Sealed *Sealed `json:"sealed,omitempty"`

	// Audit is the replay that went with the scan.
	Audit *audit.Report `json:"audit"`

	result Result
}

// Case is an access to the subject's data.
type Case struct {
	Notices  []*Notice `json:"notices"`            // one a custodian and package key, each proven
	Breaches []Breach  `json:"breaches,omitempty"` // of the entries that it rests on

	access event.Reference
}

// Notice is one custodian's word about an access.
type Notice struct {
	*notice.Verified
	Digest         string    `json:"digest"`                  // of its ciphertext, as the release states it
	Disclosure     uint64    `json:"disclosure"`              // index of the entry that published it
	PublishedAfter time.Time `json:"publishedAfter,omitzero"` // witnessed
	Period         string    `json:"period"`                  // month of the key that opened it
	Effect         bool      `json:"effect"`                  // the disclosure kept the rules

	// File is the notice with its proofs, to be kept.
	File *notice.File `json:"-"`
}

// Breach is an entry of a case that broke a rule.
type Breach struct {
	Index uint64 `json:"index"`
	Rule  string `json:"rule"`
	Text  string `json:"text"`
}

// Unproven is a notice that opened and shows nothing.
type Unproven struct {
	Disclosure uint64 `json:"disclosure"`
	Digest     string `json:"digest"`
	Period     string `json:"period"`
	Reason     string `json:"reason"`
}

// Sealed is what was released and is not disclosed yet: some of it may be about this
// subject.
type Sealed struct {
	Releases uint64    `json:"releases"`
	Notices  uint64    `json:"notices"`
	Never    uint64    `json:"never"`         // of the releases: without end
	Last     time.Time `json:"last,omitzero"` // until when the last of the others is sealed, by what is decided so far
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

// concerns says whether an entry is one that the case rests on.
func (c *Case) concerns(index uint64, v *notice.Verified) bool {
	return index == v.Access.Index || index == v.Release.Index || v.Warrant != nil && index == v.Warrant.Index
}

// conclude decides the result. Absence is worth what the log's rules are: where they
// were broken, something that had to be disclosed may not have been.
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
