// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package index_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/client/monitor/index"
	"github.com/vasistas/vasistas/client/replica"
	"github.com/vasistas/vasistas/internal/world/written"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

// Variables of the environment of a child, which indexes a log.
const (
	childPath   = "VASISTAS_TEST_INDEX"
	childLog    = "VASISTAS_TEST_INDEX_LOG"
	childPolicy = "VASISTAS_TEST_INDEX_POLICY"
	childKill   = "VASISTAS_TEST_INDEX_KILL" // the entry at which it kills itself; full: see childFull
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		if err := child(path, os.Getenv(childLog), os.Getenv(childPolicy), os.Getenv(childKill)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child indexes a log, and prints how many seconds that took, how many without the replay, how many of
// the processor, and how many MiB.
func child(path, dir, text, kill string) error {
	policy, err := tlog.ParsePolicy([]byte(text))
	if err != nil {
		return err
	}
	x, err := index.Open(index.Config{Path: path, Origin: written.Origin})
	if err != nil {
		return err
	}
	if kill == "full" {
		return childFull(x, dir, policy)
	}
	begun, own := time.Now(), time.Duration(0)
	err = tellAll(dir, policy, func(f *facts.Fact) error {
		if f.Entry != nil && fmt.Sprint(f.Entry.Index) == kill {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		from := time.Now()
		err := x.Tell(f)
		own += time.Since(from)
		return err
	})
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	peak := 0.0
	for line := range bytes.Lines(status) {
		fmt.Sscanf(string(line), "VmHWM: %f kB", &peak)
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return err
	}
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	fmt.Println(time.Since(begun).Seconds(), own.Seconds(), cpu.Seconds(), peak/1024)
	return x.Close()
}

// tellAll tells a log from its first entry on.
func tellAll(dir string, policy *tlog.Policy, tell func(*facts.Fact) error) error {
	c, err := client.New(client.Config{URL: dir, Policy: policy})
	if err != nil {
		return err
	}
	r, err := replica.New(replica.Config{Client: c, Origin: written.Origin, Use: "test"})
	if err != nil {
		return err
	}
	f := facts.New(r.Ledger(), tell)
	v, err := r.Update(context.Background())
	if err == nil {
		err = r.Replay(context.Background(), f.Observer())
	}
	if err == nil {
		err = f.Head(v.Checkpoint)
	}
	return err
}

// childFull indexes a log while files can't grow, and again once they can. It prints what the index says.
func childFull(x *index.Index, dir string, policy *tlog.Policy) error {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for _, now := range []uint64{64 << 10, limit.Max} {
		limit.Cur = now
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
		err := tellAll(dir, policy, x.Tell)
		fmt.Printf("%t %q\n", err == nil, x.Notice())
	}
	return x.Close()
}

// TestFullFileSystem: while the kernel lets no file grow, a process says so, goes on, and indexes the log afterwards.
func TestFullFileSystem(t *testing.T) {
	w := newLog(t)
	w.Story(rand.New(rand.NewPCG(1, 1)), 300, false)
	w.Publish("w1", "w2", "w3")
	r := newReader(t, w)
	check(t, r.x.Close())
	out, err := childOf(w, r.path, "full").CombinedOutput()
	if lines := strings.SplitN(string(out), "\n", 3); err != nil || len(lines) != 3 || !strings.Contains(lines[0], "the file can't be written: disk I/O error") || lines[1] != `true ""` {
		t.Fatalf("%v\n%s", err, out)
	}
	r.open()
	v := r.view(0)
	defer v.Close()
	if v.Size() != w.Size() {
		t.Errorf("the index has the size %d, want %d", v.Size(), w.Size())
	}
}

// TestTwoProcesses: while one process has the file, another can neither read nor write it, and says so.
func TestTwoProcesses(t *testing.T) {
	w := newLog(t)
	r := newReader(t, w)
	check(t, r.read())
	out, err := childOf(w, r.path, "").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "locked") {
		t.Errorf("%v\n%s", err, out)
	}
	r.whole()
}

func childOf(w *written.Log, path, kill string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	policy := w.ParsePolicy(3, "w1", "w2", "w3", "w4")
	cmd.Env = append(os.Environ(), childPath+"="+path, childLog+"="+w.Dir, childPolicy+"="+string(policy.Bytes()), childKill+"="+kill)
	return cmd
}

// TestKill: a process that is killed while it indexes leaves whole heads.
func TestKill(t *testing.T) {
	w := newLog(t)
	rnd := rand.New(rand.NewPCG(3, 3))
	r := newReader(t, w)
	w.Story(rnd, 100, true)
	check(t, r.read())
	for range 4 {
		v := r.view(0)
		must, size := dump(t, v), v.Size()
		check(t, v.Close())
		check(t, r.x.Close())
		w.Story(rnd, w.Size()+60, true)
		w.Publish("w1", "w2", "w3")
		out, err := childOf(w, r.path, fmt.Sprint(w.Size()-1-uint64(rnd.IntN(50)))).CombinedOutput()
		if err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the process ends with %v\n%s", err, out)
		}
		r.open()
		v = r.view(0)
		if v.Size() != size || r.x.Notice() != "" {
			t.Errorf("the index has the size %d, want %d; the notice is %q", v.Size(), size, r.x.Notice())
		}
		got := dump(t, v)
		for k := range must {
			differs(t, fmt.Sprintf("at %d: %s", size, k), got[k], must[k])
		}
		check(t, v.Close())
		check(t, r.read())
		r.whole()
	}
}

var benchEvents = flag.Uint64("index.events", 10_000, "events of the log of BenchmarkRebuild")

// BenchmarkRebuild indexes a log in a process of its own: from nothing, and again after a start.
func BenchmarkRebuild(b *testing.B) {
	w := written.New(b.TempDir(), nil)
	w.Live(*benchEvents)
	w.Publish("w1", "w2", "w3")
	w.Report(b.Error)
	path := filepath.Join(b.TempDir(), "index.db")
	n := float64(w.Size())
	for b.Loop() {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			os.Remove(path + suffix)
		}
		for _, what := range []string{"rebuild", "restart"} {
			cmd := childOf(w, path, "")
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			check(b, err)
			var whole, own, cpu, peak float64
			if _, err := fmt.Sscan(string(out), &whole, &own, &cpu, &peak); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
			b.ReportMetric(whole, what+"-s")
			b.ReportMetric(n/own, what+"-index-events/s")
			b.ReportMetric(cpu, what+"-cpu-s")
			b.ReportMetric(peak, what+"-peak-MiB")
		}
	}
	at, err := os.Stat(path)
	check(b, err)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(at.Size())/(1<<20), "file-MiB")
	b.ReportMetric(float64(at.Size())/n, "bytes/event")
}

