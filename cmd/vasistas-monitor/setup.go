// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/client/monitor/mirror"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tlog"
)

type layout struct {
	dir     string
	copies  string        // directory of all copies; "": each is with its log's state
	timeout time.Duration // of one try of a read; 0: the client's own
}

func (l *layout) define(fs *flag.FlagSet) {
	fs.StringVar(&l.dir, "dir", "", "`directory` of the monitor (required)")
}

func (l *layout) complete() error {
	if l.dir == "" {
		return command.WrongUse("-dir is missing: give the directory of the monitor")
	}
	return nil
}

func (l *layout) path(names ...string) string {
	return filepath.Join(append([]string{l.dir}, names...)...)
}

func (l *layout) logFile(origin string) string {
	return l.path("logs", cosigning.OriginHash(origin)+".json")
}

type algorithm struct {
	name string
	tlog.Algorithm
}

// algorithms are those of the cosignature keys, with the names of their files.
var algorithms = []algorithm{{"ed25519", tlog.CosignatureEd25519}, {"mldsa44", tlog.CosignatureMLDSA44}}

// runInit makes the auditor's keys: one that signs findings and other events, and two that cosign. It
// prints the option of "vasistas charter new" that names them, and the lines of an audit policy.
func runInit(_ context.Context, c *command.Call) error {
	var l layout
	l.define(c.Flags)
	name := c.Flags.String("name", "", "`name` of the auditor in the charter (required)")
	keyName := c.Flags.String("key-name", "", "`name` of the cosignature keys, like watchdog.example/auditor; no witness may have it (required)")
	url := c.Flags.String("url", "", "`URL` at which logs ask this monitor, for the audit policy")
	if err := c.Parse(l.complete); err != nil {
		return err
	}
	if *name == "" || *keyName == "" {
		return command.WrongUse("give -name and -key-name")
	}
	var policy strings.Builder
	group := "group " + *name + " any"
	var signers []*tlog.Signer
	for _, a := range algorithms {
		s, err := tlog.GenerateSigner(*keyName, a.Algorithm)
		if err != nil {
			return err
		}
		signers = append(signers, s)
		policy.WriteString(strings.TrimSuffix(fmt.Sprintf("witness %s-%s %s %s", *name, a.name, s.Verifier(), *url), " ") + "\n")
		group += " " + *name + "-" + a.name
	}
	policy.WriteString(group + "\n")
	if _, err := tlog.ParsePolicy([]byte(policy.String() + "quorum " + *name + "\n")); err != nil {
		return fmt.Errorf("a policy can't have this name or URL: %w", err)
	}
	if err := durable.MkdirAll(l.path("keys"), 0o700); err != nil {
		return err
	}
	if _, err := eventkey.Generate(eventkey.Ed25519, l.path("keys", "event.pem")); err != nil {
		return err
	}
	option := fmt.Sprintf("# --party auditor:%s=%s", *name, l.path("keys", "event.pem")+eventkey.PublicSuffix)
	for i, a := range algorithms {
		file := l.path("keys", a.name+".key")
		if err := durable.CreateFile(file, []byte(signers[i].Secret()+"\n"), 0o600); err != nil {
			return err
		}
		public := file + eventkey.PublicSuffix
		if err := durable.CreateFile(public, []byte(signers[i].Verifier().String()+"\n"), 0o644); err != nil {
			return err
		}
		option += "," + public
	}
	fmt.Fprintf(c.Stdout, "%s\n%s", option, policy.String())
	fmt.Fprintf(c.Stderr, "Made the keys of the auditor in %s. Give the option above to \"vasistas charter new\"; the other lines are for the\n"+
		"audit policy. Only files that end in .pub may leave this machine.\n", l.path("keys"))
	return nil
}

type joined struct {
	Origin  string    `json:"origin"`
	URL     string    `json:"url"`
	Founded tlog.Hash `json:"founded"` // leaf hash of the first charter
	// Unpinned: Founded is what the log showed, and was not compared with the founders' hash.
	Unpinned bool     `json:"unpinned,omitempty"`
	LogKeys  []string `json:"logKeys"`
	Auditor  string   `json:"auditor,omitempty"` // "": the log is only copied
	Mirrors  []string `json:"mirrors,omitempty"`
	// Policy (C2SP tlog-policy) says which heads the copy takes; that of an audited log until the
	// auditor knows the charter in force.
	Policy string `json:"policy"`
}

func (j *joined) bytes() []byte {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		panic(err) // strings only
	}
	return append(b, '\n')
}

const maxJoined = 2 * tlog.MaxPolicySize // bytes: a policy in JSON, and keys

func runJoin(_ context.Context, c *command.Call) error {
	var l layout
	l.define(c.Flags)
	j := new(joined)
	c.Flags.StringVar(&j.Auditor, "name", "", "`name` of the auditor in the charter; without it the log is only copied and served")
	c.Flags.StringVar(&j.URL, "log", "", "`URL` of the log (required)")
	file := c.Flags.String("charter", "", "`file` with the log's first charter, from a source that you trust (required)")
	mirrors := c.List("mirror", "`URL` or directory of a mirror, to read where the log fails; repeat it")
	logKeys := c.List("log-key", "verifier `key` of the log in addition to those of its charter, for a log that lost its key; repeat it")
	policy := c.Flags.String("policy", "", "`file` with the policy by which heads are copied, after an amendment of the witnesses of a log that is only copied (default: the charter's)")
	if err := c.Parse(l.complete); err != nil {
		return err
	}
	if j.URL == "" || *file == "" {
		return command.WrongUse("give -charter and -log")
	}
	if err := j.found(*file, *logKeys, *policy); err != nil {
		return err
	}
	j.Mirrors = *mirrors
	if err := l.locked(func() error { return l.create(j) }); err != nil {
		return err
	}
	fmt.Fprintf(c.Stderr, "Joined the log %s. Its first charter has the leaf hash %s; compare it with that of the other operators.\n", j.Origin, j.Founded)
	return nil
}

