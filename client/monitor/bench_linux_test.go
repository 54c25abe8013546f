// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/internal/world/written"
)

var (
	benchEvents = flag.Uint64("monitor.events", 20_000, "events of the log of BenchmarkCatchUp")
	benchLogs   = flag.Int("monitor.logs", 10, "logs of BenchmarkSteady")
	benchEach   = flag.Uint64("monitor.each", 10_000, "events of each log of BenchmarkSteady")
	benchOpen   = flag.Uint64("monitor.open", 500, "of these, warrants that are still sealed")
)

// installed is vasistas-monitor, joined to logs that are written by hand.
type installed struct {
	b        *testing.B
	bin, dir string
}

// install builds both programs, and joins the logs.
func install(b *testing.B, logs []*other) *installed {
	m := &installed{b, b.TempDir(), filepath.Join(b.TempDir(), "monitor")}
	for _, name := range []string{"vasistas", "vasistas-monitor"} {
		m.run("go", "build", "-o", filepath.Join(m.bin, name), "../../cmd/"+name)
	}
	m.run(m.monitor(), "init", "-dir", m.dir, "-name", "a1", "-key-name", "a1.example")
	for i, l := range logs {
		charter := filepath.Join(m.bin, fmt.Sprint(i))
		check(b, os.WriteFile(charter, append(l.Charter.Envelope.Bytes(), '\n'), 0o600))
		m.run(m.monitor(), "join", "-dir", m.dir, "-name", "a1", "-charter", charter, "-log", l.url)
	}
	return m
}

func (m *installed) monitor() string { return filepath.Join(m.bin, "vasistas-monitor") }

