// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

const proofSuffix = ".tlog-proof"

type appendFlags struct {
	logFlags
	wait         string
	ndjson, json bool
	proofs, out  string
	openings     string
}

func (e *env) append() *cobra.Command {
	var f appendFlags
	c := &cobra.Command{
		Use:   "append [FILE...]",
		Short: "Submit signed events to the log",
		Long: `append submits signed events to the log. It verifies the proof of each under the
policy, and writes it to FILE.tlog-proof, for 'vasistas verify'. You can submit an
event again: the log answers with the entry that it has.

--openings names the openings file that 'vasistas sign' wrote. append sends its
public openings with the event, and the log keeps them sealed until they are
disclosed. Openings for the subject alone stay in the file. FILE may also be a
whole submission, with openings or notices in it.

With --ndjson each line of the files, or of standard input, is an event. append
sends them in one stream, and writes the proofs to the directory of --proofs.

With --wait sequenced append does not wait for witnesses, and gets no proof.`,
		Example: `  vasistas append --policy policy.txt --openings w.openings w.event
  vasistas append --policy policy.txt --ndjson --proofs proofs < events.ndjson`,
		RunE: do(func(ctx context.Context, args []string) error { return e.runAppend(ctx, &f, args) }),
	}
	f.add(c)
	fl := c.Flags()
	fl.StringVar(&f.wait, "wait", "cosigned", "what to wait for: cosigned, or sequenced")
	fl.BoolVar(&f.ndjson, "ndjson", false, "read one event from each line")
	fl.StringVar(&f.proofs, "proofs", "", "directory for the proofs (default: next to each file; with --ndjson no proofs are written)")
	fl.StringVar(&f.out, "out", "", "file for the proof of a single event")
	fl.StringVar(&f.openings, "openings", "", "openings file of the event, to send its public openings")
	fl.BoolVar(&f.json, "json", false, "print a line of JSON for each event")
	c.MarkFlagsMutuallyExclusive("out", "proofs")
	c.MarkFlagsMutuallyExclusive("out", "ndjson")
	c.MarkFlagsMutuallyExclusive("openings", "ndjson")
	return c
}

