// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Vasistas-demo runs a whole Vasistas on one machine, on real data: a log, four witnesses, three
// auditors, three gates, a monitor, and the 5,382 electronic search warrant notifications that California
// published for 2016 to 2019 (data/PROVENANCE.md). The usage text below says what it shows. Every
// part is the one that the daemons run, over HTTP. The exit code is 0 only if every proof held,
// every attack was refused, no key was used while auditors were silent, and the log kept its rules.
//
// All keys stand in one directory, whose owner can do anything. events.go fills in what an event
// needs and its row lacks, and the story says so.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/gate"
	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/desk"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/world"
	"github.com/vasistas/vasistas/internal/world/people"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
	"github.com/vasistas/vasistas/log/tlog"
)

func main() { command.Main(run) }

// run is the program until ctx ends. It returns the exit code.
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	var out bytes.Buffer
	stderr = command.Clean(stderr)
	o, err := parseOptions(args, &out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		out.WriteTo(stdout)
		return 0
	case err != nil:
		out.WriteTo(stderr)
		return 2
	case o.version:
		fmt.Fprintln(stdout, "vasistas-demo", command.Version())
		return 0
	}
	switch err := newStory(o, stdout, stderr).run(ctx); {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintf(stderr, "vasistas-demo: stopped before the end; run it again to go on (%v)\n", err)
	default:
		fmt.Fprintf(stderr, "vasistas-demo: %v\n", err)
	}
	return 1
}

// failure is the panic of a failed step: each step of the story needs the one before. caught
// recovers it; each goroutine needs a caught of its own.
type failure struct{ error }

func try(err error) {
	if err != nil {
		panic(failure{err})
	}
}

func must[T any](v T, err error) T {
	try(err)
	return v
}

// caught returns the error that ended the steps of f.
func caught(f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = r.error
		default:
			panic(r)
		}
	}()
	f()
	return nil
}

const (
	origin       = "vasistas-demo.example/warrants"
	numWitnesses = 4
	// quorum of the witnesses: the log goes on while one is down, and with one dishonest
	// witness it can't show two people two histories.
	quorum  = 3
	refresh = 2 * time.Second // a witness that was too slow for a head is not missing for long

	// patience bounds each wait. A slow machine reaches what the story waits for, only later.
	patience     = 5 * time.Minute
	closeTimeout = time.Minute

	// auditQuorum of the auditors must have cosigned a head before a gate opens under it.
	numAuditors = 3
	auditQuorum = 2

	// The group of custodians whose gates run here.
	gateGroup     = "gates"
	numGates      = 3
	gateThreshold = 2

	// The parties that the rows do not name.
	providerName  = "demo-provider" // stands in for all businesses, and runs the log
	custodianName = noGroup         // runs no gate

	profileID     = "demo-on-one-machine"
	heartbeatsDue = 10 * 365 * 24 * 60 * 60 // seconds

	publicSuffix = ".pub" // of the public half of a key file
	seedFile     = "people.seed"
	serversLog   = "servers.log"
)

// The names of the keys whose party has another name.
func dutyKey(court string) string  { return "duty " + court }
func agencyKey(code string) string { return "agency " + code }

// auditors are the auditors' names, and the groups that they stand for.
var auditors = [numAuditors][2]string{{"regulator", "regulators"}, {"high-court", "courts"}, {"association", "civil-society"}}

// keyDirs are the directories below D/keys, by the role of the keys in them.
var keyDirs = map[event.Role]string{
	event.RoleAuthority: "courts", event.RoleDuty: "duty", event.RoleProvider: "providers",
	event.RoleCharter: "founders", event.RoleCustodian: "custodians", event.RoleAuditor: "auditors",
}

