// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/vasistas/vasistas/internal/linger"
	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/event"
)

// stream is one request with NDJSON. Its lines are checked side by side, then sequenced
// and answered in their order. There is no atomicity. From a client that does not read
// its answers, the stream reads no more lines.
//
// A line goes from read to check and, in its order, to queue and to answer. Each
// of these is a goroutine; none outlives the request.
type stream struct {
	in    *intake
	rc    *http.ResponseController
	wait  Wait
	room  *semaphore.Weighted // bytes of the lines on their way
	place *holder             // among the streams

	mu   sync.Mutex
	over bool // nothing more is to be read
}

// job is one line of a stream.
type job struct {
	size    int64
	came    time.Time
	line    *buffer       // until it is checked
	checked chan struct{} // closed when these are set:
	ev      *admitted
	done    <-chan sequenced
	err     error
}

func serveStream(in *intake, w http.ResponseWriter, r *http.Request, wait Wait) error {
	if err := in.status.err(); err != nil {
		return err
	}
	// The context of the request ends with the first error of reading, and the lines
	// before the error must be answered.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	s := &stream{in: in, rc: http.NewResponseController(w), wait: wait, room: semaphore.NewWeighted(streamBytes)}
	s.place = in.streams.join(func() {
		cancel()
		s.stopReading()
		_ = s.rc.SetWriteDeadline(time.Unix(1, 0))
	})
	if !in.streams.take(s.place, 1) {
		return errStreams
	}
	defer in.streams.leave(s.place)
	// HTTP/1 clients that send all before they read work too, up to the window.
	if err := s.rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Cache-Control", "no-store")
	if r.ProtoMajor == 1 {
		h.Set("Connection", "close") // its deadlines are not those of another request
	}
	defer context.AfterFunc(in.draining, s.stopReading)()
	read, toCheck, queued := make(chan *job, streamWindow/2), make(chan *job, streamWindow/2), make(chan *job, streamWindow/2)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() { s.check(ctx, toCheck) })
	}
	wg.Go(func() { s.read(ctx, r.Body, read, toCheck) })
	wg.Go(func() { s.queue(ctx, read, queued) })
	err := s.answer(ctx, w, queued)
	if err != nil {
		cancel()
		s.stopReading()
		for range queued { // what was sequenced stays so
		}
	}
	wg.Wait()
	if err == nil {
		linger.After(r)
	}
	return nil
}

// stopReading ends read, also while it waits for the client.
func (s *stream) stopReading() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	// An error means that the connection has no deadlines; then the body ends
	// by itself.
	_ = s.rc.SetReadDeadline(time.Unix(1, 0))
}

// mayRead gives the client time for another line.
func (s *stream) mayRead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return false
	}
	_ = s.rc.SetReadDeadline(time.Now().Add(s.in.cfg.StreamIdle))
	return true
}

// read cuts the body into jobs.
func (s *stream) read(ctx context.Context, body io.Reader, read, toCheck chan<- *job) {
	defer close(read)
	defer close(toCheck)
	lines := bufio.NewReaderSize(body, event.MaxSubmissionSize+2)
	for {
		j := s.next(ctx, lines)
		if j == nil {
			return
		}
		last := j.err != nil
		if last {
			close(j.checked)
		}
		select {
		case read <- j:
		case <-ctx.Done():
			return
		}
		if last {
			return
		}
		toCheck <- j
	}
}

// next reads a line. A job with an error is the last; nil is the end.
func (s *stream) next(ctx context.Context, lines *bufio.Reader) *job {
	j := &job{checked: make(chan struct{})}
	if lines.Buffered() == 0 && !s.mayRead() {
		if j.err = s.in.status.err(); j.err == nil {
			return nil
		}
		return j
	}
	b, err := lines.ReadSlice('\n')
	j.came = time.Now()
	switch {
	case errors.Is(err, io.EOF) && len(b) == 0:
		return nil
	case errors.Is(err, bufio.ErrBufferFull):
		j.err = faulty{fmt.Errorf("%w: a line has at most %d bytes; the rest of the stream was not read", event.ErrTooLarge, event.MaxSubmissionSize)}
	case err != nil && s.in.draining.Err() != nil:
		j.err = ErrClosing
	case err != nil:
		j.err = fmt.Errorf("%w: a line must end in a line feed: %w", errIncomplete, err)
	default:
		j.size = int64(len(b)) + 512
		if s.room.Acquire(ctx, j.size) != nil {
			return nil
		}
		j.line = buffers.Get().(*buffer)
		j.line.b = append(j.line.b, b[:len(b)-1]...)
	}
	return j
}

