// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/trillianx/s3store"
)

// scripts/scale builds the programs and runs BenchmarkScale as root, in namespaces of its own.
var (
	scaleBin    = flag.String("scale.bin", "", "`directory` of the programs that BenchmarkScale runs")
	scaleEvents = flag.Int("scale.events", 3_000, "events that BenchmarkScale appends in each way and round")
	scaleRounds = flag.Int("scale.rounds", 3, "rounds of BenchmarkScale, whose median counts")
	scaleReads  = flag.Int("scale.reads", 3_000, "tiles that BenchmarkScale reads from each place and round")
	scaleRate   = flag.String("scale.rate", "10gbit", "`rate` of each machine's network")
	scaleDelay  = flag.String("scale.delay", "100us", "`delay` of each machine's network in each direction, if the kernel has netem")
)

// scaleOutside is the address of the bridge, where generator, readers and witnesses are.
const scaleOutside = "10.77.0.1"

// machine is a network namespace on the bridge.
type machine struct {
	name, ip string
	cores    string // as taskset has them
}

// link names the bridge's end of the machine's cable.
func (m *machine) link() string { return "to-" + m.name }

// The parts whose processor time is counted, in the order of the tables' columns.
var parts = []string{"active", "log servers", "signers", "standby", postgres, "object store", "etcd", "witnesses", "generator"}

const postgres = "PostgreSQL" // whose connections have processes of their own

// fleet is a log on three machines: a and b each have an instance, a log server and a signer of
// Trillian; c has PostgreSQL, the object store and etcd.
type fleet struct {
	*cluster
	b        *testing.B
	machines map[string]*machine
	parts    map[string][]*daemon
	network  string
	report   *strings.Builder
}

// placement says on which cores the machines run. A crowded core needs a long lease.
type placement struct {
	name, a, b, c, outside string
	lease                  time.Duration
}

var placements = []placement{
	{"all on one core", "0", "0", "0", "0", time.Minute},
	{"A on one core, the others on another", "0", "1", "1", "1", time.Minute},
	{"all on two cores", "0,1", "0,1", "0,1", "0,1", 3 * time.Second},
}

// BenchmarkScale measures a log on three machines, which are namespaces of this one. It prints
// the rows of the tables of docs/scale.md.
func BenchmarkScale(b *testing.B) {
	if *scaleBin == "" {
		b.Fatal("run scripts/scale")
	}
	var report strings.Builder
	for i, p := range placements {
		b.Run(strconv.Itoa(i), func(b *testing.B) {
			f := newFleet(b, p)
			f.report = &report
			active, standby := f.serve("a", "active"), f.serve("b", "standby")
			if i == 0 {
				fmt.Fprintf(&report, "\nThe network of each machine: %s\n", f.network)
				f.header("append", "placement", "events a second", "cores busy")
			}
			f.appends(p.name, active)
			if i == len(placements)-1 {
				f.header("read from", "tiles a second", "MB a second", "cores busy")
				f.reads(active, standby)
				f.drills(active, standby)
			}
		})
	}
	fmt.Printf("\n%s", &report) // the current line has the benchmark's name
}

// header begins a table that ends with a column for each part.
func (f *fleet) header(columns ...string) {
	columns = append(columns, parts...)
	fmt.Fprintf(f.report, "\n| %s |\n%s|\n", strings.Join(columns, " | "), strings.Repeat("|---", len(columns)))
}

// row writes a row of a table.
func (f *fleet) row(words []string, figures []float64) {
	for _, v := range figures {
		words = append(words, strconv.FormatFloat(v, 'f', map[bool]int{true: 1}[v < 10], 64))
	}
	fmt.Fprintf(f.report, "| %s |\n", strings.Join(words, " | "))
}