// BenchmarkPages runs the queries of pages, each of 50 rows.
func BenchmarkPages(b *testing.B) {
	w := written.New(b.TempDir(), nil)
	w.Live(*benchEvents)
	r := newReader(b, w)
	check(b, r.read())
	for name, query := range map[string]func(v *index.View) error{
		"entries": func(v *index.View) error { return second(v.Entries(b.Context(), index.Filter{})) },
		"warrants": func(v *index.View) error {
			return second(v.Entries(b.Context(), index.Filter{Types: []event.Type{event.TypeWarrant}, Window: index.Window{Desc: true}}))
		},
		"named": func(v *index.View) error {
			return second(v.Entries(b.Context(), index.Filter{Names: []facts.Name{{Member: "custodian", Value: "c1"}, {Member: "custodian", Value: "c1"}}}))
		},
		"deep": func(v *index.View) error {
			return second(v.Entries(b.Context(), index.Filter{Types: []event.Type{event.TypeRelease}, Window: index.Window{Offset: *benchEvents / 5}}))
		},
		"entry":   func(v *index.View) error { return second(v.Entry(b.Context(), v.Size()/2)) },
		"related": func(v *index.View) error { return second(v.Related(b.Context(), v.Size()/2)) },
		"open": func(v *index.View) error {
			return second(v.Duties(b.Context(), index.DutyFilter{State: index.DutyOpen, Window: index.Window{Sort: index.ByLate}}))
		},
		"settled": func(v *index.View) error {
			return second(v.Duties(b.Context(), index.DutyFilter{State: index.DutySettled, Rules: []string{"disclosure"}, Window: index.Window{Desc: true}}))
		},
		"duties": func(v *index.View) error {
			return second(v.Duties(b.Context(), index.DutyFilter{Window: index.Window{Offset: *benchEvents / 5}}))
		},
		"months": func(v *index.View) error { return second(v.Months(b.Context())) },
		"counts": func(v *index.View) error { return second(v.Counts(b.Context(), event.TypeWarrant, "offence")) },
		"delays": func(v *index.View) error { return second(v.Delays(b.Context(), event.TypeWarrant)) },
		"releases": func(v *index.View) error {
			return second(v.Releases(b.Context(), index.CustodyFilter{Custodian: "c1", Key: w.KeyID("c1")}))
		},
	} {
		for when, size := range map[string]uint64{"last": 0, "half": w.Size() / 2} {
			b.Run(name+"/"+when, func(b *testing.B) {
				for b.Loop() {
					v := r.view(size)
					check(b, query(v))
					check(b, v.Close())
				}
			})
		}
	}
}

func second[T any](_ T, err error) error { return err }