func (e *env) runAppend(ctx context.Context, f *appendFlags, files []string) error {
	if len(files) == 0 {
		files = []string{"-"}
	}
	if f.out != "" && len(files) > 1 {
		return usagef("--out is for a single event; for several, give --proofs DIR")
	}
	if f.openings != "" && len(files) > 1 {
		return usagef("--openings is for a single event")
	}
	wait := client.Wait(f.wait)
	if wait != client.WaitCosigned && wait != client.WaitSequenced {
		return usagef("--wait %q: give cosigned or sequenced", f.wait)
	}
	if f.proofs != "" {
		if err := os.MkdirAll(f.proofs, 0o755); err != nil {
			return err
		}
	}
	cl, err := e.connect(&f.logFlags, wait == client.WaitCosigned)
	if err != nil {
		return err
	}
	if f.ndjson {
		return e.appendStream(ctx, cl, f, files, wait)
	}
	failed := 0
	for _, name := range files {
		if err := e.appendFile(ctx, cl, f, name, wait); err != nil {
			if len(files) == 1 {
				return err
			}
			failed++
			e.note("vasistas: %s: %v", name, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d events failed: they are not logged, or have no proof yet", failed, len(files))
	}
	return nil
}

func (e *env) appendFile(ctx context.Context, cl *client.Client, f *appendFlags, name string, wait client.Wait) error {
	submission, err := e.readSubmission(name, f.openings)
	if err != nil {
		return err
	}
	s, err := cl.Submit(ctx, submission, wait)
	var p *client.Problem
	if errors.As(err, &p) && p.Code() == client.CodeOpenings && len(submission.Openings) == 0 {
		return fmt.Errorf("%w; give the openings file that 'vasistas sign' wrote, as --openings", err)
	} else if err != nil {
		return err
	}
	return e.report(f, name, s)
}

// proofFile returns the file for the proof of an event from the file name, "" for none.
func (f *appendFlags) proofFile(name string, index uint64) string {
	switch {
	case f.out != "":
		return f.out
	case f.proofs != "" || name == "-":
		return filepath.Join(f.proofs, strconv.FormatUint(index, 10)+proofSuffix)
	case f.ndjson:
		return ""
	}
	return name + proofSuffix
}

func (e *env) readSubmission(name, openings string) (*event.Submission, error) {
	s, err := readAs(e, name, event.MaxSubmissionSize+1, line(event.ParseSubmission))
	if err != nil || openings == "" {
		return s, err
	}
	o, err := readAs(e, openings, event.MaxOpeningsSize, event.ParseOpenings)
	if err != nil {
		return nil, err
	}
	if o.Event != s.Envelope.Hash() {
		return nil, fmt.Errorf("%s: these are the openings of another event", openings)
	}
	if err := s.Envelope.Event.MatchAll(event.ClassPublic, o.Public); err != nil {
		return nil, fmt.Errorf("%s: %w", openings, err)
	}
	s.Openings = o.Public
	return s, nil
}

type appended struct {
	File      string          `json:"file,omitempty"`
	Index     *uint64         `json:"index,omitempty"`
	Leaf      string          `json:"leaf,omitempty"`
	Duplicate bool            `json:"duplicate,omitempty"`
	Proof     string          `json:"proof,omitempty"` // file
	Error     *client.Problem `json:"error,omitempty"`
}

// report writes the proof to its file, if there are both, and prints the result.
func (e *env) report(f *appendFlags, name string, s *client.Submitted) error {
	proof := f.proofFile(name, s.Index)
	if s.Proof == nil {
		proof = ""
	}
	if proof != "" {
		if err := e.putProof(proof, s.Proof); err != nil {
			return err
		}
	}
	if f.json {
		return e.printJSON(appended{
			File: name, Index: &s.Index, Leaf: s.Leaf.String(),
			Duplicate: s.Duplicate, Proof: proof,
		})
	}
	was := "is entry"
	if s.Duplicate {
		was = "was already entry"
	}
	e.printf("%s %s %d%s\n", name, was, s.Index, witnessed(s.Proof, proof))
	return nil
}

func witnessed(p *tlog.Proof, file string) string {
	switch {
	case p == nil:
		return ", not yet witnessed"
	case file == "":
		return fmt.Sprintf(" of %d", p.Checkpoint.Size)
	}
	return fmt.Sprintf(" of %d; proof in %s", p.Checkpoint.Size, file)
}

func (e *env) appendStream(ctx context.Context, cl *client.Client, f *appendFlags, files []string, wait client.Wait) error {
	bar := e.progress("events")
	defer bar.clear()
	var n, failed uint64
	for r, err := range cl.SubmitStream(ctx, e.lines(files), wait) {
		if err != nil {
			return err
		}
		n++
		name := "line " + strconv.FormatUint(n, 10)
		if r.Err != nil {
			failed++
			p, ok := errors.AsType[*client.Problem](r.Err)
			if !f.json || !ok {
				e.note("vasistas: %s: %v", name, r.Err)
			} else if err := e.printJSON(appended{File: name, Error: p}); err != nil {
				return err
			}
			continue
		}
		if err := e.report(f, name, r.Submitted); err != nil {
			return err
		}
		bar.set(n, 0)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d events failed: they are not logged, or have no proof yet", failed, n)
	}
	return nil
}

func (e *env) lines(files []string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for _, name := range files {
			if !e.fileLines(name, yield) {
				return
			}
		}
	}
}

func (e *env) fileLines(name string, yield func([]byte, error) bool) bool {
	in, err := e.input(name)
	if err != nil {
		yield(nil, err)
		return false
	}
	defer in.Close()
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), event.MaxSubmissionSize+2)
	lines.Split(splitLF)
	for lines.Scan() {
		if !yield(bytes.Clone(lines.Bytes()), nil) {
			return false
		}
	}
	if err := lines.Err(); err != nil {
		yield(nil, fmt.Errorf("%s: %w", name, err))
		return false
	}
	return true
}

// splitLF is bufio.ScanLines, but keeps a carriage return, which the log refuses.
func splitLF(b []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1, b[:i], nil
	}
	if atEOF && len(b) > 0 {
		return len(b), b, nil
	}
	return 0, nil, nil
}

type followFlags struct {
	logFlags
	from      uint64
	state     string
	untilHead bool
	raw       bool
	poll      time.Duration
}