// newFleet starts everything but the instances of the log.
func newFleet(b *testing.B, on placement) *fleet {
	f := &fleet{cluster: &cluster{world: prepareWorld(b, 0, 0), lease: on.lease}, b: b, machines: map[string]*machine{
		"a": {"a", "10.77.0.2", on.a}, "b": {"b", "10.77.0.3", on.b}, "c": {"c", "10.77.0.4", on.c},
	}}
	f.binary = filepath.Join(*scaleBin, "vasistas-log")
	run(b, "taskset", "-a", "-p", "-c", on.outside, strconv.Itoa(os.Getpid()))
	f.connect()
	outside := &appending{world: f.world, b: b}
	for i := range 3 {
		outside.spawnWitness(fmt.Sprintf("witness%d.example", i+1), scaleOutside+":0")
	}
	f.setPolicy(3)
	self, err := os.FindProcess(os.Getpid())
	check(b, err)
	f.parts = map[string][]*daemon{"generator": {{Cmd: &exec.Cmd{Process: self}}}, "witnesses": outside.witnesses}
	f.startPostgres()
	f.startStore()
	f.start("c", "etcd", filepath.Join(*scaleBin, "etcd"), "--data-dir", filepath.Join(b.TempDir(), "etcd"), "--listen-client-urls", "http://"+f.addr("c", 2379),
		"--advertise-client-urls", "http://"+f.addr("c", 2379), "--log-level", "error")
	for _, m := range []string{"a", "b"} {
		f.trillian(m, "log servers", "trillian_log_server", 8090, "-max_msg_size_bytes", "16777216")
	}
	signer := []string{"-election_system", "etcd", "-etcd_servers", f.addr("c", 2379), "-master_hold_interval", "1h",
		"-sequencer_interval", "20ms", "-batch_size", "2048", "-num_sequencers", "2"}
	f.trillian("a", "signers", "trillian_log_signer", 8092, signer...)
	f.initLog() // needs a signer, so a's becomes the master
	f.trillian("b", "signers", "trillian_log_signer", 8092, signer...)
	return f
}

// addr is an address of a machine.
func (f *fleet) addr(machine string, port int) string {
	return fmt.Sprintf("%s:%d", f.machines[machine].ip, port)
}