// system is the directory D, the keys of all parties, and the parts that run in it.
type system struct {
	*world.World
	*people.People
	made    bool          // the log is new
	profile event.Profile // of the charter
	policy  *tlog.Policy  // quorum of the witnesses
	all     *tlog.Policy  // every witness
	file    *os.File      // of the parts' logger
	keys    []*watchedKey // of the gates
	monitor *desk.Monitor // of a watchdog; nil: none yet
	desk    *world.Server // of the monitor; nil: none yet
}

// watchedKey counts how often a gate's key opens a part of an escrowed file. The requests that it
// opens are not counted.
type watchedKey struct {
	*escrow.SecretKey
	used atomic.Int64
}

// Open implements [escrow.KeyHolder].
func (k *watchedKey) Open(p escrow.Purpose, info, sealed []byte) ([]byte, error) {
	if p != escrow.ForRequest {
		k.used.Add(1)
	}
	return k.SecretKey.Open(p, info, sealed)
}

// openSystem takes up the demo in a directory, or makes one if the directory is empty or missing,
// and runs log and witnesses. The charter names who signs, so rows are all rows of the data.
func openSystem(ctx context.Context, o *options, rows []row) (s *system, err error) {
	s = &system{}
	if err := caught(func() { s.open(ctx, o, rows) }); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// isNew reports whether a directory holds no demo yet. It refuses one that holds anything else.
func isNew(dir string) (made bool) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, syscall.ENOTDIR) {
		try(fmt.Errorf("%s is a file; give a directory with -dir", dir))
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		try(err)
	}
	made = !must(world.Created(dir))
	foreign := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != serversLog })
	if _, err := os.Stat(filepath.Join(dir, "keys", seedFile)); made && err == nil {
		try(fmt.Errorf("the making of the demo in %s was cut off; remove that directory, or give another one with -dir", dir))
	} else if made && foreign {
		try(fmt.Errorf("%s holds something else than a demo, and was left as it is; give an empty or a new directory with -dir", dir))
	}
	return made
}

