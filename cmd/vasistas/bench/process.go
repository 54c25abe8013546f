// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type process struct {
	name   string
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan error
}

// start starts a program that runs until stop.
func (w *world) start(name, binary string, args ...string) error {
	p := &process{name: name, cmd: exec.Command(binary, args...), ended: make(chan error, 1)}
	p.cmd.Stderr = &limited{b: &p.stderr}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for us to pass on
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", name, err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	w.processes = append(w.processes, p)
	return nil
}

// limited keeps the first 64 KiB.
type limited struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (l *limited) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if room := 64<<10 - l.b.Len(); room > 0 {
		l.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// check returns an error if a process has ended.
func (w *world) check() error {
	for _, p := range w.processes {
		select {
		case err := <-p.ended:
			p.ended <- err
			return fmt.Errorf("%s ended: %w\n%s", p.name, err, p.stderr.Bytes())
		default:
		}
	}
	return nil
}

func (w *world) poll(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if err := w.check(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// stop ends all processes.
func (w *world) stop() error {
	var errs []error
	for _, p := range slices.Backward(w.processes) {
		errs = append(errs, p.end())
	}
	w.processes = nil
	return errors.Join(errs...)
}

// end ends a process, gently at first.
func (p *process) end() error {
	var errs []error
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		errs = append(errs, err)
	}
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		errs = append(errs, fmt.Errorf("%s does not stop", p.name), p.cmd.Process.Kill())
	}
	return errors.Join(errs...)
}

// readMemory reads the peaks of the processes.
func (w *world) readMemory(r *Report) {
	for _, p := range w.processes {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		if err != nil {
			continue // not on this system
		}
		_, rest, _ := strings.Cut(string(b), "VmHWM:")
		field, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if kib, err := strconv.ParseFloat(field, 64); err == nil {
			r.Memory[p.name] = kib / 1024
		}
	}
}
