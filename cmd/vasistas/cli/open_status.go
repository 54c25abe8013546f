// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/audit"
	"github.com/vasistas/vasistas/client/escrow/agency"
	"github.com/vasistas/vasistas/client/escrow/plugincmd"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

type openStatusFlags struct {
	replayFlags
	file    string
	timeout time.Duration
}

func (e *env) openStatus() *cobra.Command {
	var f openStatusFlags
	c := &cobra.Command{
		Use:   "status --case CASE --policy FILE",
		Short: "Show which gates answered an access, and how long it lives",
		Long: `status replays the log and shows, of the access of a case file: whether it is in the
log, how long gates may still answer it, which gates have logged a release or a
refusal, what each gate answered 'vasistas open' last, and whether each would open
now and, if not, what would end that. It asks no gate for a share.

Exit code: 0 if enough gates have answered or would; 1 if too few would, or the
access is not in the log, dead or over; 2 if the log could not be replayed.`,
		Example: `  vasistas open status --case letter.case --policy policy.txt`,
		Args:    cobra.NoArgs,
		RunE:    do(func(ctx context.Context, _ []string) error { return e.runOpenStatus(ctx, &f) }),
	}
	f.logFlags.add(c)
	c.Flags().StringVar(&f.file, "case", "", "case file, made by 'open request'")
	durationVar(c, &f.timeout, "timeout", 10*time.Second, "how long to wait for the gates")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	c.MarkFlagRequired("case")
	return c
}

// caseStatus is what is known of a case. Times are like 2006-01-02T15:04:05Z.
type caseStatus struct {
	Origin    string       `json:"origin"`
	Size      uint64       `json:"size"`             // entries that were replayed
	At        string       `json:"at,omitempty"`     // the head was cosigned after this
	Access    *uint64      `json:"access,omitempty"` // index; absent: not in the log
	Live      bool         `json:"live"`
	Dead      string       `json:"dead,omitempty"` // why no gate may answer it
	Until     string       `json:"until,omitempty"`
	Threshold int          `json:"threshold"` // shares that open a file
	Released  int          `json:"released"`  // gates whose release took effect
	Gates     []gateStatus `json:"gates"`
}

type gateStatus struct {
	Gate    string           `json:"gate"`
	URL     string           `json:"url,omitempty"`
	Release *uint64          `json:"release,omitempty"` // index of its release that took effect
	Refusal *uint64          `json:"refusal,omitempty"` // index of its last refusal in the log
	Reason  string           `json:"reason,omitempty"`  // of that
	Last    *agency.Answer   `json:"last,omitempty"`    // to 'vasistas open'
	Now     *agency.Standing `json:"now,omitempty"`
}

// told is what a log says of a case.
type told struct {
	c      *agency.Case
	l      *ledger.Ledger
	access *uint64
	gates  map[string]gateStatus // each custodian's last release and refusal
}

func (t *told) see(entry *ledger.Entry, _ any) error {
	if entry.Envelope == nil {
		return nil
	}
	of := func(access event.Reference, note func(*gateStatus)) {
		if t.access == nil || access.Index != *t.access {
			return
		}
		name := ""
		if ch := t.l.CharterAt(entry.Index); ch != nil && len(entry.Envelope.Signatures) > 0 {
			if p := ch.Holder(entry.Envelope.Signatures[0].KeyID); p != nil {
				name = p.Name
			}
		}
		g := t.gates[name]
		note(&g)
		t.gates[name] = g
	}
	switch body := entry.Envelope.Event.Body.(type) {
	case *event.Access:
		if t.c.Is(entry.Envelope) {
			t.access = new(entry.Index)
		}
	case *event.Release:
		of(body.Access, func(g *gateStatus) { g.Release = new(entry.Index) })
	case *event.Refusal:
		of(body.Access, func(g *gateStatus) { g.Refusal, g.Reason = new(entry.Index), body.Reason })
	}
	return nil
}