func run(b testing.TB, name string, args ...string) {
	b.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		b.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// connect joins the machines by a bridge.
func (f *fleet) connect() {
	run(f.b, "ip", "link", "add", "bridge", "type", "bridge")
	f.b.Cleanup(func() { run(f.b, "ip", "link", "del", "bridge") })
	run(f.b, "ip", "addr", "add", scaleOutside+"/24", "dev", "bridge")
	run(f.b, "ip", "link", "set", "bridge", "up")
	run(f.b, "ip", "link", "set", "lo", "up")
	for _, m := range f.machines {
		run(f.b, "ip", "netns", "add", m.name)
		f.b.Cleanup(func() { run(f.b, "ip", "netns", "del", m.name) })
		run(f.b, "ip", "link", "add", m.link(), "type", "veth", "peer", "name", "net", "netns", m.name)
		f.b.Cleanup(func() { run(f.b, "ip", "link", "del", m.link()) })
		run(f.b, "ip", "link", "set", m.link(), "master", "bridge", "up")
		run(f.b, "ip", "-n", m.name, "addr", "add", m.ip+"/24", "dev", "net")
		run(f.b, "ip", "-n", m.name, "link", "set", "net", "up")
		run(f.b, "ip", "-n", m.name, "link", "set", "lo", "up")
		for _, end := range [][]string{{"qdisc", "add", "dev", m.link()}, {"-n", m.name, "qdisc", "add", "dev", "net"}} {
			f.network = *scaleRate + ", delayed by " + *scaleDelay
			if exec.Command("tc", append(end, "root", "netem", "delay", *scaleDelay, "rate", *scaleRate)...).Run() != nil {
				f.network = *scaleRate + ", not delayed: the kernel has no netem"
				run(f.b, "tc", append(end, "root", "tbf", "rate", *scaleRate, "burst", "4mb", "latency", "50ms")...)
			}
		}
	}
}

// start starts a program on a machine and counts it in a part. It ends with the benchmark.
func (f *fleet) start(where, counted string, argv ...string) *daemon {
	m := f.machines[where]
	argv = append([]string{"netns", "exec", m.name, "taskset", "-c", m.cores}, argv...)
	d := launch(f.b, "", "ip", argv...)
	f.b.Cleanup(func() {
		if d.Process.Signal(syscall.SIGQUIT) == nil { // PostgreSQL ends its other processes, too
			<-d.exited
		}
	})
	f.parts[counted] = append(f.parts[counted], d)
	return d
}

const scaleDSN = "postgresql://vasistas@10.77.0.4:5432/"

func (f *fleet) startPostgres() {
	dir, err := os.MkdirTemp("", "postgres-") // f.b.TempDir is for root only
	check(f.b, err)
	f.b.Cleanup(func() { check(f.b, os.RemoveAll(dir)) })
	check(f.b, os.Chown(dir, 65534, 65534))
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(found) == 0 {
		f.b.Fatal("PostgreSQL is not installed (scripts/need installs it)")
	}
	// PostgreSQL refuses to run as root.
	as := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env", "-C", dir}
	data := filepath.Join(dir, "data")
	initdb := append(as, filepath.Join(found[len(found)-1], "initdb"), "--pgdata", data, "--username", "vasistas", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-instructions")
	run(f.b, initdb[0], initdb[1:]...)
	check(f.b, os.WriteFile(filepath.Join(data, "pg_hba.conf"), []byte("host all all 10.77.0.0/24 trust\n"), 0o644))
	f.start("c", postgres, append(as, filepath.Join(found[len(found)-1], "postgres"), "-D", data, "-k", dir,
		"-c", "listen_addresses="+f.machines["c"].ip, "-c", "max_connections=200")...)
	f.eventually("psql", scaleDSN+"postgres", "-qc", "CREATE DATABASE trillian")
	run(f.b, "psql", scaleDSN+"postgres", "-qc", "CREATE DATABASE log")
	run(f.b, "psql", scaleDSN+"trillian", "-qf", filepath.Join(*scaleBin, "storage.sql"))
}

// eventually runs a command until it succeeds.
func (f *fleet) eventually(name string, args ...string) {
	eventually(f.b, func() error {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", name, err, out)
		}
		return nil
	})
}

func (f *fleet) startStore() {
	f.b.Setenv("AWS_ACCESS_KEY_ID", "vasistas")
	f.b.Setenv("AWS_SECRET_ACCESS_KEY", "a secret of tests")
	dir := f.b.TempDir()
	objects, attributes := filepath.Join(dir, "objects"), filepath.Join(dir, "attributes")
	check(f.b, errors.Join(os.MkdirAll(filepath.Join(objects, "tiles"), 0o700), os.Mkdir(attributes, 0o700)))
	f.start("c", "object store", filepath.Join(*scaleBin, "versitygw"), "--port", f.addr("c", 9000), "--access", "vasistas",
		"--secret", "a secret of tests", "posix", "--sidecar", attributes, objects)
	eventually(f.b, func() error {
		_, err := s3store.Open(f.b.Context(), f.tiles())
		return err
	})
}

func (f *fleet) tiles() string {
	return "s3://tiles/log?endpoint=http://" + f.addr("c", 9000) + "&region=us-east-1"
}

// trillian starts one of Trillian's programs.
func (f *fleet) trillian(where, counted, program string, port int, options ...string) {
	f.start(where, counted, append([]string{filepath.Join(*scaleBin, program), "-rpc_endpoint", f.addr(where, port), "-http_endpoint", "",
		"-storage_system", "postgresql", "-postgresql_uri", scaleDSN + "trillian", "-quota_system", "noop", "-logtostderr"}, options...)...)
}

// initLog creates the log.
func (f *fleet) initLog() {
	f.founding = signedAt(f.b, f.now(), f.charter(), f.founder)
	charter := filepath.Join(f.b.TempDir(), "charter")
	check(f.b, os.WriteFile(charter, f.founding.Bytes(), 0o600))
	args := f.arguments("init", "-charter", charter, "-database", scaleDSN+"log", "-identity", f.vaultConfig().Identity,
		"-engine", "trillian", "-trillian", f.addr("a", 8090), "-tiles", f.tiles())
	i := slices.Index(args, "-policy")
	f.eventually(f.binary, slices.Delete(args, i, i+2)...)
	f.seen.acknowledged(0, f.founding.Bytes())
}

// serve starts an instance on a machine, and waits until it is the active one or follows.
func (f *fleet) serve(where, counted string) *instance {
	e := &instance{dir: f.b.TempDir()}
	e.url.Store("http://" + f.addr(where, 8080))
	f.restart(e, where, counted)
	f.instances = append(f.instances, e)
	return e
}

// restart starts an instance, or starts it again.
func (f *fleet) restart(e *instance, where, counted string) {
	e.daemon = f.start(where, counted, append([]string{f.binary}, f.arguments("serve", "-listen", f.addr(where, 8080), "-state", e.dir,
		"-identity", f.vaultConfig().Identity, "-database", scaleDSN+"log", "-lease", f.lease.String(), "-trillian", f.addr(where, 8090),
		"-interval", appendInterval.String())...)...)
	eventually(f.b, func() error {
		if status, text := e.request("/charter"); status != http.StatusOK {
			return fmt.Errorf("%s: %d %s\n%s", where, status, text, &e.stderr)
		}
		return nil
	})
	f.world.url = f.active(append(f.instances, e)...).at()
}

// spent is the processor time of each part so far.
func (f *fleet) spent() (all []time.Duration) {
	for _, p := range parts {
		var sum time.Duration
		for _, d := range f.parts[p] {
			sum += used(f.b, d)
			if p != postgres {
				continue
			}
			children, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", d.Process.Pid))
			check(f.b, err)
			for _, pid := range strings.Fields(string(children)) {
				sum += usedBy(f.b, pid)
			}
		}
		all = append(all, sum)
	}
	return all
}

// measured runs rounds of do, which handles n events or tiles, and returns medians: how many a second,
// how many cores the parts kept busy, and each part's processor time, in µs for each of n.
func (f *fleet) measured(n int, do func()) (medians []float64) {
	var rounds [][]float64
	for range *scaleRounds {
		before, began := f.spent(), time.Now()
		do()
		took, after := time.Since(began), f.spent()
		if f.b.Failed() {
			f.b.FailNow()
		}
		round := []float64{float64(n) / took.Seconds(), 0}
		for i := range after {
			round[1] += (after[i] - before[i]).Seconds() / took.Seconds()
			round = append(round, float64((after[i]-before[i]).Microseconds())/float64(n))
		}
		rounds = append(rounds, round)
	}
	for i := range rounds[0] {
		var column []float64
		for _, r := range rounds {
			column = append(column, r[i])
		}
		medians = append(medians, median(column))
	}
	return medians
}

// appends measures how fast the log takes events in.
func (f *fleet) appends(placement string, active *instance) {
	for _, way := range []struct {
		name string
		run  func(entries [][]byte)
	}{
		{"NDJSON", func(e [][]byte) { driveStreams(f.b, active.at()+"/events?wait=sequenced", appendStreams, e) }},
		{"one event a request", func(e [][]byte) {
			drive(f.b, active.at()+"/events?wait=sequenced", "application/json", *appendConns, e)
		}},
		{"answered with the cosigned proof", func(e [][]byte) {
			drive(f.b, active.at()+"/events?wait=cosigned", "application/json", 4**appendConns, e)
		}},
	} {
		entries := warrantsOf(f.b, f.authority, *scaleEvents**scaleRounds)
		f.row([]string{way.name, placement}, f.measured(*scaleEvents, func() {
			way.run(entries[:*scaleEvents])
			entries = entries[*scaleEvents:]
		}))
	}
}

// reads measures how fast the full tiles of the log can be read from each place, over many connections.
func (f *fleet) reads(active, standby *instance) {
	f.follows(standby)
	store, err := s3store.Open(f.b.Context(), f.tiles())
	check(f.b, err)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: readers, DisableCompression: true}}
	from := func(e *instance) func(path string) (int64, error) {
		return func(path string) (int64, error) {
			resp, err := client.Get(e.at() + "/" + path)
			if err != nil {
				return 0, err
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return 0, fmt.Errorf("%s: %s", path, resp.Status)
			}
			return io.Copy(io.Discard, resp.Body)
		}
	}
	for _, place := range []struct {
		name string
		get  func(path string) (int64, error)
	}{
		{"active", from(active)},
		{"standby", from(standby)},
		{"object store", func(path string) (int64, error) {
			b, err := store.Get(f.b.Context(), path)
			return int64(len(b)), err
		}},
	} {
		var size int64
		figures := f.measured(*scaleReads, func() { size = f.read(place.get) })
		megabytes := figures[0] * float64(size) / float64(*scaleReads) / 1e6
		f.row([]string{place.name}, slices.Insert(figures, 1, megabytes))
	}
}