// run runs a program, and returns the processor time that it took.
func (m *installed) run(name string, args ...string) time.Duration {
	m.b.Helper()
	cmd := exec.Command(name, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.b.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return busy(cmd)
}

// busy returns the processor time of a program that has ended.
func busy(cmd *exec.Cmd) time.Duration {
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// serve runs the monitor until it has copied and applied all of the logs, and then calls do with its
// process. It returns how long it took to get there, and the processor time of the whole run.
func (m *installed) serve(logs []*other, do func(pid int), args ...string) (took, cpu time.Duration) {
	m.b.Helper()
	addr := filepath.Join(m.bin, "addr")
	check(m.b, os.RemoveAll(addr))
	begun := time.Now()
	cmd := exec.Command(m.monitor(), append([]string{"serve", "-dir", m.dir, "-listen", "127.0.0.1:0", "-addr-file", addr}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	check(m.b, cmd.Start())
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err := m.caught(logs); err != nil; err = m.caught(logs) {
		if time.Since(begun) > 20*time.Minute {
			cmd.Process.Kill()
			m.b.Fatalf("%v\n%s", err, stderr.String())
		}
		<-tick.C
	}
	took = time.Since(begun)
	do(cmd.Process.Pid)
	check(m.b, cmd.Process.Signal(os.Interrupt))
	check(m.b, cmd.Wait())
	return took, busy(cmd)
}

// often makes serve look at the logs more often than by default.
var often = []string{"-poll", "200ms", "-check", "1s"}

// url returns the address of the monitor that serve has started.
func (m *installed) url(path string) (string, error) {
	at, err := os.ReadFile(filepath.Join(m.bin, "addr"))
	return strings.TrimSuffix(strings.TrimSpace(string(at)), "/") + path, err
}

func (m *installed) caught(logs []*other) error {
	url, err := m.url("/status")
	if err != nil {
		return err
	}
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var list []*monitor.Status
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return err
	}
	for _, l := range logs {
		for _, s := range list {
			if s.Origin == l.Origin && (s.Copied != l.Size() || s.Applied != l.Size() || s.Facts.Head == nil || s.Facts.Head.Size != l.Size()) {
				return fmt.Errorf("%+v", s)
			}
		}
	}
	return nil
}

// memory returns the most memory that a process has had resident, and its memory now, in MiB.
func memory(b *testing.B, pid int) (peak, now float64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(b, err)
	for line := range bytes.Lines(text) {
		fmt.Sscanf(string(line), "VmHWM: %f kB", &peak)
		fmt.Sscanf(string(line), "VmRSS: %f kB", &now)
	}
	return peak / 1024, now / 1024
}

// BenchmarkCatchUp copies and replays a log with the real program, and audits the log with the other
// real program in turn, over HTTP from this process.
func BenchmarkCatchUp(b *testing.B) {
	l := newOther(b, written.Origin, written.Start)
	l.Live(*benchEvents)
	l.publish()
	policy := filepath.Join(b.TempDir(), "policy")
	check(b, os.WriteFile(policy, l.policy().Bytes(), 0o600))
	var audited, caught, auditBusy, monitorBusy time.Duration
	var peak float64
	for b.Loop() {
		m := install(b, []*other{l})
		begun := time.Now()
		auditBusy += m.run(filepath.Join(m.bin, "vasistas"), "audit", "--policy", policy, "--at", written.At(l.Now).Format(time.RFC3339), l.url)
		audited += time.Since(begun)
		took, cpu := m.serve([]*other{l}, func(pid int) {
			most, _ := memory(b, pid)
			peak = max(peak, most)
		}, often...)
		caught, monitorBusy = caught+took, monitorBusy+cpu
	}
	n := float64(l.Size()) * float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(n/audited.Seconds(), "audited/s")
	b.ReportMetric(n/caught.Seconds(), "caught-up/s")
	b.ReportMetric(audited.Seconds()/caught.Seconds(), "ratio")
	b.ReportMetric(auditBusy.Seconds()/monitorBusy.Seconds(), "cpu-ratio")
	b.ReportMetric(monitorBusy.Seconds()*1e6/n, "cpu-µs/event")
	b.ReportMetric(peak, "peak-MiB")
}

// BenchmarkSteady catches up with several logs at once, and is then started again. Both while it polls
// and checks, and before, it reports the resident memory.
func BenchmarkSteady(b *testing.B) {
	logs := make([]*other, *benchLogs)
	var writing sync.WaitGroup
	free := make(chan struct{}, 2)
	for i := range logs {
		logs[i] = newOther(b, fmt.Sprintf("log%d.example/log", i), written.Start)
		writing.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			l := logs[i]
			l.Live(*benchEach - *benchOpen)
			for range *benchOpen {
				l.Warrant(l.Now + 30*people.Day)
			}
			l.publish()
		})
	}
	writing.Wait()
	m := install(b, logs)
	for b.Loop() {
		m.serve(logs, func(pid int) {
			peak, now := memory(b, pid)
			b.ReportMetric(peak, "catching-up-peak-MiB")
			b.ReportMetric(now, "caught-up-MiB")
		}, often...)
		took, _ := m.serve(logs, func(pid int) {
			tick := time.NewTicker(15 * time.Second) // of polls and checks
			<-tick.C
			tick.Stop()
			peak, now := memory(b, pid)
			b.ReportMetric(peak, "steady-peak-MiB")
			b.ReportMetric(now, "steady-MiB")
		}, often...)
		b.ReportMetric(took.Seconds(), "restart-s")
	}
}

// BenchmarkVisible measures the time from the publication of a head until the desk of the real program,
// with its own pauses, shows the page of the event that the head adds.
func BenchmarkVisible(b *testing.B) {
	l := newOther(b, written.Origin, written.Start)
	l.Live(*benchEvents)
	l.publish()
	m := install(b, []*other{l})
	var took []time.Duration
	m.serve([]*other{l}, func(int) {
		for b.Loop() {
			<-time.After(rand.N(2 * time.Second)) // at any moment between two looks
			l.Warrant(l.Now + 30*people.Day)
			l.publish()
			published := time.Now()
			page, err := m.url(fmt.Sprintf("/desk/%s/entry/%d", cosigning.OriginHash(l.Origin), l.Size()-1))
			check(b, err)
			eventually(b, func() error {
				resp, err := http.Get(page)
				if err == nil {
					resp.Body.Close()
				}
				if err == nil && resp.StatusCode != http.StatusOK {
					err = fmt.Errorf("%s: %s", page, resp.Status)
				}
				return err
			})
			took = append(took, time.Since(published))
		}
	})
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took[len(took)/2].Seconds(), "s-median")
	b.ReportMetric(took[len(took)-1].Seconds(), "s-longest")
}
