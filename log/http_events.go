// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/vasistas/vasistas/internal/linger"
	"github.com/vasistas/vasistas/log/event"
)

// headerDuplicate says that the event was logged before.
const headerDuplicate = "Vasistas-Duplicate"

func serveEvents(in *intake, w http.ResponseWriter, r *http.Request) error {
	wait, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	encoding := r.Header.Get("Content-Encoding")
	// Of two headers of one name, a proxy may believe the other one.
	twice := len(r.Header.Values("Content-Type")) > 1 || len(r.Header.Values("Content-Encoding")) > 1
	switch {
	case err != nil || twice || encoding != "" && encoding != "identity":
	case kind == "application/json":
		return serveOne(in, w, r, wait)
	case kind == "application/x-ndjson":
		return serveStream(in, w, r, wait)
	}
	return errMediaType
}

// serveOne answers with the proof, or the index for wait=sequenced.
func serveOne(in *intake, w http.ResponseWriter, r *http.Request, wait Wait) error {
	rc := http.NewResponseController(w)
	// An event that is incomplete when admission ends is refused, and does not delay
	// the end.
	reading := context.AfterFunc(in.draining, func() { _ = rc.SetReadDeadline(time.Unix(1, 0)) })
	entry, err := readEntry(r)
	closing := !reading()
	if closing {
		if err = in.status.err(); err == nil {
			err = ErrClosing
		}
	}
	if err != nil {
		w.Header().Set("Connection", "close")
		problemOf(err).Answer(w)
		if !closing {
			linger.On(rc, r.Body)
		}
		return nil
	}
	res, err := in.submit(r.Context(), entry, wait)
	if err != nil {
		return err
	}
	h := w.Header()
	status, text := http.StatusAccepted, []byte(nil)
	if wait == Cosigned {
		status, text = http.StatusCreated, res.Proof.Bytes()
		h.Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		text = appendLine(nil, res, nil)
		h.Set("Content-Type", "application/json")
	}
	if res.Duplicate {
		status = http.StatusOK
		h.Set(headerDuplicate, "true")
	}
	h.Set(headerIndex, strconv.FormatUint(res.Index, 10))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(text)
	return nil
}

// readEntry reads a body of at most the length of a submission. It takes memory as bytes
// arrive, whatever Content-Length says.
func readEntry(r *http.Request) ([]byte, error) {
	tooLarge := fmt.Errorf("%w: a submission has at most %d bytes, and an entry 48000", event.ErrTooLarge, event.MaxSubmissionSize)
	if r.ContentLength > event.MaxSubmissionSize {
		return nil, tooLarge
	}
	var entry bytes.Buffer
	entry.Grow(bytes.MinRead + int(min(2048, max(r.ContentLength, 0))))
	_, err := entry.ReadFrom(io.LimitReader(r.Body, event.MaxSubmissionSize+1))
	switch {
	case entry.Len() > event.MaxSubmissionSize:
		return nil, tooLarge
	case err != nil:
		return nil, bodyError(err)
	}
	return entry.Bytes(), nil
}

// bodyError says whether a body did not come in time, or was not in the form of HTTP.
func bodyError(err error) error {
	var cut net.Error
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &cut) {
		return fmt.Errorf("%w: %w", errIncomplete, err)
	}
	return fmt.Errorf("%w: %w", errBody, err)
}
