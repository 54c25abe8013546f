// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"sync"

	"github.com/vasistas/vasistas/internal/problem"
	"github.com/vasistas/vasistas/log/tlog"
)

// maxLine bounds a line of results: a proof as a JSON string, whose line feeds take two
// bytes, and other members.
const maxLine = 2*tlog.MaxProofSize + problem.MaxSize

// inFlight bounds the bytes of unanswered events, which are kept for checking answers
// and for submitting again. At the bound, the caller's iterator waits.
const inFlight = 32 << 20

// StreamResult is the answer to one event of a stream.
type StreamResult struct {
	Submission []byte // as submitted
	*Submitted        // nil if Err is not
	Err        error  // wraps a [Problem] or [ErrAnswer]
}

// SubmitStream submits events as [Client.Submit] does, in one request (NDJSON), and
// yields the answers in order, as they arrive. Each event is accepted or refused by
// itself. If the connection breaks or the log is busy, SubmitStream submits unanswered
// events again, at most [Config].Retries times without an answer in between; an event
// logged by an earlier try is then a duplicate. An error as second value ends the
// stream: unanswered events may or may not be logged.
//
// submissions runs in a goroutine of its own, which ends after its next event once the
// stream has ended. An error that it yields ends the stream after the earlier answers.
func (c *Client) SubmitStream(ctx context.Context, submissions iter.Seq2[[]byte, error], wait Wait) iter.Seq2[StreamResult, error] {
	return func(yield func(StreamResult, error) bool) {
		if err := c.maySubmit(wait); err != nil {
			yield(StreamResult{}, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		s := newStream(ctx)
		go s.pull(submissions)
		if err := c.runStream(ctx, s, wait, yield); err != nil {
			yield(StreamResult{}, fmt.Errorf("submitting to %s: %w", c.submit.base, err))
		}
	}
}

// errStop means that the caller broke off.
var errStop = errors.New("stop")

// runStream makes one request after the other, until all events are answered.
func (c *Client) runStream(ctx context.Context, s *stream, wait Wait, yield func(StreamResult, error) bool) error {
	for tries := 0; s.more(); tries++ {
		answered := false
		err := c.request(ctx, s, wait, func(r StreamResult) bool {
			answered = true
			return yield(r, nil)
		})
		switch {
		case errors.Is(err, errStop):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && s.idle():
			tries = -1
			continue
		case err == nil:
			err = fmt.Errorf("%w: the answers ended early", errBroken)
		}
		if answered || s.idle() {
			tries = 0
		}
		if tries >= c.submit.retries || !temporary(err) {
			return err
		}
		if err := pause(ctx, c.submit.wait(tries, err)); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.inputError()
}

// request sends the unanswered events, and those that follow, in one request.
func (c *Client) request(ctx context.Context, s *stream, wait Wait, yield func(StreamResult) bool) error {
	body, w := io.Pipe()
	defer body.Close() // ends send
	go s.send(w, s.rewind())
	resp, err := c.post(ctx, wait, "application/x-ndjson", body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media != "application/x-ndjson" {
		return fmt.Errorf("%w: it is of type %q", ErrAnswer, media)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxLine)
	lines.Split(wholeLine)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		e, ok := s.pop()
		switch {
		case !ok && r.Error != nil:
			// The log ends the stream, for example because no event came for a while.
			return fmt.Errorf("%w: %w", errBroken, r.Error)
		case !ok:
			return fmt.Errorf("%w: more results than events", ErrAnswer)
		}
		one := StreamResult{Submission: e}
		if one.Submitted, one.Err = c.streamed(&r, e, wait); one.Err != nil {
			one.Submitted = nil
		}
		if !yield(one) {
			return errStop
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("%w: a line of more than %d bytes", ErrAnswer, maxLine)
	case err != nil:
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return nil
}

// wholeLine is a [bufio.SplitFunc] for lines. A last line without a line feed is an error.
func wholeLine(data []byte, atEOF bool) (int, []byte, error) {
	i := bytes.IndexByte(data, '\n')
	if i < 0 && atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	} else if i < 0 {
		return 0, nil, nil
	}
	return i + 1, data[:i], nil
}

func (c *Client) streamed(r *result, submission []byte, wait Wait) (*Submitted, error) {
	envelope, err := entryOf(submission)
	if err != nil && r.Error == nil {
		return nil, fmt.Errorf("%w: it was no submission: %w", ErrAnswer, err)
	}
	return c.checkResult(r, envelope, wait)
}

// stream holds the unanswered submissions.
type stream struct {
	ctx context.Context

	mu      sync.Mutex
	changed *sync.Cond // a field below has changed, or ctx has ended
	waiting [][]byte
	sent    int // of waiting, in request number
	request int
	bytes   int // of waiting
	ended   bool
	err     error // of the caller's iterator, once ended
}

func newStream(ctx context.Context) *stream {
	s := &stream{ctx: ctx}
	s.changed = sync.NewCond(&s.mu)
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	return s
}

// pull takes submissions from the caller while there is room.
func (s *stream) pull(submissions iter.Seq2[[]byte, error]) {
	var failed error
	for e, err := range submissions {
		if failed = err; err == nil && bytes.IndexByte(e, '\n') >= 0 {
			failed = errors.New("a submission with a line feed can't be sent in a stream")
		}
		if failed != nil || !s.push(e) {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.err = true, failed
	s.changed.Broadcast()
}

// push waits for room and returns false when the stream has ended.
func (s *stream) push(e []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.bytes > 0 && s.bytes+len(e) > inFlight && s.ctx.Err() == nil {
		s.changed.Wait()
	}
	if s.ctx.Err() != nil {
		return false
	}
	s.waiting = append(s.waiting, e)
	s.bytes += len(e)
	s.changed.Broadcast()
	return true
}

// send writes waiting submissions until the input or the request ends.
func (s *stream) send(w *io.PipeWriter, request int) {
	defer w.Close()
	for {
		line, ok := s.next(request)
		if !ok {
			return
		}
		if _, err := w.Write(line); err != nil {
			return // request reports why
		}
	}
}

func (s *stream) next(request int) (line []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.request == request && s.sent == len(s.waiting) && !s.ended && s.ctx.Err() == nil {
		s.changed.Wait()
	}
	if s.request != request || s.sent == len(s.waiting) || s.ctx.Err() != nil {
		return nil, false
	}
	e := s.waiting[s.sent]
	s.sent++
	return append(e[:len(e):len(e)], '\n'), true
}

// rewind starts a new request with the oldest unanswered submission.
func (s *stream) rewind() (request int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.request++
	s.sent = 0
	s.changed.Broadcast()
	return s.request
}

// pop takes the oldest submission that was sent.
func (s *stream) pop() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent == 0 {
		return nil, false
	}
	e := s.waiting[0]
	s.waiting[0] = nil
	s.waiting = s.waiting[1:]
	s.sent--
	s.bytes -= len(e)
	s.changed.Broadcast()
	return e, true
}

// more waits for an unanswered submission, and returns false if none will come.
func (s *stream) more() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) == 0 && !s.ended && s.ctx.Err() == nil {
		s.changed.Wait()
	}
	return len(s.waiting) > 0 && s.ctx.Err() == nil
}

// idle returns whether no submission is unanswered now.
func (s *stream) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) == 0
}

func (s *stream) inputError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