const readers = 32

// read reads full bundles and tiles in turns and returns their bytes.
func (f *fleet) read(get func(path string) (int64, error)) int64 {
	full := int64(f.checkpoint().Size / tlog.TileWidth)
	var next, size atomic.Int64
	var wg sync.WaitGroup
	for range readers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(*scaleReads); i = next.Add(1) - 1 {
				n, err := get(tlog.Tile{Level: []int{tlog.Entries, 0}[i%2], Index: uint64(i / 2 % full), Width: tlog.TileWidth}.Path())
				if err != nil {
					f.b.Error(err)
					return
				}
				size.Add(n)
			}
		})
	}
	wg.Wait()
	return size.Load()
}

// drills breaks the active instance in several ways, and measures how long until another takes events.
func (f *fleet) drills(a, b *instance) {
	http.DefaultClient.Timeout = time.Second // a request to a machine that is cut off
	defer func() { http.DefaultClient.Timeout = 0 }()
	fmt.Fprint(f.report, "\n| fault | another instance acknowledges after | events acknowledged in the drill, of which none is lost |\n|---|---|---|\n")
	cut := func(m string) { run(f.b, "ip", "link", "set", f.machines[m].link(), "down") }
	heal := func(m string) { run(f.b, "ip", "link", "set", f.machines[m].link(), "up") }
	f.drill("`kill -9` of the active instance", a, b, func() { check(f.b, a.Process.Kill()) })
	f.restart(a, "a", "standby")
	f.drill("the active instance's machine is cut off; the master signer is on another", b, a, func() { cut("b") })
	heal("b")
	f.follows(b)
	f.drill("the active instance's machine is cut off, with the master signer", a, b, func() { cut("a") })
	heal("a")
	f.follows(a)
}