// locked runs f while no other process joins or pins a log. A monitor holds no such lock while it serves.
func (l *layout) locked(f func() error) error {
	if err := durable.MkdirAll(l.path("logs"), 0o700); err != nil {
		return err
	}
	lock, err := durable.LockDir(l.path("logs"))
	if errors.Is(err, durable.ErrLocked) {
		return fmt.Errorf("another command joins or pins a log now; try again when it has ended: %w", err)
	} else if err != nil {
		return err
	}
	return errors.Join(f(), lock.Close())
}

// create makes the file of a log, and the state of its auditor.
func (l *layout) create(j *joined) error {
	name := l.logFile(j.Origin)
	if err := durable.CreateFile(name, j.bytes(), 0o644); err != nil {
		return err
	}
	c, _, err := l.load(j)
	if err == nil && j.Auditor != "" {
		err = auditor.Create(c)
	}
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// found fills in what the first charter says.
func (j *joined) found(file string, logKeys []string, policy string) error {
	b, err := durable.ReadFile(file, event.MaxEntrySize+1)
	if err != nil {
		return err
	}
	env, err := event.ParseEnvelope(bytes.TrimSuffix(b, []byte("\n")))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	ch, ok := env.Event.Body.(*event.Charter)
	if !ok || ch.Version != 1 {
		return fmt.Errorf("%s is not a first charter: give the event that vasistas-log init made entry 0 from, not that of GET /charter after an amendment", file)
	}
	j.Origin, j.Founded, j.LogKeys = env.Event.Log, env.LeafHash(), append(ch.LogKeys, logKeys...)
	if policy != "" {
		b, err := durable.ReadFile(policy, tlog.MaxPolicySize)
		j.Policy = string(b)
		return err
	}
	whole := *ch
	whole.LogKeys = j.LogKeys
	j.Policy = whole.PolicyFile(ch.WitnessPolicy)
	return nil
}

func (l *layout) logs() (list []*joined, err error) {
	files, err := os.ReadDir(l.path("logs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		j, err := readJoined(l.path("logs", f.Name()))
		if err != nil {
			return nil, err
		}
		list = append(list, j)
	}
	return list, nil
}

func (l *layout) configs() (c monitor.Config, err error) {
	c.URLs, c.Founded = make(map[string]string), make(map[string]tlog.Hash)
	c.Unpinned = func(origin string) bool { // "vasistas-monitor pin" changes it
		j, err := readJoined(l.logFile(origin))
		return err != nil || j.Unpinned
	}
	list, err := l.logs()
	if err != nil {
		return c, err
	}
	for _, j := range list {
		a, audited, err := l.load(j)
		c.Founded[j.Origin] = j.Founded
		switch {
		case err != nil:
			return c, err
		case audited:
			c.Auditors = append(c.Auditors, a)
		default:
			c.URLs[a.Origin] = a.URL
			c.Mirrors = append(c.Mirrors, mirror.Config{Dir: a.CopyDir, Sources: a.Sources, Policy: a.Policy.WithSpread(tlog.NoSpread), Origin: a.Origin})
		}
	}
	if len(c.Auditors)+len(c.Mirrors) == 0 {
		return c, errors.New("this monitor has joined no log; give serve a -log, or see \"vasistas-monitor join\"")
	}
	return c, nil
}

func (l *layout) copyDir(origin string) string {
	hash := cosigning.OriginHash(origin)
	if l.copies != "" {
		return filepath.Join(l.copies, hash)
	}
	return l.path("state", hash, "copy")
}

func (l *layout) stateDir(origin string) string { return l.path("state", cosigning.OriginHash(origin)) }

func readJoined(name string) (*joined, error) {
	b, err := durable.ReadFile(name, maxJoined)
	if err != nil {
		return nil, err
	}
	j := new(joined)
	if err := json.Unmarshal(b, j); err != nil || !bytes.Equal(j.bytes(), b) {
		return nil, fmt.Errorf("%s was changed by hand; restore it", name)
	}
	return j, nil
}

// load returns the configuration of a joined log, with the keys, if it is audited.
func (l *layout) load(j *joined) (c auditor.Config, audited bool, err error) {
	name := l.logFile(j.Origin)
	c = auditor.Config{Dir: l.stateDir(j.Origin), CopyDir: l.copyDir(j.Origin), URL: j.URL, Origin: j.Origin, Founded: j.Founded, Name: j.Auditor}
	if c.Policy, err = tlog.ParsePolicy([]byte(j.Policy)); err != nil {
		return c, false, fmt.Errorf("%s: %w", name, err)
	}
	if c.LogKeys, err = command.Each(j.LogKeys, tlog.ParseVerifierKey); err != nil {
		return c, false, fmt.Errorf("%s: %w", name, err)
	}
	for _, url := range append([]string{j.URL}, j.Mirrors...) {
		source, err := client.New(client.Config{URL: url, UserAgent: "vasistas-monitor", Timeout: l.timeout})
		if err != nil {
			return c, false, fmt.Errorf("%s: %w", name, err)
		}
		c.Sources = append(c.Sources, mirror.Source{Name: url, Source: source.Source()})
	}
	if j.Auditor == "" {
		return c, false, nil
	}
	c.Signers, err = command.Each(algorithms, func(a algorithm) (*tlog.Signer, error) { return command.ReadSigner(l.path("keys", a.name+".key")) })
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; see \"vasistas-monitor init\"", err)
	}
	return c, err == nil, err
}
