// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/verify"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// story is the demo while it is told.
type story struct {
	*system
	o      *options
	stdout io.Writer // of the story
	short  io.Writer // of a line for each part of it
	stderr io.Writer
	bold   bool

	client *client.Client
	replay *replay
	batch  *batch
	kept   int // events that an earlier run has signed

	indices    []uint64 // in the log, by event
	duplicates int      // of the events, that were logged in an earlier run
	took       time.Duration
	// publication is the longest time from an event to its cosigned proof, so far.
	publication time.Duration

	decisions, returns int // that were logged in this run

	from     int       // entries before the sections on auditors
	opened   int       // letters, by these sections
	refusals []refused // that they tell
}

func newStory(o *options, stdout, stderr io.Writer) *story {
	s := &story{o: o, stdout: stdout, short: stdout, stderr: stderr}
	if !o.verbose {
		s.stdout = io.Discard
	}
	if f, ok := stdout.(*os.File); ok && os.Getenv("NO_COLOR") == "" {
		s.bold = term.IsTerminal(int(f.Fd()))
	}
	return s
}

// run tells the whole story. A nil error means that every proof held and every attack was
// refused.
func (s *story) run(ctx context.Context) (err error) {
	o := s.o
	defer func() {
		if s.system != nil {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	return caught(func() {
		rows := must(readRows(must(gzip.NewReader(bytes.NewReader(packedRows)))))
		s.introduce(len(rows))
		s.system = must(openSystem(ctx, o, rows))
		if o.rows > 0 && o.rows < len(rows) {
			rows = rows[:o.rows]
		}
		s.describeParts()
		s.signRows(rows)
		s.logEvents(ctx)
		s.readBack(ctx)
		s.tellHistories(ctx)
		s.openCase(ctx)
		s.tellOverdue(ctx)
		s.attack(ctx)
		s.audit(ctx)
		s.tellHidden(ctx)
		s.conclude()
		if o.serve {
			fmt.Fprintf(s.short, "\nSee all this as a watchdog does: open its monitor's desk in a browser, at %s\n\n"+
				"All parts stay up until Ctrl-C.\n", s.deskURL())
			<-ctx.Done()
			fmt.Fprintln(s.short, "Stopped.")
		}
	})
}

func (s *story) say(format string, args ...any) { fmt.Fprintf(s.stdout, format+"\n", args...) }

// sum says in a line what happened, with or without the whole story.
func (s *story) sum(what, format string, args ...any) {
	fmt.Fprintf(s.short, "%-9s  "+format+"\n", append([]any{what}, args...)...)
}

func (s *story) title(text string) {
	if s.bold {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	s.say("\n%s", text)
}

// wrap says a text in lines of at most 86 bytes, all with this indent.
func (s *story) wrap(indent, format string, args ...any) {
	line := ""
	for word := range strings.FieldsSeq(fmt.Sprintf(format, args...)) {
		if line != "" && len(indent)+len(line)+1+len(word) > 86 {
			s.say("%s%s", indent, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	s.say("%s%s", indent, line)
}

func (s *story) introduce(n int) {
	s.say("Vasistas: a transparency log for warrants and escrow access. A demonstration.")
	s.sum("data", "%d real search warrant notifications (California, 2016 to 2019); a day of the law is a second here", n)
	s.title("The data")
	s.wrap("  ", "%d electronic search warrant notifications, 2016 to 2019, as the State of California's "+
		"Department of Justice published them. They are real people's cases. The courts, agencies and providers in "+
		"them have nothing to do with this demonstration, which makes a key for each and signs in its place.", n)
}

// describeParts writes the files that verifiers need, and says which parts run.
func (s *story) describeParts() {
	files := map[string][]byte{
		"policy.txt": s.policy.Bytes(), "policy-all.txt": s.all.Bytes(),
		"log.url": []byte(s.LogServer.URL + "\n"), "PROVENANCE.md": provenance,
	}
	for _, o := range append([]*world.Witness{{Name: "log", Keys: s.LogKeys}}, s.Witnesses...) {
		for i, suffix := range []string{".vkey", "-mldsa44.vkey"} {
			files[o.Name+suffix] = []byte(o.Keys[i].Verifier().String() + "\n")
		}
	}
	for name, b := range files {
		try(durable.WriteFile(s.Path(name), b, 0o644))
	}
	s.title("The parts, each with keys and a server of its own")
	s.say("  log       %s  %s (%s %s)", s.LogServer.URL, origin, map[bool]string{true: "new, in", false: "going on with the one in"}[s.made], s.o.dir)
	for _, o := range s.Witnesses {
		s.say("  %-9s %s  cosigns a tree that only grew", o.Name, o.URL)
	}
	for _, a := range s.Auditors {
		s.say("  %-9s %s  reads every entry, and cosigns while the rules hold", a.Name, a.URL)
	}
	s.say("  monitor   %s  copies the log, and shows it at a desk for people", s.deskURL())
	s.sum("running", "%s: a log, with %d witnesses, %d auditors, %d gates and a monitor", s.LogServer.URL, numWitnesses, numAuditors, numGates)
	if _, port, _ := strings.Cut(s.o.listen, ":"); s.o.fallback && !strings.HasSuffix(s.LogServer.URL, ":"+port) {
		s.say("  Port %s was taken, so the log has another one.", port)
	}
	s.wrap("  ", "Log and witnesses sign twice: with Ed25519, and with ML-DSA-44 against quantum computers. "+
		"The log publishes only what %d of the %d witnesses cosigned, so it goes on while one is down. "+
		"With one dishonest witness it can't show two people two histories; with two it could. "+
		"To rule that out, ask for all four (policy-all.txt).", quorum, numWitnesses)
	s.wrap("  ", "A gate opens a key only under a head that %d of %d groups of auditors (regulators, courts, civil society) have "+
		"cosigned in the last %d seconds. The log publishes without them: what is late can always be published.", auditQuorum, len(auditors), s.profile.Stale)
}

func (s *story) signRows(rows []row) {
	kept := loadEvents(s.o.dir)
	b := decideRows(rows)
	b.events = kept[:min(len(kept), len(b.accepted))]
	s.batch, s.kept = b, len(kept)
	b.pick(numHistories, s.kept)
	s.title("From rows to signed events")
	s.say("  %5d rows", len(rows))
	s.say("  %5d are warrants, each signed by the key of its county's superior court", b.warrants)
	s.say("  %5d are emergency accesses, signed by the provider and the court's duty key", len(b.accepted)-b.warrants)
	for _, why := range byCount(b.refused) {
		s.say("  %5d refused: %s", b.refused[why], why)
	}
	if s.kept > 0 {
		s.say("  %d of the events were signed in an earlier run.", len(b.events))
	}
	s.wrap("  ", "The charter (entry 0) has the limits of California's law, with a second for each day. Agency, grounds "+
		"and the period of the data are sealed: only salted hashes of them are public, for 90 seconds if notice was to be "+
		"delayed, else for 10 (Penal Code sections 1534 and 1546.2). The secrets go to the log's vault with the event, and the log has to "+
		"disclose them then. The warrant's number is sealed for the subject alone, and never goes there.")
	s.say("  An event needs more than a row says. Of the warrants")
	for _, gap := range byCount(b.gaps) {
		s.say("  %5d %s", b.gaps[gap], gap)
	}
	s.wrap("  ", "and codes such as \"not-stated\" say so. The rows never say how many accounts or accesses were "+
		"granted: each event says 1. The time is now, and a warrant's window lasts 10 seconds, for the 10 days in which one "+
		"is executed (section 1534), or longer where an access follows below. The period is the row's own dates, and says nothing "+
		"of the window. No event states categories of data: the form's options, such as \"other transactional and account "+
		"records\", do not tell subscriber, traffic and content data apart. A charter has room for 256 parties, and the rows name more "+
		"businesses: one provider, which runs the log, stands in for all. An access seals the business as its unit.")
	s.wrap("  ", "The rows know no escrow: their accesses name a group whose one custodian runs no gate. So no key is opened "+
		"for them, and the charter asks for no heartbeat before ten years.")
}

// logEvents signs and logs the rows chunk by chunk, and what has to follow on each.
func (s *story) logEvents(ctx context.Context) {
	s.title("Logging them, and verifying each proof offline")
	s.client = must(client.New(client.Config{URL: s.LogServer.URL, Policy: s.policy, UserAgent: "vasistas-demo"}))
	s.replay = newReplay(s.client)
	n := len(s.batch.accepted)
	began := time.Now()
	for _, c := range s.batch.chunks() {
		if len(s.batch.histories) > 0 && c[0] == s.batch.histories[0] {
			for _, i := range s.batch.histories {
				s.batch.accepted[i].seal += s.slack()
			}
		}
		s.batch.sign(s.People, c[1])
		if c[1] > s.kept {
			saveEvents(s.o.dir, s.batch.events)
		}
		s.append(ctx, c[0], c[1])
		s.followUp(ctx, c[0], c[1])
		s.keepUp(ctx)
		fmt.Fprintf(s.stderr, "%d of %d events logged and verified, %v\n", c[1], n, time.Since(began).Round(time.Second))
	}
	s.wrap("  ", "%d of %d proofs hold, in %.1f s: each event is in the log at its place, signed by the "+
		"keys that it names, in a tree that the log and at least %d witnesses signed.", n, n, s.took.Seconds(), quorum)
	if s.duplicates > 0 {
		s.say("  %d were in the log from an earlier run: the log gave the proof of that entry.", s.duplicates)
	}
	s.wrap("  ", "What the rules want to follow was logged too: %d decisions of a court on an emergency, in time, "+
		"and %d returns. The rows don't say what courts decided, so all emergencies are granted. And since no key was "+
		"opened here, each return says \"not executed\", though the rows are of warrants that were.", s.decisions, s.returns)
	refused := 0
	for _, rows := range s.batch.refused {
		refused += rows
	}
	s.sum("logged", "%d events, %d of them by an earlier run, each proof verified offline, in %.1f s; %d rows make none", n, s.duplicates, s.took.Seconds(), refused)
}

// keepUp waits until the log is not late with the disclosures of this run's events. Else a slow
// machine would fall ever more behind with them.
func (s *story) keepUp(ctx context.Context) {
	s.replay.await(ctx, "the log to disclose what is due", func() bool {
		due := s.replay.now().Add(-time.Duration(s.profile.DisclosureGrace) * time.Second / 2)
		for i := s.kept; i < len(s.indices); i++ {
			if s.batch.events[i].env.Event.Sealed.Until.Before(due) && s.replay.opened[s.indices[i]] == nil {
				return false
			}
		}
		return true
	})
}

// readBack reads the log as any stranger would, and compares it with what was
// submitted.
func (s *story) readBack(ctx context.Context) {
	s.replay.catchUp(ctx)
	for i, index := range s.indices {
		if index >= uint64(len(s.replay.entries)) || !bytes.Equal(s.replay.entries[index], s.batch.events[i].env.Bytes()) {
			try(fmt.Errorf("entry %d of the log is not the event that was logged there", index))
		}
	}
	s.wrap("  ", "Read back through the public interface: %d entries, whose root is the signed one, "+
		"and every event stands where its proof says.", len(s.replay.entries))
}

func (s *story) conclude() {
	s.title("What this shows, and what it does not")
	s.wrap("  ", "It shows that what is logged can't be changed or dropped afterwards without being seen by those who "+
		"verify, unless witnesses collude with the log: two, under the policy of three; all, under the policy of four.")
	s.wrap("  ", "It shows that the log keeps the rules of its charter, or that a replay shows that it did not: what was "+
		"sealed is disclosed by its date, and what is late can't be hidden.")
	s.wrap("  ", "It shows that no gate opens a key while a disclosure is overdue or a release is missing, and that no one has to "+
		"decide so. Against that, a whole quorum would have to collude: two of the auditors here, or the custodians themselves.")
	s.wrap("  ", "It does not show that the rows are true or complete: reporters found the data incomplete, and a "+
		"missing row proves nothing. A log does not see what happens without it, as when a seized device is searched. "+
		"And here all keys are in one directory, so its owner can act for every party. The decisions on emergencies, "+
		"the returns, the accesses on warrants, the deferral and the hidden release are the demonstration's own: no row has them.")
	fmt.Fprintf(s.short, "\nLook for yourself, from any directory. In %s are policy.txt, the keys,\n%d proofs in proofs/, each with the "+
		".openings of its seals, and PROVENANCE.md on the data.\n", s.o.dir, len(s.indices))
	s.commands()
}

// toolCommand returns the command that runs the tool vasistas: from the source of this program, or as it is
// installed if there is no source.
func toolCommand() string {
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
	if _, err := os.Stat(filepath.Join(root, "cmd", "vasistas", "main.go")); err != nil || !filepath.IsAbs(root) {
		return "vasistas "
	}
	return "go run -C " + quote(root) + " ./cmd/vasistas "
}

// commands prints commands that work as they stand, each on a line of its own after four spaces.
func (s *story) commands() {
	say := func(format string, args ...any) { fmt.Fprintf(s.short, format+"\n", args...) }
	i := s.batch.firstWarrant()
	proof, openings := quote(s.proofFile(s.indices[i])+proofSuffix), quote(s.proofFile(s.indices[i])+openingsSuffix)
	key := quote(s.keyFile(event.RoleAuthority, s.batch.accepted[i].court) + publicSuffix)
	policy := quote(s.Path("policy.txt"))
	tool := "    " + toolCommand()
	say("  Verify a proof, offline; then see what the event says, and what its seals hide:")
	say("%sverify --policy %s --key %s %s", tool, policy, key, proof)
	say("%sshow %s %s", tool, proof, openings)
	say("  What the subject can show to others, of the case that went all the way:")
	say("%sverify --policy %s %s", tool, policy, quote(s.Path("case", "1.notice")))
	say("  Try the forgeries; these two must fail:")
	say("%sverify --policy %s %s", tool, policy, quote(s.Path("attacks", "changed-byte.tlog-proof")))
	say("%sverify --policy %s %s", tool, quote(s.Path("policy-all.txt")), quote(s.Path("attacks", "three-of-four.tlog-proof")))
	if !s.o.serve {
		return
	}
	say("  Ask the log, while it is up, and read all of it, verified:")
	say("    curl %s/checkpoint", s.LogServer.URL)
	say("%sprove --policy %s --index %d --out %s", tool, policy, len(s.replay.entries)-1, quote(s.Path("last.tlog-proof")))
	say("%sfollow --policy %s --until-head", tool, policy)
	say("  Replay it by the rules, which finds the hidden release; what is sealed for 90 seconds is disclosed meanwhile:")
	say("%saudit --policy %s", tool, policy)
}

func quote(s string) string {
	plain := strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-") == ""
	if plain && !strings.HasPrefix(s, "-") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// eventsFile holds the events as they were signed: for each, a line with the secrets of its seals
// and a line with its envelope. It is written before the events are submitted: submitted again,
// an event keeps its index, so a demo that was cut off logs no row twice when it runs again.
// (That must be within the profile's lag, an hour. Later the log refuses the events that it does
// not have as too old, and the demo ends with what the log said.)
const eventsFile = "signed.ndjson"

const proofSuffix, openingsSuffix = ".tlog-proof", ".openings" // of the two files of one proof

// loadEvents reads the events that were signed in earlier runs.
func loadEvents(dir string) (events []*signedEvent) {
	b, err := os.ReadFile(filepath.Join(dir, eventsFile))
	if !errors.Is(err, os.ErrNotExist) {
		try(err)
	}
	for pair := range slices.Chunk(slices.Collect(bytes.Lines(b)), 2) {
		events = append(events, &signedEvent{must(event.ParseEnvelope(bytes.TrimSuffix(pair[1], []byte("\n")))), must(event.ParseOpenings(pair[0]))})
	}
	return events
}

func saveEvents(dir string, events []*signedEvent) {
	var b []byte
	for _, e := range events {
		b = append(b, must(e.openings.Bytes())...) // which ends with a line feed
		b = append(append(b, e.env.Bytes()...), '\n')
	}
	try(durable.WriteFile(filepath.Join(dir, eventsFile), b, 0o600))
}

// append submits the events of a chunk in one stream, verifies each proof offline, with the
// signers' keys, and saves it. It fails at the first event without a proof that holds.
func (s *story) append(ctx context.Context, from, to int) {
	try(os.MkdirAll(s.Path("proofs"), 0o755))
	began := time.Now()
	verifiers, ctx := errgroup.WithContext(ctx)
	verifiers.SetLimit(runtime.GOMAXPROCS(0))
	for r, err := range s.client.SubmitStream(ctx, submissions(s.batch.events[from:to]), client.WaitCosigned) {
		if err = errors.Join(err, r.Err); err != nil {
			// A proof that does not hold ends the stream too, and is the better reason.
			try(errors.Join(verifiers.Wait(), err))
		}
		n := len(s.indices) // of this event
		s.indices = append(s.indices, r.Index)
		if r.Duplicate {
			s.duplicates++
		}
		verifiers.Go(func() error {
			if err := caught(func() { saveProof(s.policy, r.Proof, s.batch.events[n], s.Lookup, s.proofFile(r.Index)) }); err != nil {
				return fmt.Errorf("the proof of entry %d: %w", r.Index, err)
			}
			return nil
		})
	}
	try(verifiers.Wait())
	if n := len(s.indices); n != to {
		try(fmt.Errorf("%d of %d events were logged and verified", n, to))
	}
	s.took += time.Since(began)
	if to == from+1 {
		s.publication = max(s.publication, time.Since(began))
	}
}

func submissions(events []*signedEvent) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, e := range events {
			if !yield(e.submission().Bytes()) {
				return
			}
		}
	}
}

// proofFile returns the name of the proof of an entry, without its suffix.
func (s *story) proofFile(index uint64) string {
	return s.Path("proofs", strconv.FormatUint(index, 10))
}

// saveProof verifies a proof as a stranger does who has nothing but the file, the policy and
// the signers' keys, and saves it under this name, with the secrets of the event's seals.
func saveProof(policy *verify.Policy, p *tlog.Proof, e *signedEvent, signers func(string) *event.PublicKey, name string) {
	o := verify.Options{Origin: origin, Signers: signers, Now: time.Now()}
	if in := must(verify.Proof(policy, p.Bytes(), o)); !bytes.Equal(in.Entry(), e.env.Bytes()) {
		try(errors.New("it is of another event"))
	}
	try(os.WriteFile(name+openingsSuffix, must(e.openings.Bytes()), 0o600))
	try(os.WriteFile(name+proofSuffix, p.Bytes(), 0o644))
}

// followUp logs what must follow on the events of a chunk: first the decisions, which have 3
// seconds and a grace of 5, then the returns of all warrants but those of the histories.
func (s *story) followUp(ctx context.Context, from, to int) {
	var decisions []*signedEvent
	var warrants []event.Reference
	for i := from; i < to; i++ {
		a, ref := s.batch.accepted[i], loggedAt(s.indices[i], s.batch.events[i]).Reference
		if a.Emergency {
			decisions = append(decisions, decision(s.People, a, ref))
		} else if !slices.Contains(s.batch.histories, i) {
			warrants = append(warrants, ref)
		}
	}
	decided := s.logOnce(ctx, "a decision on an emergency", "emergency", "decided", decisions)
	s.decisions += len(decided)
	s.returnAll(ctx, append(warrants, decided...))
}

// logOnce logs events. An event that breaks this rule in this way was logged in an earlier run,
// and is skipped.
func (s *story) logOnce(ctx context.Context, what, rule, way string, events []*signedEvent) (logged []event.Reference) {
	for r, err := range s.client.SubmitStream(ctx, submissions(events), client.WaitSequenced) {
		if err = errors.Join(err, r.Err); err == nil {
			logged = append(logged, event.Reference{Index: r.Index, Leaf: r.Leaf})
		} else if p, ok := errors.AsType[*client.Problem](err); !ok || p.Rule != rule || p.Way != way {
			try(fmt.Errorf("%s: %w", what, err))
		}
	}
	return logged
}

// decision makes the warrant of a court that validates an emergency access. The rows don't say
// what courts decided, so all are granted.
func decision(k *people.People, a accepted, on event.Reference) *signedEvent {
	d := newWarrant(k, &a)
	d.Body.(*event.Warrant).Validates = &on
	return d.sign(d.Time.Add(a.seal), k.Signer(a.court))
}

// returnAll logs the returns of warrants. Their figures are of opened keys: none was opened.
func (s *story) returnAll(ctx context.Context, warrants []event.Reference) {
	var returns []*signedEvent
	for _, ref := range warrants {
		returns = append(returns, signNow(&event.Return{Warrant: ref}, s.Signer(providerName)))
	}
	s.returns += len(s.logOnce(ctx, "the return of a warrant", "return", "taken", returns))
}

// signNow signs an event that seals nothing.
func signNow(body event.Body, by ...event.Signer) *signedEvent {
	return &signedEvent{must(event.Sign(must(event.New(origin, body)), by...)), &event.Openings{}}
}

func (s *story) submit(ctx context.Context, e *signedEvent) (*logged, error) {
	began := time.Now()
	r, err := s.client.Submit(ctx, e.submission(), client.WaitCosigned)
	if err != nil {
		return nil, err
	}
	s.publication = max(s.publication, time.Since(began))
	return loggedAt(r.Index, e), nil
}