// follows waits until a standby has read all that is published.
func (f *fleet) follows(e *instance) { e.follows(f.b, f.checkpoint().Size) }

// drill submits events from eight clients, and breaks something once some are acknowledged. It prints
// how long it takes until the other instance acknowledges one, and checks that nothing acknowledged is lost.
func (f *fleet) drill(name string, from, to *instance, fault func()) {
	ctx, cancel := context.WithCancel(f.b.Context())
	took := make(chan time.Time, 1)
	failed := make(chan []byte, 8)
	submit := func(e *instance) {
		entry := f.warrant()
		for ctx.Err() == nil {
			_, err := f.at(e).sequence(entry)
			var p *problem
			if err == nil {
				entry = f.warrant()
			} else if errors.As(err, &p) && p.status < 500 {
				f.b.Errorf("refused: %v", err)
			}
			if err == nil && e == to {
				select {
				case took <- time.Now():
				default:
				}
			}
			if err != nil { // the prober stays
				e = to
				<-time.After(20 * time.Millisecond)
			}
		}
		failed <- entry
	}
	before := f.seen.count()
	for i := range cap(failed) {
		go submit([]*instance{from, to}[min(1, i/4)])
	}
	f.acknowledges(200)
	began := time.Now()
	fault()
	end := <-took
	f.acknowledges(200)
	cancel()
	var left [][]byte
	for range cap(failed) {
		left = append(left, <-failed)
	}
	f.world.url = to.at()
	f.resubmit(to, left)
	if f.b.Failed() {
		f.b.FailNow()
	}
	fmt.Fprintf(f.report, "| %s | %.1f s | %d |\n", name, end.Sub(began).Seconds(), f.seen.count()-before)
}
