// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
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
	dryRun       bool
}

func (e *env) append() *cobra.Command {
	var f appendFlags
	c := &cobra.Command{
		Use:   "append [FILE|DIR...]",
		Short: "Submit signed events to the log",
		Long: `append submits signed events to the log. It verifies the proof of each under the
policy, and writes it to FILE.tlog-proof, for 'vasistas verify'. You can submit an
event again: the log answers with the entry that it has.

--openings names the openings file that 'vasistas sign' wrote; by default X.openings
is that of X.event, if there is one. append sends its public openings with the event,
and the log keeps them sealed until they are disclosed. Openings for the subject
alone stay in the file. FILE may also be a whole submission, with openings or notices
in it. Of a directory append takes each file *.event.

append goes on after an event that the log refuses, and exits with 1 in the end.

--dry-run replays the log, and judges each event as the next entry, by the log's
charter and present state. It logs nothing.

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
	fl.BoolVar(&f.dryRun, "dry-run", false, "judge the events, and log none")
	fl.BoolVar(&f.json, "json", false, "print a line of JSON for each event")
	c.MarkFlagsMutuallyExclusive("dry-run", "ndjson")
	c.MarkFlagsMutuallyExclusive("dry-run", "out")
	c.MarkFlagsMutuallyExclusive("dry-run", "proofs")
	c.MarkFlagsMutuallyExclusive("out", "proofs")
	c.MarkFlagsMutuallyExclusive("out", "ndjson")
	c.MarkFlagsMutuallyExclusive("openings", "ndjson")
	return c
}

func (e *env) runAppend(ctx context.Context, f *appendFlags, args []string) error {
	files, err := eventFiles(args)
	if err != nil {
		return err
	}
	if f.out != "" && len(files) > 1 {
		return usagef("--out is for a single event; for several, give --proofs DIR")
	}
	if f.openings != "" && len(files) > 1 {
		return usagef("--openings is for a single event; for several, name each file of openings X.openings, next to X.event")
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
	cl, err := e.connect(&f.logFlags, f.dryRun || wait == client.WaitCosigned)
	if err != nil {
		return err
	}
	if f.ndjson {
		return e.appendStream(ctx, cl, f, files, wait)
	}
	one := func(name string) error { return e.appendFile(ctx, cl, f, name, wait) }
	if f.dryRun {
		d, err := e.newDryRun(ctx, cl)
		if err != nil {
			return err
		}
		one = func(name string) error { return e.judgeFile(d, f, name) }
	}
	failed := 0
	for _, name := range files {
		if err := one(name); err != nil {
			failed++
			if err = e.refused(f, name, err); err != nil && len(files) == 1 {
				return err
			} else if err != nil {
				e.note("vasistas: %v", err)
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	switch {
	case failed > 0 && len(files) == 1:
		return &exitError{code: exitFailed} // it was printed
	case failed > 0 && f.dryRun:
		return fmt.Errorf("the log would not take %d of %d events as they are", failed, len(files))
	case failed > 0:
		return fmt.Errorf("%d of %d events failed: they are not logged, or have no proof yet", failed, len(files))
	}
	return nil
}

const eventSuffix, openingsSuffix = ".event", ".openings"

// eventFiles returns the files of the arguments: of a directory, its events in the order of
// their names; without arguments, the standard input.
func eventFiles(args []string) (files []string, err error) {
	if len(args) == 0 {
		return []string{"-"}, nil
	}
	for _, name := range args {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			files = append(files, name) // reading it reports the error
			continue
		}
		list, err := os.ReadDir(name)
		if err != nil {
			return nil, err
		}
		before := len(files)
		for _, entry := range list {
			if strings.HasSuffix(entry.Name(), eventSuffix) {
				files = append(files, filepath.Join(name, entry.Name()))
			}
		}
		if len(files) == before {
			return nil, fmt.Errorf("%s: this directory has no file *%s", name, eventSuffix)
		}
	}
	return files, nil
}

// refused prints the refusal of an event as JSON, if --json asks for it and the log gave a
// reason, and else returns err.
func (e *env) refused(f *appendFlags, name string, err error) error {
	p, ok := errors.AsType[*client.Problem](err)
	if !f.json || !ok {
		return err
	}
	return e.printJSON(appended{File: name, Error: p})
}

// appendFile appends the event of a file. Its errors name the file.
func (e *env) appendFile(ctx context.Context, cl *client.Client, f *appendFlags, name string, wait client.Wait) error {
	submission, err := e.readSubmission(name, f.openings)
	if err != nil {
		return err
	}
	s, err := cl.Submit(ctx, submission, wait)
	var p *client.Problem
	if errors.As(err, &p) && p.Code() == client.CodeOpenings && len(submission.Openings) == 0 {
		return fmt.Errorf("%s: %w; give the openings file that 'vasistas sign' wrote, as --openings", name, err)
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return e.report(f, name, s)
}

// judgeFile judges the event of a file. Its errors name the file.
func (e *env) judgeFile(d *dryRun, f *appendFlags, name string) error {
	s, err := e.readSubmission(name, f.openings)
	if err != nil {
		return err
	}
	if err := d.judge(s); err != nil {
		if f.json {
			err = &client.Problem{Title: "The log would not take it as it is", Detail: err.Error()}
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	if f.json {
		return e.printJSON(appended{File: name})
	}
	e.printf("%s: the log would take it, after the %d entries that it has\n", name, d.ledger.Size())
	return nil
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

// readSubmission reads an event and its openings: those of the file openings or, if that is "",
// those next to the event.
func (e *env) readSubmission(name, openings string) (*event.Submission, error) {
	s, err := readAs(e, name, event.MaxSubmissionSize+1, line(event.ParseSubmission))
	if err != nil {
		return nil, err
	}
	if base, ok := strings.CutSuffix(name, eventSuffix); ok && openings == "" && len(s.Openings) == 0 {
		if _, err := os.Stat(base + openingsSuffix); err == nil {
			openings = base + openingsSuffix
		}
	}
	if openings == "" {
		return s, nil
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
			if err := e.refused(f, name, r.Err); err != nil {
				e.note("vasistas: %s: %v", name, err)
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

type proveFlags struct {
	logFlags
	index   uint64
	out     string
	audited bool
}

func (e *env) prove() *cobra.Command {
	var f proveFlags
	c := &cobra.Command{
		Use:   "prove --index N",
		Short: "Get the proof that an entry is in the log",
		Long: `prove writes a proof file (C2SP tlog-proof) with the entry, under the latest
checkpoint that meets the policy. prove verifies it first; 'vasistas verify' can
verify it again, offline, and its times: if the charter's spread is above 300 s, give
that as --spread.

--audited proves under the checkpoint that met the charter's audit policy last, with
the auditors' cosignatures. That checkpoint may be smaller than the latest one.`,
		Example: "  vasistas prove --policy policy.txt --index 12 --out 12.tlog-proof",
		Args:    cobra.NoArgs,
		RunE: do(func(ctx context.Context, _ []string) error {
			cl, err := e.connect(&f.logFlags, true)
			if err != nil {
				return err
			}
			p, err := getProof(ctx, cl, &f)
			if err != nil {
				return err
			}
			return e.putProof(cmp.Or(f.out, "-"), p)
		}),
	}
	f.add(c)
	c.Flags().Uint64Var(&f.index, "index", 0, "index of the entry")
	c.Flags().BoolVar(&f.audited, "audited", false, "prove under the checkpoint that auditors cosigned last")
	c.Flags().StringVar(&f.out, "out", "", "file to write, in place of an earlier proof if there is one (default: standard output)")
	c.MarkFlagRequired("index")
	return c
}

func getProof(ctx context.Context, cl *client.Client, f *proveFlags) (*tlog.Proof, error) {
	if !f.audited {
		return cl.Prove(ctx, f.index)
	}
	head, _, err := cl.Audited(ctx, nil)
	if err != nil {
		return nil, err
	}
	return cl.ProveAt(ctx, head, f.index)
}
