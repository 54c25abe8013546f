// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/ledger"
	"github.com/vasistas/vasistas/log/tlog"
)

const maxRecord = event.MaxSubmissionSize + 1

// Kinds of records, their first byte.
const (
	recordBase   = 'B' // start of the chain: entries, seq, prev, resumed
	recordSigned = 'S' // a submission signed by this gate's key
	recordLogged = 'L' // event hash, index and leaf hash of a logged one
	recordHeld   = 'V' // a submission that was handed to this gate
	recordLetGo  = 'X' // leaf hash of one that the gate no longer holds
)

func label(keyID string) string { return "vasistas gate " + keyID }

type signed struct {
	hash       [32]byte
	kind       event.Type
	own        [32]byte // leaf hash of the submission
	submission []byte   // as posted; nil once it is logged
	access     event.Reference
	seq        uint64       // of a release
	prev       event.Digest // of a release
	notices    [][]byte     // of a release, until the log has published them
	logged     bool
	index      uint64   // once logged
	leaf       [32]byte // once logged
}

// base is where a journal starts. It need not have events of this key that the log has
// below size: the operator has dealt with those.
type base struct {
	size    uint64
	seq     uint64
	prev    event.Digest
	resumed bool
}

type refusalKey struct {
	access uint64
	reason string
}

// journal has the events that this gate's key has signed, and those handed to the gate. It
// is safe for concurrent use.
type journal struct {
	mu sync.Mutex
	j  *durable.Journal

	base     base
	seq      uint64 // of the last release in the chain
	prev     event.Digest
	known    map[[32]byte]*signed
	releases map[uint64]*signed // by access
	refused  map[refusalKey]bool
	outbox   []*signed            // not known to be logged, in the order of signing
	marks    []*signed            // known to be logged, but not recorded as such
	held     map[tlog.Hash][]byte // submissions, by leaf hash
	beat     time.Time            // the end of the last heartbeat's period; zero: there is none
	resumed  bool                 // the next heartbeat must say that the chain was resumed
	err      error                // why signing has stopped; only resume resets it
}

func createJournal(name, keyID string) error {
	j, err := durable.CreateJournal(name, label(keyID), maxRecord)
	if err != nil {
		return err
	}
	return errors.Join(j.Append(base{}.record()), j.Close())
}

func newJournal() *journal {
	return &journal{known: make(map[[32]byte]*signed), releases: make(map[uint64]*signed), refused: make(map[refusalKey]bool),
		held: make(map[tlog.Hash][]byte)}
}

func openJournal(name, keyID string) (*journal, error) {
	j := newJournal()
	begun := false
	d, err := durable.OpenJournal(name, label(keyID), maxRecord, func(rec []byte) error {
		if !begun && rec[0] != recordBase {
			return errors.New("its first record does not start a chain")
		}
		begun = true
		return j.replay(rec)
	})
	if err != nil {
		return nil, err
	}
	if !begun {
		return nil, errors.Join(fmt.Errorf("%s has no records: it was cut off; restore it, or create a new gate and resume the chain from the log", name), d.Close())
	}
	j.j = d
	return j, nil
}

func (j *journal) replay(rec []byte) error {
	switch body := rec[1:]; rec[0] {
	case recordBase:
		b, err := parseBase(body)
		if err != nil {
			return err
		}
		j.begin(b)
	case recordSigned:
		s, ev, err := parseSigned(body)
		if err != nil {
			return err
		}
		j.add(s, ev)
	case recordLogged:
		if len(body) != 72 {
			return errors.New("a record of a logged event has the wrong length")
		}
		s := j.known[[32]byte(body)]
		if s == nil {
			return errors.New("a logged event is not in the journal")
		}
		j.log(s, binary.BigEndian.Uint64(body[32:]), [32]byte(body[40:]))
	case recordHeld:
		sub, err := event.ParseSubmission(body)
		if err != nil {
			return err
		}
		j.held[sub.Envelope.LeafHash()] = slices.Clone(body)
	case recordLetGo:
		if len(body) != 32 {
			return errors.New("a record of an event that is no longer held has the wrong length")
		}
		delete(j.held, tlog.Hash(body))
	default:
		return fmt.Errorf("a record of an unknown kind %q", rec[0])
	}
	return nil
}

func (b base) record() []byte {
	out := binary.BigEndian.AppendUint64([]byte{recordBase}, b.size)
	out = binary.BigEndian.AppendUint64(out, b.seq)
	out = append(out, b.prev[:]...)
	if b.resumed {
		return append(out, 1)
	}
	return append(out, 0)
}

func parseBase(b []byte) (base, error) {
	if len(b) != 49 || b[48] > 1 {
		return base{}, errors.New("the record of the chain's start is malformed")
	}
	return base{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), event.Digest(b[16:48]), b[48] == 1}, nil
}

// begin sets the chain to the log's. It keeps unposted releases that continue that chain,
// since the log may have them already. It drops all others, and their accesses count as
// unanswered: posting such a release would be a second event of its number.
func (j *journal) begin(b base) {
	j.base, j.seq, j.prev, j.resumed = b, b.seq, b.prev, b.resumed
	j.outbox = slices.DeleteFunc(j.outbox, func(s *signed) bool {
		switch {
		case s.kind != event.TypeRelease:
			return false
		case s.seq == j.seq+1 && s.prev == j.prev:
			j.seq, j.prev = s.seq, s.hash
			return false
		}
		if j.releases[s.access.Index] == s {
			delete(j.releases, s.access.Index)
		}
		return true
	})
}

