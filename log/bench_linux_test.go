// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"crypto/rand"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tlog"
)

// The benchmarks below measure a log with three witnesses, each a process of its own.
var (
	tessera     = flag.String("append.tessera", "", "`binary` of Tessera's cmd/conformance/posix, to measure it too")
	appendOther = flag.String("append.other", "", "`binary` of another vasistas-log, to measure it in turns")
	appendN     = flag.Int("append.events", 20_000, "events of a case and round")
	appendConns = flag.Int("append.connections", 256, "connections for one event a request")
	appendFill  = flag.Int("append.fill", 0, "events that owe nothing, for BenchmarkAppendMemory to append first")
	appendOwed  = flag.Int("append.fill-owed", 0, "events that owe a disclosure, for BenchmarkAppendMemory to append next")
)

const (
	appendStreams  = 4
	appendInterval = 200 * time.Millisecond
)

// appending is a log under measurement.
type appending struct {
	*world
	b         *testing.B
	options   []string
	process   *daemon // the log
	witnesses []*daemon
}

func newAppending(b *testing.B, binary string) *appending {
	a := &appending{world: prepareWorld(b, 0, 0), b: b}
	a.binary = binary
	// A log remembers the ids of events for as long as their claims may be old. Here so
	// many come at once that a minute has as many as elsewhere a month.
	a.profile.Lag, a.profile.Skew, a.profile.Spread = 60, 30, 20
	a.profile.Anchor, a.profile.Stale, a.profile.Round = event.Deadline{Within: 5, Grace: 5}, 8, 2
	a.profile.Budget.Events = 1_000_000 // of heartbeats that fill a log
	key := filepath.Join(b.TempDir(), "provider.key")
	_, err := eventkey.Generate(eventkey.Ed25519, key)
	check(b, err)
	a.provider, err = eventkey.Load(b.Context(), key)
	check(b, err)
	for i := range 3 {
		a.spawnWitness(fmt.Sprintf("witness%d.example", i+1), "127.0.0.1:0")
	}
	a.setPolicy(3)
	a.create()
	a.options = []string{"-event-key", key, "-interval", appendInterval.String()}
	a.startLog()
	return a
}

// startLog starts the log, or starts it again.
func (a *appending) startLog() {
	if a.process != nil {
		check(a.b, a.process.end(a.b, os.Interrupt))
	}
	a.process = a.spawn(a.options...)
	a.ready()
}

func (a *appending) spawnWitness(name, listen string) {
	key, err := tlog.GenerateSigner(name, tlog.CosignatureEd25519)
	check(a.b, err)
	dir := a.b.TempDir()
	state, keyFile, logs, addr := filepath.Join(dir, "state"), filepath.Join(dir, "key"), filepath.Join(dir, "logs"), filepath.Join(dir, "addr")
	check(a.b, os.WriteFile(keyFile, []byte(key.Secret()+"\n"), 0o600))
	check(a.b, os.WriteFile(logs, fmt.Appendf(nil, "log %s\nquorum none\n", a.keys[0].Verifier()), 0o600))
	binary := build(a.b, "..", "./cmd/vasistas-witness")
	if out, err := exec.Command(binary, "init", "-dir", state, "-key", keyFile).CombinedOutput(); err != nil {
		a.b.Fatalf("%v\n%s", err, out)
	}
	d := launch(a.b, addr, binary, "serve", "-dir", state, "-key", keyFile, "-logs", logs, "-listen", listen, "-addr-file", addr)
	a.world.witnesses = append(a.world.witnesses, &witnessServer{key: key, Server: &httptest.Server{URL: "http://" + a.listens(d)}})
	a.witnesses = append(a.witnesses, d)
}

// spawnTessera starts the conformance server on a port that was free a moment ago,
// since it can't choose one.
func (a *appending) spawnTessera() (url string, d *daemon) {
	skey, _, err := note.GenerateKey(rand.Reader, "tessera.example")
	check(a.b, err)
	dir := a.b.TempDir()
	check(a.b, os.WriteFile(filepath.Join(dir, "key"), []byte(skey), 0o600))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(a.b, err)
	check(a.b, l.Close())
	url = "http://" + l.Addr().String()
	d = launch(a.b, "", *tessera, "--storage_dir", filepath.Join(dir, "tree"), "--private_key", filepath.Join(dir, "key"), "--listen", l.Addr().String())
	eventually(a.b, func() error {
		resp, err := http.Get(url + "/checkpoint")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s\n%s", resp.Status, &d.stderr)
		}
		return nil
	})
	return url, d
}

func (a *appending) single(wait string, conns int, entries [][]byte) time.Duration {
	return drive(a.b, a.url+"/events?wait="+wait, "application/json", conns, entries)
}

func (a *appending) stream(entries [][]byte) time.Duration {
	return driveStreams(a.b, a.url+"/events?wait=sequenced", appendStreams, entries)
}

// peak is the most memory that one of the processes has had resident, in MiB.
func (a *appending) peak(processes ...*daemon) (most float64) {
	for _, d := range processes {
		peak, _ := memory(a.b, d)
		most = max(most, float64(peak)/(1<<20))
	}
	return most
}

// way is one way to submit events, in turns with others.
type way struct {
	name               string
	part               int // of the events
	log                *appending
	process            *daemon
	run                func(entries [][]byte) time.Duration
	rates, ratios, cpu []float64
}

