// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"sync"
	"time"
)

// pool shares something bounded among requests of strangers. If it is used up, the next
// request takes the place of one that has done nothing useful: no number of slow or
// useless requests keeps honest ones out.
type pool struct {
	idle time.Duration // after which a holder is useful no more

	mu   sync.Mutex // guards what follows, and the holders
	free int64
	held map[*holder]bool
	over bool // after close
}

// holder is one request's part of a pool.
type holder struct {
	n      int64
	since  time.Time // it came, or was useful last
	useful bool
	over   bool   // another has its place
	cut    func() // ends the request; called with the pool's lock held
}

func newPool(n int64, idle time.Duration) *pool {
	return &pool{idle: idle, free: n, held: make(map[*holder]bool)}
}

// join returns a holder of nothing yet.
func (p *pool) join(cut func()) *holder { return &holder{since: time.Now(), cut: cut} }

// take adds n to what h holds, at the cost of others if it must. It returns false if there
// is none to take it from, h was cut, or the pool is closed.
func (p *pool) take(h *holder, n int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.free < n && !h.over {
		v := p.victim(h)
		if v == nil {
			return false
		}
		p.end(v)
	}
	if h.over || p.over {
		return false
	}
	p.free -= n
	h.n += n
	p.held[h] = true
	return true
}

// victim returns the holder other than h to drop first: the oldest of those that were
// never useful, or else the one that has been useless for longest.
func (p *pool) victim(h *holder) (v *holder) {
	for other := range p.held {
		switch {
		case other == h, other.useful && time.Since(other.since) < p.idle:
		case v == nil, v.useful && !other.useful, v.useful == other.useful && other.since.Before(v.since):
			v = other
		}
	}
	return v
}

// use marks h as useful now.
func (p *pool) use(h *holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.useful, h.since = true, time.Now()
}

// leave gives back what h holds.
func (p *pool) leave(h *holder) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(h)
}

// close cuts all holders, and those that come later get nothing.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	for h := range p.held {
		p.end(h)
	}
}

func (p *pool) end(h *holder) {
	h.over = true
	p.drop(h)
	h.cut()
}

func (p *pool) drop(h *holder) {
	p.free += h.n
	h.n = 0
	delete(p.held, h)
}