func parseSigned(b []byte) (*signed, *event.Event, error) {
	sub, err := event.ParseSubmission(b)
	if err != nil {
		return nil, nil, err
	}
	return &signed{hash: sub.Envelope.Hash(), own: sub.Envelope.LeafHash(), kind: sub.Envelope.Event.Type, submission: slices.Clone(b), notices: sub.Notices}, sub.Envelope.Event, nil
}

func (j *journal) add(s *signed, ev *event.Event) {
	j.known[s.hash] = s
	j.outbox = append(j.outbox, s)
	switch body := ev.Body.(type) {
	case *event.Release:
		s.access, s.seq, s.prev = body.Access, body.Seq, body.Prev
		j.releases[body.Access.Index] = s
		j.seq, j.prev = body.Seq, s.hash
	case *event.Refusal:
		s.access = body.Access
		j.refused[refusalKey{body.Access.Index, body.Reason}] = true
	case *event.Heartbeat:
		j.beat = body.To
		j.resumed = j.resumed && !body.Resumed
	}
}

func (j *journal) log(s *signed, index uint64, leaf [32]byte) {
	s.logged, s.index, s.leaf, s.submission = true, index, leaf, nil
	j.outbox = slices.DeleteFunc(j.outbox, func(o *signed) bool { return o == s })
}

// sign makes an event and returns it once it is durable in the journal. It calls make with
// the chain's end under the lock, so that no two events get one place in the chain.
func (j *journal) sign(make func(seq uint64, prev event.Digest) (*event.Submission, error)) (*signed, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return nil, j.err
	}
	sub, err := make(j.seq, j.prev)
	if err != nil {
		return nil, err
	}
	b, err := sub.Bytes()
	if err != nil {
		return nil, err
	}
	s, ev, err := parseSigned(b)
	if err != nil {
		return nil, err
	}
	if err := j.append(append([]byte{recordSigned}, b...)); err != nil {
		return nil, err
	}
	j.add(s, ev)
	return s, nil
}

// append makes a record durable. After a failure the journal's content is unknown, so the
// gate signs nothing until the journal is opened again.
func (j *journal) append(rec []byte) error {
	if j.err != nil {
		return j.err
	}
	err := j.j.Append(rec)
	if err != nil && !errors.Is(err, durable.ErrTooLarge) {
		j.err = fmt.Errorf("writing the journal failed; start the gate again: %w", err)
		return j.err
	}
	return err
}

// seen marks an entry signed by this gate's key as logged, if it is the journal's own leaf
// or, with other signatures, had an effect: a copy that a stranger has spoilt is not the
// gate's event. ErrElsewhere: the journal lacks the event.
func (j *journal) seen(e ledger.Entry, effect bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.known[e.Hash]
	switch {
	case s != nil && !s.logged && (effect || e.Leaf == s.own):
		j.log(s, e.Index, e.Leaf)
		j.marks = append(j.marks, s)
	case s == nil && e.Index >= j.base.size:
		j.err = fmt.Errorf("%w: entry %d, a %s", ErrElsewhere, e.Index, e.Envelope.Event.Type)
		return j.err
	}
	return nil
}

// fits returns ErrElsewhere unless the log's chain of this key is a prefix of the
// journal's.
func (j *journal) fits(c ledger.Chain) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if c.Seq > j.seq || c.Stated > j.seq || c.Seq == j.seq && event.Digest(c.Hash) != j.prev {
		j.err = fmt.Errorf("%w: the log has %d releases and states %d, and the journal has %d", ErrElsewhere, c.Seq, c.Stated, j.seq)
		return j.err
	}
	return nil
}

func (j *journal) flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.marks) > 0 {
		s := j.marks[0]
		rec := append([]byte{recordLogged}, s.hash[:]...)
		rec = binary.BigEndian.AppendUint64(rec, s.index)
		if err := j.append(append(rec, s.leaf[:]...)); err != nil {
			return err
		}
		j.marks = j.marks[1:]
	}
	return nil
}

// hold keeps a submission that was handed to the gate.
func (j *journal) hold(submission []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.append(append([]byte{recordHeld}, submission...))
}

func (j *journal) letGo(leaf tlog.Hash) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.append(append([]byte{recordLetGo}, leaf[:]...))
}

// release returns the release that answers an access, nil if there is none.
func (j *journal) release(access uint64) *signed {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.releases[access].copy()
}

func (s *signed) copy() *signed {
	if s == nil {
		return nil
	}
	c := *s
	return &c
}

// unpublished returns the logged releases whose notices are not known to be published.
func (j *journal) unpublished() []*signed {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []*signed
	for _, s := range j.releases {
		if s.logged && len(s.notices) > 0 {
			out = append(out, s.copy())
		}
	}
	return out
}

// published forgets the first n notices of an access's release.
func (j *journal) published(access uint64, n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s := j.releases[access]; s != nil {
		s.notices = s.notices[min(n, len(s.notices)):]
	}
}

func (j *journal) waiting() []*signed {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]*signed, len(j.outbox))
	for i, s := range j.outbox {
		out[i] = s.copy()
	}
	return out
}

func (j *journal) drop(hash [32]byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.outbox = slices.DeleteFunc(j.outbox, func(s *signed) bool { return s.hash == hash })
}

// last returns the end of the last heartbeat's period, and whether the next one
// must say that the chain was resumed.
func (j *journal) last() (time.Time, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.beat, j.resumed
}

// failed returns why signing has stopped, nil if it has not.
func (j *journal) failed() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

func (j *journal) close() error { return j.j.Close() }

// resume starts the journal at a place in the log.
func (j *journal) resume(b base) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = nil
	if err := j.append(b.record()); err != nil {
		return err
	}
	j.begin(b)
	return nil
}
