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
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/client/monitor/auditor"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tlog"
)

type layout struct{ dir string }

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

// logFile returns the file of a joined log.
func (l *layout) logFile(origin string) string {
	return l.path("logs", cosigning.OriginHash(origin)+".json")
}

// algorithms are those of the cosignature keys, with the names of their files.
var algorithms = []struct {
	name      string
	algorithm tlog.Algorithm
}{{"ed25519", tlog.CosignatureEd25519}, {"mldsa44", tlog.CosignatureMLDSA44}}

// runInit makes the auditor's keys: one that signs findings and other events, and two that cosign. It
// prints the option of "vasistas charter new" that names them, and the lines of an audit policy.
func runInit(_ context.Context, args []string, stdout, stderr io.Writer) error {
	var l layout
	flags := flag.NewFlagSet("init", flag.ContinueOnError)
	l.define(flags)
	name := flags.String("name", "", "`name` of the auditor in the charter (required)")
	keyName := flags.String("key-name", "", "`name` of the cosignature keys, like watchdog.example/auditor; no witness may have it (required)")
	url := flags.String("url", "", "`URL` at which logs ask this monitor, for the audit policy")
	if err := command.Parse(flags, args, stderr, l.complete); err != nil {
		return err
	}
	if *name == "" || *keyName == "" {
		return command.WrongUse("give -name and -key-name")
	}
	var policy strings.Builder
	group := "group " + *name + " any"
	var signers []*tlog.Signer
	for _, a := range algorithms {
		s, err := tlog.GenerateSigner(*keyName, a.algorithm)
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
	fmt.Fprintf(stdout, "%s\n%s", option, policy.String())
	fmt.Fprintf(stderr, "Made the keys of the auditor in %s. Give the option above to \"vasistas charter new\"; the other lines are for the\n"+
		"audit policy. Only files that end in .pub may leave this machine.\n", l.path("keys"))
	return nil
}

// joined is the content of a log's file.
type joined struct {
	Origin  string    `json:"origin"`
	URL     string    `json:"url"`
	Founded tlog.Hash `json:"founded"` // leaf hash of the first charter
	LogKeys []string  `json:"logKeys"`
	Auditor string    `json:"auditor"`
	Mirrors []string  `json:"mirrors,omitempty"`
}

func (j *joined) bytes() []byte {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		panic(err) // strings only
	}
	return append(b, '\n')
}

const maxJoined = 64 << 10

// runJoin makes the state for the log of a first charter.
func runJoin(_ context.Context, args []string, _, stderr io.Writer) error {
	var l layout
	flags := flag.NewFlagSet("join", flag.ContinueOnError)
	l.define(flags)
	j := new(joined)
	flags.StringVar(&j.Auditor, "name", "", "`name` of the auditor in the charter (required)")
	flags.StringVar(&j.URL, "log", "", "`URL` of the log (required)")
	file := flags.String("charter", "", "`file` with the log's first charter, from a source that you trust (required)")
	mirrors := command.List(flags, "mirror", "`URL` or directory of a mirror, to read where the log fails; repeat it")
	logKeys := command.List(flags, "log-key", "verifier `key` of the log in addition to those of its charter, for a log that lost its key; repeat it")
	if err := command.Parse(flags, args, stderr, l.complete); err != nil {
		return err
	}
	if j.Auditor == "" || j.URL == "" || *file == "" {
		return command.WrongUse("give -name, -charter and -log")
	}
	b, err := durable.ReadFile(*file, event.MaxEntrySize+1)
	if err != nil {
		return err
	}
	env, err := event.ParseEnvelope(bytes.TrimSuffix(b, []byte("\n")))
	if err != nil {
		return fmt.Errorf("%s: %w", *file, err)
	}
	ch, ok := env.Event.Body.(*event.Charter)
	if !ok || ch.Version != 1 {
		return fmt.Errorf("%s is not a first charter: give the event that vasistas-log init made entry 0 from, not that of GET /charter after an amendment", *file)
	}
	j.Origin, j.Founded, j.LogKeys, j.Mirrors = env.Event.Log, env.LeafHash(), append(ch.LogKeys, *logKeys...), *mirrors
	if err := durable.MkdirAll(l.path("logs"), 0o700); err != nil {
		return err
	}
	name := l.logFile(j.Origin)
	if err := durable.CreateFile(name, j.bytes(), 0o644); err != nil {
		return err
	}
	c, err := l.load(name)
	if err == nil {
		err = auditor.Create(c)
	}
	if err != nil {
		return errors.Join(err, os.Remove(name))
	}
	fmt.Fprintf(stderr, "Joined the log %s. Its first charter has the leaf hash %s; compare it with that of the other operators.\n", j.Origin, j.Founded)
	return nil
}

// configs returns those of all joined logs.
func (l *layout) configs() ([]auditor.Config, error) {
	files, err := os.ReadDir(l.path("logs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []auditor.Config
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") {
			continue
		}
		c, err := l.load(l.path("logs", f.Name()))
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("this monitor has joined no log; see \"vasistas-monitor join\"")
	}
	return out, nil
}

// load loads the keys and the file of a joined log.
func (l *layout) load(name string) (c auditor.Config, err error) {
	b, err := durable.ReadFile(name, maxJoined)
	if err != nil {
		return c, err
	}
	var j joined
	if err := json.Unmarshal(b, &j); err != nil || !bytes.Equal(j.bytes(), b) {
		return c, fmt.Errorf("%s was changed by hand in its form; restore it", name)
	}
	c = auditor.Config{Dir: l.path("state", cosigning.OriginHash(j.Origin)), URL: j.URL, Origin: j.Origin, Founded: j.Founded, Name: j.Auditor}
	for _, s := range j.LogKeys {
		k, err := tlog.ParseVerifierKey(s)
		if err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
		c.LogKeys = append(c.LogKeys, k)
	}
	if len(j.Mirrors) > 0 {
		for _, url := range append([]string{j.URL}, j.Mirrors...) {
			source, err := client.New(client.Config{URL: url, UserAgent: "vasistas-monitor"})
			if err != nil {
				return c, fmt.Errorf("%s: %w", name, err)
			}
			c.Sources = append(c.Sources, source)
		}
	}
	for _, a := range algorithms {
		s, err := l.signer(a.name + ".key")
		if err != nil {
			return c, err
		}
		c.Signers = append(c.Signers, s)
	}
	return c, nil
}

// signer reads a key file: one key, and a line feed.
func (l *layout) signer(file string) (*tlog.Signer, error) {
	name := l.path("keys", file)
	b, err := durable.ReadFile(name, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; see \"vasistas-monitor init\"", err)
	} else if err != nil {
		return nil, err
	}
	s, err := tlog.ParseSigner(strings.TrimSuffix(string(b), "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}