func (a *appending) ways(prefix string) []*way {
	return []*way{
		{name: prefix + "single", part: 1, log: a, process: a.process, run: func(e [][]byte) time.Duration { return a.single("sequenced", *appendConns, e) }},
		{name: prefix + "stream", part: 1, log: a, process: a.process, run: a.stream},
		{name: prefix + "cosigned", part: 2, log: a, process: a.process, run: func(e [][]byte) time.Duration { return a.single("cosigned", 4**appendConns, e) }},
	}
}

// used is the processor time that a process has used.
func used(b *testing.B, d *daemon) time.Duration { return usedBy(b, strconv.Itoa(d.Process.Pid)) }

func usedBy(b *testing.B, pid string) (t time.Duration) {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	check(b, err)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))
	for _, f := range fields[12:14] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(f)
		check(b, err)
		t += time.Duration(n) * 10 * time.Millisecond
	}
	return t
}

// BenchmarkAppendRatio submits events, in each way once a round. If they are named, another
// vasistas-log, and Tessera's conformance server, which checks nothing and has no witnesses, get
// as many entries from the same generator in each round; a ratio is the median of the rates
// divided by Tessera's in the same round.
func BenchmarkAppendRatio(b *testing.B) {
	a := newAppending(b, "")
	ways := a.ways("")
	if *appendOther != "" {
		ways = append(ways, newAppending(b, *appendOther).ways("other-")...)
	}
	if *tessera != "" {
		url, d := a.spawnTessera()
		defer func() { b.ReportMetric(a.peak(d), "tessera-MiB") }()
		ways = slices.Insert(ways, 0, &way{name: "tessera", part: 1, log: a, process: d, run: func(e [][]byte) time.Duration {
			return drive(b, url+"/add", "application/octet-stream", *appendConns, e)
		}})
	}
	for b.Loop() {
		for _, w := range ways {
			entries := warrantsOf(b, w.log.authority, *appendN/w.part)
			before := used(b, w.process)
			took := w.run(entries)
			if b.Failed() {
				b.FailNow()
			}
			w.cpu = append(w.cpu, float64((used(b, w.process)-before).Microseconds())/float64(len(entries)))
			w.rates = append(w.rates, float64(len(entries))/took.Seconds())
			w.ratios = append(w.ratios, w.rates[len(w.rates)-1]/ways[0].rates[len(w.rates)-1])
			b.Logf("%s: %.0f a second", w.name, w.rates[len(w.rates)-1])
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(a.warrant())), "B/event")
	for _, w := range ways {
		b.ReportMetric(median(w.rates), w.name+"/s")
		b.ReportMetric(median(w.cpu), w.name+"-µs/event")
		if *tessera != "" {
			b.ReportMetric(median(w.ratios), w.name+"-ratio")
		}
	}
	b.ReportMetric(a.peak(a.process), "log-MiB")
	b.ReportMetric(a.peak(a.witnesses...), "witness-MiB")
}

// BenchmarkAppendIdle measures the time from request to cosigned proof on an idle log.
func BenchmarkAppendIdle(b *testing.B) {
	a := newAppending(b, "")
	var times []float64
	for b.Loop() {
		// The pauses make the log idle, and are not in step with its interval.
		<-time.After(appendInterval*5/2 + time.Duration(len(times)*37%100)*appendInterval/100)
		times = append(times, float64(a.single("cosigned", 1, [][]byte{a.warrant()}).Microseconds())/1000)
	}
	slices.Sort(times)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(times), "ms-median")
	b.ReportMetric(times[len(times)*9/10], "ms-p90")
	b.ReportMetric(times[len(times)-1], "ms-max")
}

// BenchmarkAppendMemory fills a log, starts it again, and submits events one by one and in
// streams, a round of each in turns. It reports the memory while the log is filled and afterwards,
// and the processor time of the start and of an event. It measures the other vasistas-log if one is
// named.
func BenchmarkAppendMemory(b *testing.B) {
	a := newAppending(b, *appendOther)
	heartbeat := func() []byte {
		now := whole(time.Now())
		return signed(b, &event.Heartbeat{From: now.Add(-time.Second), To: now}, a.custodian).Bytes()
	}
	for _, fill := range []struct {
		n    int
		make func() []byte
	}{{*appendFill, heartbeat}, {*appendOwed, a.warrant}} {
		for left := fill.n; left > 0 && !b.Failed(); left -= *appendN {
			a.stream(many(min(*appendN, left), fill.make))
		}
	}
	filling := a.peak(a.process)
	a.startLog()
	started := used(b, a.process)
	rounds := 0
	var single, stream []float64
	round := func(cpu *[]float64, run func([][]byte) time.Duration) {
		entries := warrantsOf(b, a.authority, *appendN)
		before := used(b, a.process)
		run(entries)
		*cpu = append(*cpu, float64((used(b, a.process)-before).Microseconds())/float64(*appendN))
		rounds++
	}
	for b.Loop() {
		round(&single, func(e [][]byte) time.Duration { return a.single("sequenced", *appendConns, e) })
		round(&stream, a.stream)
	}
	size := a.append(a.warrant()).Checkpoint.Size
	if least := *appendFill + *appendOwed + rounds**appendN + 2; size < uint64(least) { // with the charter
		b.Errorf("the log has %d entries; want %d", size, least)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(size), "entries")
	b.ReportMetric(float64(started.Milliseconds()), "start-ms")
	b.ReportMetric(median(single), "single-µs/event")
	b.ReportMetric(median(stream), "stream-µs/event")
	b.ReportMetric(filling, "filling-MiB")
	b.ReportMetric(a.peak(a.process), "log-MiB")
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