func (s *system) open(ctx context.Context, o *options, rows []row) {
	var err error
	s.made = isNew(o.dir)
	seed := rand.Text()
	if !s.made {
		seed = loadSeed(o.dir)
	}
	s.People = people.New(origin, seed)
	try(os.MkdirAll(o.dir, 0o700))
	s.file = must(os.OpenFile(filepath.Join(o.dir, serversLog), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))
	cfg := world.Config{Dir: o.dir, People: s.People, PostQuantum: true, Address: o.listen, Logger: slog.New(slog.NewTextHandler(s.file, nil))}
	world.LogTessera(cfg.Logger)
	for i := range numWitnesses {
		cfg.Witnesses = append(cfg.Witnesses, fmt.Sprintf("witness%d", i+1))
	}
	if s.World, err = world.New(cfg); errors.Is(err, syscall.EADDRINUSE) && o.fallback {
		cfg.Address = ""
		s.World, err = world.New(cfg)
	}
	try(err)
	s.LogConfig.Refresh, s.LogConfig.Provider = refresh, s.Signer(providerName)
	s.LogConfig.HTTP = s.auditorsClient()
	for _, name := range auditors {
		a := must(s.NewAuditor(name[0]))
		// A charter has 36,000 bytes, and names an auditor's key twice, as the party's and in the
		// policy: with all courts, 3,800 bytes are missing for the auditors' ML-DSA-44 keys.
		a.Keys = a.Keys[:1]
		a.Config.Signers = a.Keys
		a.Config.Poll = 250 * time.Millisecond
	}
	for i := range numGates {
		g := must(s.NewGate(fmt.Sprintf("custodian%d", i+1), event.KEMMLKEMX25519))
		k := &watchedKey{SecretKey: g.Key}
		g.Config.Keys, s.keys = []gate.KeyHolder{k}, append(s.keys, k)
		g.Config.Poll = 250 * time.Millisecond
	}
	s.policy, s.all = must(s.World.Policy(quorum)), must(s.World.Policy(numWitnesses))
	charter := s.charter(rows) // makes all keys, also if the log has its charter
	if s.made {
		s.writeKeys(seed, charter)
		try(s.Create(ctx, must(s.Signed(time.Now(), charter, "founder1", "founder2"))))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	try(s.Start(ctx))
	s.startAuditors(ctx)
	s.startMonitor(cfg.Logger)
}

// auditorHost is the host of an auditor's URL in the charter. The charter stays, and an auditor's
// port is another one in each run, so the log's client finds the port by this host.
func auditorHost(name string) string { return name + ".vasistas-demo.example" }

// auditorsClient returns the client with which the log asks witnesses and auditors.
func (s *system) auditorsClient() *http.Client {
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		for _, a := range s.Auditors {
			if address == auditorHost(a.Name)+":80" {
				address = strings.TrimPrefix(a.URL, "http://")
			}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return &http.Client{
		Transport:     &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 4, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *system) auditPolicy() string {
	var groups []people.Group
	for i, a := range s.Auditors {
		w := people.Witness{Name: a.Name, URL: "http://" + auditorHost(a.Name)}
		for _, k := range a.Keys {
			w.Keys = append(w.Keys, k.Verifier())
		}
		groups = append(groups, people.Group{Name: auditors[i][1], K: 1, Members: []people.Witness{w}})
	}
	return people.Nested(auditQuorum, groups...)
}

// startAuditors starts the auditors, and waits until a head has met the audit policy. They know
// the log's keys and the first charter, and nothing else.
func (s *system) startAuditors(ctx context.Context) {
	cl := must(client.New(client.Config{URL: s.LogServer.URL, Policy: s.policy, UserAgent: "vasistas-demo"}))
	first := must(event.ParseEnvelope(must(cl.Prove(ctx, 0)).Extra))
	s.Founded, s.profile = first.LeafHash(), first.Event.Body.(*event.Charter).Profile
	for _, a := range s.Auditors {
		if _, err := os.Stat(a.Config.Dir); errors.Is(err, fs.ErrNotExist) {
			try(a.Create())
		}
		try(a.Start())
	}
	poll(ctx, "the auditors' first cosignatures", func() bool {
		_, _, err := cl.Audited(ctx, nil)
		return err == nil
	})
}

// loadSeed reads the secret that all keys but those of vault and gates are derived from.
func loadSeed(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "keys", seedFile))
	if errors.Is(err, fs.ErrNotExist) {
		try(fmt.Errorf("the demo in %s is of an earlier version; remove that directory, or give another one with -dir", dir))
	}
	try(err)
	return strings.TrimSpace(string(b))
}

// charter makes the log's charter, entry 0.
//
// A charter has at most 256 parties, and the data names more businesses. So one provider stands
// in for all: warrants address it, it signs accesses, and it runs the log. The courts are the
// counties of the data. The group that the rows' accesses name has one custodian, who runs no
// gate. The other group has three gates.
func (s *system) charter(rows []row) *event.Charter {
	p := must(profile.Load("demo"))
	if s.made {
		adapt(&p, pace(s.People, rows))
	}
	c := &event.Charter{Version: 1, Rules: 2, Profile: p, WitnessPolicy: world.WitnessPolicy(quorum, false, s.Witnesses...), AuditPolicy: s.auditPolicy()}
	for _, k := range s.LogKeys {
		c.LogKeys = append(c.LogKeys, k.Verifier().String())
	}
	s.Cast(c, event.RoleCharter, "founder1", "founder2", "founder3")
	s.Cast(c, event.RoleProvider, providerName)
	s.Cast(c, event.RoleCustodian, custodianName)
	for _, a := range s.Auditors {
		c.Parties = append(c.Parties, a.Party())
	}
	gates := event.Group{ID: gateGroup, Threshold: gateThreshold}
	for _, g := range s.Gates {
		c.Parties, gates.Members = append(c.Parties, g.Party()), append(gates.Members, g.Name)
	}
	c.Groups = []event.Group{gates, {ID: noGroup, Threshold: 1, Members: []string{custodianName}}}
	named := make(map[string]bool) // by key
	for i := range rows {
		a, no := decide(&rows[i])
		if no != "" {
			continue // a row that is refused needs no keys
		}
		if !named[a.court] {
			c.Parties = append(c.Parties, s.Party(event.RoleAuthority, a.court))
		}
		if duty := dutyKey(a.court); a.Emergency && !named[duty] {
			c.Parties, named[duty] = append(c.Parties, s.Party(event.RoleDuty, a.court, duty)), true
		}
		named[a.court] = true
	}
	return c
}

func (s *system) keyFile(role event.Role, name string) string {
	return s.Path("keys", keyDirs[role], name+".pem")
}

// writeKeys writes the seed and, as the tool vasistas reads them, the event keys of all parties.
func (s *system) writeKeys(seed string, c *event.Charter) {
	try(durable.CreateFile(s.Path("keys", seedFile), []byte(seed+"\n"), 0o600))
	for _, p := range c.Parties {
		file := s.keyFile(p.Role, p.Name)
		key := p.Name
		if p.Role == event.RoleDuty {
			key = dutyKey(key)
		}
		try(os.MkdirAll(filepath.Dir(file), 0o700))
		try(os.WriteFile(file, s.PEM(key), 0o600))
		try(os.WriteFile(file+publicSuffix, p.Keys[0].PEM(), 0o644))
	}
}

// startGates starts the gates, and waits until they are ready. They know the log's keys and
// the first charter, and nothing else.
func (s *system) startGates(ctx context.Context) {
	for _, g := range s.Gates {
		if _, err := os.Stat(g.Config.Dir); errors.Is(err, fs.ErrNotExist) {
			try(g.Create())
		}
		try(g.Start())
	}
	poll(ctx, "all gates to get ready", func() bool {
		return !slices.ContainsFunc(s.Gates, func(g *world.Gate) bool { return g.Running.Ready() != nil })
	})
}

func poll(ctx context.Context, what string, done func() bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	try(world.Await(ctx, 50*time.Millisecond, func() error {
		if !done() {
			return errors.New("waiting for " + what)
		}
		return nil
	}))
}

// close stops all parts. The log publishes what it has admitted.
func (s *system) close(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err = s.stopMonitor(ctx)
	if s.World != nil {
		err = errors.Join(err, s.Close(ctx))
	}
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
	}
	return err
}