func (e *env) runOpenStatus(ctx context.Context, f *openStatusFlags) error {
	c, err := plugincmd.LoadCase(f.file)
	if err != nil {
		return err
	}
	remote, config, err := e.replay(&f.replayFlags, nil, "replayed", 0)
	if err != nil {
		return err
	}
	if config.Client, err = client.New(remote); err != nil {
		return err
	}
	t := &told{c: c, gates: make(map[string]gateStatus)}
	config.Observe = func(l *ledger.Ledger, _ *tlog.Verified) (replica.Observer, error) {
		t.l = l
		return replica.Observer{Before: t.see}, nil
	}
	r := audit.Run(ctx, config)
	config.Progress(0, 0)
	for _, why := range r.Reasons {
		e.note("vasistas: %v", why.Err)
	}
	if !r.Complete {
		return errors.New("the log could not be replayed, so what it says of the access is not known")
	}
	s := t.status(config.Now)
	s.Origin, s.At = c.Group().Origin(), r.LoggedAfter
	standings := c.Standings(ctx, agency.Options{UserAgent: "vasistas/" + command.Version(), Timeout: f.timeout})
	willing := s.Released
	for i := range s.Gates {
		g := &s.Gates[i]
		if now, ok := standings[g.Gate]; ok {
			if g.Now = &now; now.Opens && s.Live && g.Release == nil {
				willing++
			}
		}
	}
	code := exitOK
	if willing < s.Threshold {
		code = exitFailed
	}
	return e.printReport(&f.replayFlags, s, s.text(config.Now), code)
}

func (t *told) status(now time.Time) *caseStatus {
	group := t.c.Group()
	s := &caseStatus{Size: t.l.Size(), Access: t.access, Threshold: group.Threshold()}
	var a ledger.Access
	switch known := false; {
	case t.access == nil:
		s.Dead = "it is not in the log: the provider signs and logs it"
	default:
		if a, known = t.l.Access(*t.access); !known {
			s.Dead = "it is over, or never had an effect"
			break
		}
		s.Until, s.Dead = a.Ends.UTC().Format(time.RFC3339), string(a.Dead)
		if s.Dead == "" && now.After(a.Ends) {
			s.Dead = "its time is over"
		}
	}
	s.Live = s.Dead == ""
	for _, m := range group.Members() {
		g := t.gates[m.Name]
		g.Gate, g.URL = m.Name, t.c.Gates[m.Name]
		if g.Release != nil && !slices.Contains(a.Answered, m.Name) && !a.Ends.IsZero() {
			g.Release = nil // the release had no effect
		} else if g.Release != nil {
			s.Released++
		}
		if i := slices.IndexFunc(t.c.Answers, func(a agency.Answer) bool { return a.Gate == m.Name }); i >= 0 {
			g.Last = &t.c.Answers[i]
		}
		s.Gates = append(s.Gates, g)
	}
	return s
}

func (s *caseStatus) text(now time.Time) string {
	out := ""
	line := func(label, format string, args ...any) {
		out += fmt.Sprintf("%-11s", label) + fmt.Sprintf(format, args...) + "\n"
	}
	line("log", "%s, size %d, complete up to %s", s.Origin, s.Size, s.At)
	switch {
	case s.Access == nil:
		line("access", "%s", s.Dead)
	case !s.Live:
		line("access", "entry %d; no gate answers it: %s", *s.Access, s.Dead)
	default:
		until, _ := time.Parse(time.RFC3339, s.Until)
		line("access", "entry %d; gates may answer it until %s, %s from now", *s.Access, s.Until, event.Span(uint64(max(until.Sub(now), time.Second)/time.Second)))
	}
	line("shares", "gates that have logged a release: %d; gates that are needed: %d", s.Released, s.Threshold)
	for _, g := range s.Gates {
		switch {
		case g.Release != nil:
			line(g.Gate, "answered: its release is entry %d", *g.Release)
		case g.URL == "":
			line(g.Gate, "not asked: the case has no URL of its gate")
		case g.Refusal != nil:
			line(g.Gate, "refused: %s, in entry %d", g.Reason, *g.Refusal)
		default:
			line(g.Gate, "no release in the log")
		}
		if a := g.Last; a != nil && a.Error != "" {
			line("", "told 'vasistas open' at %s: %s%s", a.Time, a.Error, once(a.Ends))
		}
		if n := g.Now; n != nil && n.Opens {
			line("", "would open now: yes")
		} else if n != nil {
			line("", "would open now: no: %s%s", n.Why, once(n.Ends))
		}
	}
	return out
}

// once says what would end a refusal, "" if that is not known.
func once(ends string) string {
	if ends == "" {
		return ""
	}
	return ". It opens once " + ends
}
