// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/internal/tiles/prover"
	"github.com/vasistas/vasistas/log/tlog"
)

// ErrPublishedBehind: what the state says is published is not what was.
var ErrPublishedBehind = errors.New("the state has an earlier or another published checkpoint than this front end has served: " +
	"the database was restored from an older backup; the last one is still served, and no log is opened here; " +
	"stop all front ends and bring the later entries back with \"vasistas-log recover -from MIRROR\"")

// Reader serves what is published of a log, for a front end that need not be the
// one that writes it. Readers cost the state nothing: they get what [Reader.Refresh]
// read last.
type Reader struct {
	state State
	file  string // remembers the checkpoint across restarts

	published atomic.Pointer[publication]
	serve     *reads

	mu sync.Mutex // held by Refresh
}

// ReaderConfig configures [NewReader].
type ReaderConfig struct {
	State State
	// Tiles has at least the tree that is published.
	Tiles tiles.Reader
	// Dir is where the last checkpoint that was served is remembered, so that it
	// never goes back, whatever becomes of the state. It is made if needed.
	Dir string
	// Logger: nil means slog.Default().
	Logger *slog.Logger
}

// NewReader takes up what this front end served last.
func NewReader(cfg ReaderConfig) (*Reader, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	r := &Reader{state: cfg.State, file: filepath.Join(cfg.Dir, "served")}
	r.serve = &reads{&r.published, cfg.Tiles, prover.New(cfg.Tiles, 1024), cfg.Logger}
	if err := durable.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(r.file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading what was served last: %w", err)
	}
	pub, err := r.parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s, what was served last, is damaged; remove it: %w", r.file, err)
	}
	r.published.Store(pub)
	return r, nil
}

// The file is the index of the charter, a line feed, and the checkpoint.
func (r *Reader) parse(b []byte) (*publication, error) {
	var charter uint64
	line, text, ok := bytes.Cut(b, []byte("\n"))
	if !ok {
		return nil, io.ErrUnexpectedEOF
	}
	if _, err := fmt.Sscanf(string(line), "%d", &charter); err != nil || fmt.Sprint(charter) != string(line) {
		return nil, fmt.Errorf("%q is no index of a charter", line)
	}
	return r.publication(Published{text, charter})
}

func (r *Reader) publication(p Published) (*publication, error) {
	cp, err := tlog.ParseCheckpoint(p.Checkpoint)
	switch origin := r.state.Settings().Origin; {
	case err != nil:
		return nil, err
	case cp.Origin != origin:
		return nil, fmt.Errorf("it is one of the log %q, and this is %q", cp.Origin, origin)
	case p.Charter >= cp.Size:
		return nil, fmt.Errorf("the charter in force is entry %d of %d", p.Charter, cp.Size)
	}
	return &publication{checkpoint: cp, bytes: p.Checkpoint, charter: p.Charter}, nil
}

// Refresh takes up what is published now. On an error what was served before stays;
// one that wraps [ErrPublishedBehind] does not end by itself.
func (r *Reader) Refresh(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.state.Published(ctx)
	if err != nil {
		return fmt.Errorf("reading the published checkpoint: %w", err)
	}
	last := r.published.Load()
	if p.Checkpoint == nil {
		if last != nil {
			return fmt.Errorf("%w (it has none, and one of %d entries was served)", ErrPublishedBehind, last.checkpoint.Size)
		}
		return nil
	}
	next, err := r.publication(p)
	if err != nil {
		return fmt.Errorf("the published checkpoint is damaged: %w", err)
	}
	if last != nil {
		was, is := &last.checkpoint.Head, &next.checkpoint.Head
		if is.Size < was.Size || is.Size == was.Size && is.Root != was.Root {
			return fmt.Errorf("%w (it has one of %d entries, and one of %d was served)", ErrPublishedBehind, is.Size, was.Size)
		}
	}
	// Nobody is shown a size that could be forgotten.
	if last == nil || last.checkpoint.Size < next.checkpoint.Size {
		if err := durable.WriteFile(r.file, fmt.Appendf(nil, "%d\n%s", next.charter, next.bytes), 0o600); err != nil {
			return fmt.Errorf("remembering what is to be served: %w", err)
		}
	}
	r.published.Store(next)
	return nil
}

// Size is that of the checkpoint that is served, 0 if none is.
func (r *Reader) Size() uint64 {
	if pub := r.published.Load(); pub != nil {
		return pub.checkpoint.Size
	}
	return 0
}

// ServeHTTP serves /checkpoint, /charter and /tile/... as [Log.Handler] does.
func (r *Reader) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	serve := r.serve.serveTile
	switch path := req.URL.EscapedPath(); {
	case path == "/checkpoint":
		serve = r.serve.serveCheckpoint
	case path == "/charter":
		serve = r.serve.serveCharter
	case !strings.HasPrefix(path, "/tile/"):
		WriteProblem(w, errNotFound)
		return
	}
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		WriteProblem(w, fmt.Errorf("%w; it has GET, HEAD", errMethod))
		return
	}
	serve(w, req)
}

// WriteProblem answers with what the log says to an error, of its own or
// [ErrNoLeader].
func WriteProblem(w http.ResponseWriter, err error) { problemOf(err).Answer(w) }
