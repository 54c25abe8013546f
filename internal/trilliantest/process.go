// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trilliantest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait. It is long: the machine may be slow and busy.
const patience = 5 * time.Minute

// process is a child process that ends with the test.
type process struct {
	cmd    *exec.Cmd
	output *tail
	done   chan struct{} // closed when the process has ended
	err    error         // of Wait; valid after done
}

// start starts cmd. The kernel sends it the signal death if this process dies.
func start(cmd *exec.Cmd, death syscall.Signal) (*process, error) {
	p := &process{cmd: cmd, output: &tail{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.output, p.output
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	setDeathSignal(cmd.SysProcAttr, death)
	started := make(chan error)
	go func() {
		// The kernel sends the signal when the starting thread ends, so this
		// thread waits for the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// running reports whether the process was started and has not ended.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// end sends a signal and waits until the process has ended. After patience it kills the
// process.
func (p *process) end(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%v to %s: %v", sig, p.cmd.Path, err)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Errorf("%s did not end on %v\n%s", p.cmd.Path, sig, p.output)
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// tail keeps the end of a process's output.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 16 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if len(t.b) > 2*tailSize {
		t.b = append(t.b[:0], t.b[len(t.b)-tailSize:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.Clone(t.b))
}

// eventually calls f until it returns no error.
func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	for began, wait := time.Now(), 5*time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		var fatal fatalError
		if errors.As(err, &fatal) || time.Since(began) > patience {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(wait)
	}
}

// serve starts a server, again if it has ended, and waits until ready returns nil. What the
// server needs, such as its port, may be taken for a while.
func serve(t testing.TB, what string, p **process, death syscall.Signal, command func() *exec.Cmd, ready func() error) {
	t.Helper()
	eventually(t, "starting "+what, func() (err error) {
		if !(*p).running() {
			if *p, err = start(command(), death); err != nil {
				return fatalError{err}
			}
		}
		if err = ready(); err != nil {
			err = fmt.Errorf("%w\n%s said: %s", err, what, (*p).output)
		}
		return err
	})
}

// fatalError ends eventually at once.
type fatalError struct{ error }

// run runs a command to its end and returns its output.
func run(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return string(out), err
}
