// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/vasistas/vasistas/client/monitor/facts"
)

// Errors of views, other than those of a context. The index rebuilds a damaged file by itself.
var (
	ErrEmpty = errors.New("the index has no head yet") // Notice says why
	ErrSize  = errors.New("the index does not reach that size")
	ErrNone  = errors.New("the index has no such entry")
	ErrFile  = errors.New("the index can't be read") // wraps the file's error
)

// Config says where an index is. All fields but Logger are required.
type Config struct {
	Path   string // of the file; its directory exists
	Origin string
	Logger *slog.Logger // nil: none
}

// Index is the index of one log.
type Index struct {
	c    Config
	file atomic.Pointer[file]   // nil: it can't be opened at present
	why  atomic.Pointer[string] // why the file is not up to date; nil: it is
	done atomic.Uint64          // entries in the file

	mu     sync.Mutex // of one Tell at a time
	w      *writer    // nil: the log must be told from its first entry on
	whole  uint64     // size of the last head that was told
	delays delays
}

// Open opens an index. What is wrong with the file is a Notice: it is replaced by an empty one if it
// is damaged, or of another version or log; and opened later if it can't be opened now.
func Open(c Config) (*Index, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	x := &Index{c: c}
	if at, err := os.Stat(filepath.Dir(c.Path)); err != nil {
		return nil, err
	} else if !at.IsDir() {
		return nil, fmt.Errorf("%s: not a directory", filepath.Dir(c.Path))
	}
	x.reopen()
	return x, nil
}

// reopen opens the file, if it is not open.
func (x *Index) reopen() {
	if x.file.Load() != nil {
		return
	}
	f, err := open(x.c.Path, x.c.Origin)
	if errors.Is(err, errDamaged) || errors.Is(err, errOther) {
		x.say("it is being rebuilt: " + err.Error())
		if err = remove(x.c.Path); err == nil {
			f, err = open(x.c.Path, x.c.Origin)
		}
	}
	if err != nil {
		x.say("the file can't be opened: " + err.Error())
		return
	}
	if f.empty && x.why.Load() == nil {
		x.say("it is being built")
	}
	x.file.Store(f)
}

// say sets the notice.
func (x *Index) say(why string) {
	if was := x.why.Swap(&why); was == nil || *was != why {
		x.c.Logger.Warn("the index is not up to date", "origin", x.c.Origin, "file", x.c.Path, "why", why)
	}
}

// Tell takes the next fact of the log. After an error it must be told the log from the first entry
// on; it skips those that it has. A head that is told again, as one may do at any time, shows
// whether the file is still there.
func (x *Index) Tell(f *facts.Fact) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	err := damage(x.tell(f))
	if err == nil {
		if f.Head != nil {
			x.whole = f.Head.Size
			x.why.Store(nil)
		}
		return nil
	}
	x.done.Store(x.whole) // the entries since then are undone
	if x.w != nil {
		x.w.close()
		x.w = nil
	}
	if errors.Is(err, errDamaged) {
		x.drop(err)
	} else {
		x.say("the file can't be written: " + err.Error())
	}
	return fmt.Errorf("the index %s: %w", x.c.Path, err)
}

// drop removes a damaged file, and opens an empty one.
func (x *Index) drop(err error) {
	x.say("it is being rebuilt: " + err.Error())
	if f := x.file.Swap(nil); f != nil {
		f.close()
	}
	if err := remove(x.c.Path); err != nil {
		x.say("the damaged file can't be removed: " + err.Error())
		return
	}
	x.whole = 0
	x.done.Store(0)
	if f, err := open(x.c.Path, x.c.Origin); err == nil {
		x.file.Store(f)
	} else {
		x.say("the file can't be opened: " + err.Error())
	}
}

func (x *Index) tell(f *facts.Fact) error {
	if f.Head == nil && f.Entry.Index == 0 {
		if err := x.restart(); err != nil {
			return err
		}
	}
	if x.w == nil {
		return errUntold
	}
	if f.Head == nil {
		err := x.w.entry(f)
		x.done.Store(x.w.next)
		return err
	}
	if err := x.w.f.sound(); err != nil {
		return err
	}
	return x.w.head(f)
}

var errUntold = errors.New("the log must be told from its first entry on")

// restart loads a writer for a log that is told from its first entry on.
func (x *Index) restart() (err error) {
	if x.w != nil {
		x.w.close()
		x.w = nil
	}
	x.reopen()
	f := x.file.Load()
	if f == nil {
		return errors.New(*x.why.Load())
	}
	if err := f.sound(); err != nil {
		return err
	}
	x.w, err = f.load()
	return err
}

// Notice says, in English, why the index is not up to date and how far it is; "" if it is.
func (x *Index) Notice() string {
	why := x.why.Load()
	if f := x.file.Load(); why == nil && f != nil {
		if err := f.damaged.Load(); err != nil {
			text := "it will be rebuilt: " + (*err).Error()
			why = &text
		}
	}
	if why == nil {
		return ""
	}
	return fmt.Sprintf("The index of this log is not up to date: %s. %d entries are indexed.", *why, x.done.Load())
}

// Close closes the file, once all views are closed.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.w != nil {
		x.w.close()
		x.w = nil
	}
	if f := x.file.Swap(nil); f != nil {
		f.close()
	}
	why := "it is closed"
	x.why.Store(&why)
	return nil
}