// check admits and checks events; several goroutines run it.
func (s *stream) check(ctx context.Context, jobs <-chan *job) {
	for j := range jobs {
		if j.ev, j.err = s.in.admit(j.line.b); j.err == nil {
			j.done, j.err = s.in.check(ctx, j.ev, s.in.waitLookup)
		}
		j.line.free()
		j.line = nil
		close(j.checked)
	}
}

// queue hands the events that passed to the sequencer, in their order.
func (s *stream) queue(ctx context.Context, read <-chan *job, queued chan<- *job) {
	defer close(queued)
	for j := range read {
		<-j.checked
		if j.err == nil {
			j.err = s.in.status.err()
		}
		if j.err == nil && j.done == nil {
			j.done, j.err = s.in.sequencer.submit(j.ev)
		}
		select {
		case queued <- j:
		case <-ctx.Done():
		}
	}
}

// answer writes the results, and flushes before it waits. An error means that the
// client has gone.
func (s *stream) answer(ctx context.Context, w io.Writer, queued <-chan *job) error {
	out := bufio.NewWriterSize(patient{w, s.rc, s.in.cfg.StreamIdle, ctx.Err}, 32<<10)
	flush := func() error {
		if out.Buffered() == 0 {
			return nil
		}
		return errors.Join(out.Flush(), s.rc.Flush())
	}
	var buf []byte
	for {
		var j *job
		select {
		case j = <-queued:
		default:
			if err := flush(); err != nil {
				return err
			}
			j = <-queued
		}
		if j == nil {
			return flush()
		}
		r, err := s.result(ctx, j, flush)
		s.room.Release(j.size)
		buf = appendLine(buf[:0], r, err)
		if _, err := out.Write(buf); err != nil {
			return err
		}
	}
}

// result waits for what one line asked for, and calls flush if that takes time.
// MaxWait counts from when the line came, so that a stream does not wait that long for
// each of its lines.
func (s *stream) result(ctx context.Context, j *job, flush func() error) (*Result, error) {
	if j.err != nil {
		return nil, j.err
	}
	if len(j.done) == 0 {
		if err := flush(); err != nil {
			return nil, err
		}
	}
	// The sequencer always answers, and until then the line takes its room.
	seq := <-j.done
	s.in.count(j.ev, seq)
	if seq.err == nil && !seq.duplicate {
		s.in.streams.use(s.place)
	}
	if seq.err == nil && s.wait == Cosigned && s.in.publisher.published.Load().size() <= seq.Index {
		if err := flush(); err != nil {
			return nil, err
		}
	}
	return s.in.result(ctx, seq, s.wait, j.came.Add(s.in.cfg.MaxWait))
}

// patient gives the client time for each write.
type patient struct {
	io.Writer
	rc   *http.ResponseController
	time time.Duration
	over func() error // not nil: the stream was cut off
}

func (p patient) Write(b []byte) (int, error) {
	_ = p.rc.SetWriteDeadline(time.Now().Add(p.time))
	if err := p.over(); err != nil {
		return 0, err
	}
	return p.Writer.Write(b)
}

// line is one line of an answer to NDJSON, and the answer to a single event with
// wait=sequenced.
type line struct {
	Index     *uint64          `json:"index,omitempty"`
	Leaf      string           `json:"leaf,omitempty"` // standard base64
	Duplicate bool             `json:"duplicate,omitempty"`
	Proof     string           `json:"proof,omitempty"` // a tlog-proof
	Error     *problem.Problem `json:"error,omitempty"`
}

// appendLine appends the line for a result, with its line feed.
func appendLine(b []byte, r *Result, err error) []byte {
	var l line
	switch {
	case err != nil:
		l.Error = problemOf(err)
	case r.Proof != nil || r.Duplicate:
		l = line{Index: &r.Index, Leaf: r.Leaf.String(), Duplicate: r.Duplicate}
		if r.Proof != nil {
			l.Proof = string(r.proof())
		}
	default: // the most frequent line: written without reflection
		b = strconv.AppendUint(append(b, `{"index":`...), r.Index, 10)
		b = base64.StdEncoding.AppendEncode(append(b, `,"leaf":"`...), r.Leaf[:])
		return append(b, "\"}\n"...)
	}
	j, err := json.Marshal(l)
	if err != nil {
		panic(err) // for what has not only strings and numbers
	}
	return append(append(b, j...), '\n')
}