func (e *env) follow() *cobra.Command {
	var f followFlags
	c := &cobra.Command{
		Use:   "follow",
		Short: "Print the log's entries as they are verified",
		Long: `follow prints each entry of the log as a line of JSON, in order, once the entry is
proven to be in the tree of a checkpoint that meets the policy and extends every
earlier checkpoint. If the log signs a fork, follow prints both checkpoints as
evidence, and stops. A head that the policy does not accept is not believed; if it
contradicts an accepted one of its size, follow prints both, and goes on.

With --state follow resumes where it stopped. It writes the file after printing, so
after a crash a line may come twice, but none is lost.`,
		Example: "  vasistas follow --policy policy.txt --state follow.state --until-head",
		Args:    cobra.NoArgs,
		RunE:    do(func(ctx context.Context, _ []string) error { return e.runFollow(ctx, &f) }),
	}
	f.add(c)
	c.Flags().Uint64Var(&f.from, "from", 0, "first index to print, if there is no state yet")
	c.Flags().StringVar(&f.state, "state", "", "file to resume from")
	c.Flags().BoolVar(&f.untilHead, "until-head", false, "stop at the present head")
	c.Flags().BoolVar(&f.raw, "raw", false, "also print the exact bytes of each entry, in base64")
	durationVar(c, &f.poll, "poll", time.Second, "pause between two requests for a new head")
	return c
}

// maxSaid bounds the contradicting heads that follow prints.
const maxSaid = 16

func (e *env) runFollow(ctx context.Context, f *followFlags) error {
	o := client.FollowOptions{
		Start: f.from, UntilHead: f.untilHead, Poll: f.poll,
	}
	said := make(map[tlog.Hash]bool) // roots of heads that contradict, which a log may serve for long
	o.Waiting = func(err error) {
		c, ok := errors.AsType[*client.ContradictionError](err)
		if ok && said[c.Fork.Large.Root] {
			return
		}
		if e.note("vasistas: waiting: %v", err); ok && len(said) < maxSaid {
			said[c.Fork.Large.Root] = true
			e.printJSON(map[string]*client.ForkEvidence{"contradiction": c.Fork.Evidence()})
		}
	}
	if f.state != "" {
		b, err := e.read(f.state, client.MaxStateSize)
		if err == nil {
			o.From, err = client.ParseState(b)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	cl, err := e.connect(&f.logFlags, true)
	if err != nil {
		return err
	}
	follower, err := cl.Follower(o)
	if err != nil {
		return err
	}
	err = e.printEntries(ctx, follower, f)
	if fork, ok := errors.AsType[*client.ForkError](err); ok {
		// Print the evidence now: the log may not serve the fork again.
		return errors.Join(err, e.printJSON(map[string]*client.ForkEvidence{"fork": fork.Evidence()}))
	}
	return err
}

// printEntries prints the follower's entries, and saves its state.
func (e *env) printEntries(ctx context.Context, follower *client.Follower, f *followFlags) (err error) {
	out := bufio.NewWriterSize(e.stdout, 64<<10)
	bar := e.progress("entries")
	defer bar.clear()
	save := func() error {
		if err := out.Flush(); err != nil {
			return err
		}
		if f.state == "" || follower.Head() == nil {
			return nil
		}
		return durable.WriteFile(f.state, follower.State().Bytes(), 0o644)
	}
	defer func() { err = errors.Join(err, save()) }()
	unsaved := 0
	for entry, err := range follower.All(ctx) {
		if err != nil && !f.untilHead && ctx.Err() != nil &&
			(errors.Is(err, context.Cause(ctx)) || errors.Is(err, ctx.Err())) {
			return nil // stopped by a signal
		}
		if err != nil {
			return err
		}
		if err := printEntry(out, entry, f.raw); err != nil {
			return err
		}
		size := entry.Head.Checkpoint.Size
		bar.set(entry.Index+1, size)
		if unsaved++; entry.Index+1 == size || unsaved == saveEvery {
			unsaved = 0
			if err := save(); err != nil {
				return err
			}
		}
	}
	return nil
}

type entryJSON struct {
	Index uint64          `json:"index"`
	Leaf  string          `json:"leaf"`
	Type  event.Type      `json:"type,omitempty"` // "" if the entry is not an event
	Hash  string          `json:"hash,omitempty"` // event hash
	Keys  []string        `json:"keys,omitempty"` // key ids of the signatures, which are not verified
	Event json.RawMessage `json:"event,omitempty"`
	Entry string          `json:"entry,omitempty"` // exact bytes, for other entries than events, or with --raw
}

func printEntry(out *bufio.Writer, entry client.Entry, raw bool) error {
	line := entryJSON{Index: entry.Index, Leaf: entry.Leaf.String()}
	d, err := describeEnvelope(entry.Bytes)
	if err == nil {
		line.Type, line.Hash, line.Event, line.Keys = d.ev.Type, d.Hash, d.Event, d.Keys
	}
	if err != nil || raw {
		line.Entry = base64.StdEncoding.EncodeToString(entry.Bytes)
	}
	b, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = out.Write(append(b, '\n'))
	return err
}