// startMonitor starts the watchdog's monitor. It knows the log's keys, witnesses and first charter.
func (s *system) startMonitor(logger *slog.Logger) {
	url := s.LogServer.URL
	cl := must(client.New(client.Config{URL: url, UserAgent: "vasistas-demo"}))
	c := monitor.Config{
		Mirrors: []mirror.Config{{Dir: s.Path("monitor", "copy"), Sources: []mirror.Source{{Name: url, Source: cl.Source()}}, Policy: s.policy.WithSpread(tlog.NoSpread), Origin: origin}},
		URLs:    map[string]string{origin: url}, Founded: map[string]tlog.Hash{origin: s.Founded},
		Run: mirror.RunOptions{Poll: 250 * time.Millisecond}, Logger: logger.With("part", "monitor"),
	}
	s.monitor = must(desk.Open(c, func(string) string { return s.Path("monitor") }))
	s.monitor.Start()
	s.desk = must(s.Listen())
	s.desk.Serve(s.monitor)
	try(durable.WriteFile(s.Path("monitor.url"), []byte(s.deskURL()+"\n"), 0o644))
}

func (s *system) deskURL() string { return s.desk.URL + "/" }

func (s *system) stopMonitor(ctx context.Context) (err error) {
	if s.desk != nil {
		err = s.desk.Close(ctx)
	}
	if s.monitor != nil {
		err = errors.Join(err, s.monitor.Close())
	}
	return err
}
