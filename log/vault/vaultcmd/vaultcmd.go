// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package vaultcmd is the command that makes, lists, checks and exports a log's
// vault. vasistas-log vault and vasistas vault run it.
//
// It works on the directory of a log that may be running. Except for init, it changes
// only the audit file. It trusts the tree's files in that directory and doesn't verify
// them again.
package vaultcmd

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault"
)

// Usage is the command's help text.
const Usage = `vault: the openings and notices that the log keeps until it discloses them

Usage:
  vault init   -dir DIR [-recovery age1pq1...]            make an empty vault and its key
  vault ls     -dir DIR                                   list the records
  vault check  -dir DIR                                   decrypt all records, list what is lost
  vault export -dir DIR -entry INDEX... -to age1... -by NAME -out FILE
                                                          export openings to an inspector
  vault audit  -dir DIR                                   list all exports

An export is an age file with a tar archive: age -d -i KEY FILE | tar -x
FILE may be - for the standard output.
The vault records it in DIR/vault/audit/exports.jsonl, or in the database, before it
writes FILE.
`

// Shared is a vault in a database, with the published checkpoint of its log.
type Shared struct {
	Storage   vault.Storage
	Published func(ctx context.Context) ([]byte, error) // nil bytes: none
	Close     func()
}

type vaultCommand struct {
	dir, tree, state, vault, identity string
	database                          string
	open                              func(ctx context.Context, dsn string) (*Shared, error) // nil: no -database
	shared                            *Shared
	recovery                          *[]string
	entries                           []uint64
	to, by, out                       string
	stdout, stderr                    io.Writer
}

// Run runs the command. args begin with init, ls, check, export or audit. If open is
// not nil, there is a flag -database, whose vault open opens. Run returns flag.ErrHelp
// after printing help, and an error of package command about wrong arguments.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer, open func(ctx context.Context, dsn string) (*Shared, error)) (err error) {
	if len(args) == 0 {
		fmt.Fprint(stderr, Usage)
		return command.WrongUse("wrong use: vault needs a command")
	}
	c := &vaultCommand{stdout: stdout, stderr: stderr, open: open}
	verbs := map[string]func(context.Context) error{
		"init": c.init, "ls": c.ls, "check": c.check, "export": c.export, "audit": c.audit,
	}
	verb := verbs[args[0]]
	switch {
	case args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help":
		fmt.Fprint(stdout, Usage)
		return flag.ErrHelp
	case verb == nil:
		fmt.Fprint(stderr, Usage)
		return command.WrongUse("wrong use: no command vault %q", args[0])
	}
	if err := c.parse(args[0], args[1:], stderr); command.IsWrongUse(err) {
		return fmt.Errorf("wrong use: %w", err)
	} else if err != nil {
		return err
	}
	if c.database != "" {
		if c.shared, err = open(ctx, c.database); err != nil {
			return err
		}
		defer c.shared.Close()
	}
	return verb(ctx)
}

func (c *vaultCommand) parse(verb string, args []string, stderr io.Writer) error {
	call := command.Call{Flags: flag.NewFlagSet("vault "+verb, flag.ContinueOnError), Args: args, Stderr: stderr}
	set := call.Flags
	set.StringVar(&c.dir, "dir", "", "`directory` of the log (required)")
	set.StringVar(&c.tree, "tree", "", "directory of the tree, if not DIR/tree")
	set.StringVar(&c.state, "state", "", "directory of the state, if not DIR/state")
	set.StringVar(&c.vault, "vault", "", "directory of the vault, if not DIR/vault")
	set.StringVar(&c.identity, "identity", "", "`file` with the vault's age identity, if not DIR/keys/vault.key")
	if c.open != nil && verb != "init" {
		set.StringVar(&c.database, "database", "", "`DSN` of the database with the vault; -tree is then the directory of the tiles")
	}
	switch verb {
	case "init":
		c.recovery = call.List("recovery", "age `recipient` that can also decrypt everything (age1pq1..., from age-keygen -pq); repeatable")
	case "export":
		set.Func("entry", "`index` of an entry; repeatable, or several separated by commas", c.addEntries)
		set.StringVar(&c.to, "to", "", "the inspector's age `recipient`")
		set.StringVar(&c.by, "by", "", "exporter's `name`, for the audit file")
		set.StringVar(&c.out, "out", "", "`file` to write, which must not exist; - is the standard output")
	}
	if err := call.Parse(); err != nil {
		return err
	}
	if c.dir == "" {
		return command.WrongUse("-dir is missing: name the directory of the log")
	}
	if verb == "export" && (len(c.entries) == 0 || c.to == "" || c.by == "" || c.out == "") {
		return command.WrongUse("an export needs -entry, -to, -by and -out")
	}
	for path, name := range map[*string]string{&c.tree: "tree", &c.state: "state", &c.vault: "vault", &c.identity: "keys/vault.key"} {
		if *path == "" {
			*path = filepath.Join(c.dir, filepath.FromSlash(name))
		}
	}
	return nil
}

func (c *vaultCommand) addEntries(s string) error {
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.ParseUint(part, 10, 63)
		if err != nil {
			return fmt.Errorf("%q is not an index of an entry", part)
		}
		c.entries = append(c.entries, n)
	}
	return nil
}

func (c *vaultCommand) config() vault.Config {
	cfg := vault.Config{Dir: c.vault, Identity: c.identity}
	if c.shared != nil {
		cfg.Storage = c.shared.Storage
	}
	return cfg
}

func (c *vaultCommand) init(context.Context) error {
	if err := vault.Create(c.config(), *c.recovery...); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "Made an empty vault in %s. Its key is %s: keep a copy of it offline. The key decrypts all openings, and nothing can be disclosed without it.\n", c.vault, c.identity)
	return nil
}

// ls lists the records with their entries in the log.
func (c *vaultCommand) ls(ctx context.Context) error {
	v, err := vault.OpenReadOnly(c.config())
	if err != nil {
		return err
	}
	events := v.All()
	at, err := c.indices(ctx, events)
	if err != nil {
		return err
	}
	for _, h := range events {
		fmt.Fprintf(c.stdout, "%s %s\n", h, place(at, h))
	}
	s := v.Stats()
	fmt.Fprintf(c.stdout, "%d records of %d bytes, in %d files of %d bytes\n", s.Records, s.RecordBytes, s.Files, s.FileBytes)
	return c.damage(ctx, v.Damage())
}

func place(at map[event.Digest]uint64, h event.Digest) string {
	if i, ok := at[h]; ok {
		return fmt.Sprintf("entry %d", i)
	}
	return "(not in the published log)"
}

func (c *vaultCommand) check(ctx context.Context) error {
	v, err := vault.OpenReadOnly(c.config())
	if err != nil {
		return err
	}
	damage, err := v.Check(ctx)
	if err != nil {
		return err
	}
	if _, err := v.Audit(); err != nil {
		return err
	}
	if err := c.damage(ctx, damage); err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "%d records, all readable\n", v.Len())
	return nil
}

// damage lists the events that can no longer be disclosed, and returns an error if
// there is damage.
func (c *vaultCommand) damage(ctx context.Context, damage []*vault.DamagedError) error {
	var errs []error
	var lost []event.Digest
	for _, d := range damage {
		errs = append(errs, d)
		lost = append(lost, d.Events...)
	}
	if len(errs) == 0 {
		return nil
	}
	at, err := c.indices(ctx, lost)
	if err != nil {
		errs = append(errs, err)
	}
	for _, h := range lost {
		fmt.Fprintf(c.stdout, "lost: %s %s\n", h, place(at, h))
	}
	return errors.Join(errs...)
}

func (c *vaultCommand) export(ctx context.Context) error {
	write, note := durable.CreateFile, c.stdout
	if c.out == "-" {
		note = c.stderr
		write = func(_ string, b []byte, _ fs.FileMode) error { _, err := command.Raw(c.stdout).Write(b); return err }
	} else if _, err := os.Lstat(c.out); err == nil {
		return durable.Like(fs.ErrExist, "%s exists; not overwritten", c.out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	req := vault.ExportRequest{To: c.to, By: c.by, Time: time.Now()}
	size, err := c.size(ctx)
	if err != nil {
		return err
	}
	for _, i := range c.entries {
		env, err := c.entry(ctx, i, size)
		if err != nil {
			return err
		}
		req.Entries = append(req.Entries, vault.ExportEntry{Index: i, Event: env.Hash()})
	}
	v, err := vault.OpenReadOnly(c.config())
	if err != nil {
		return err
	}
	var out bytes.Buffer
	a, err := v.Export(ctx, req, &out)
	if err != nil {
		return err
	}
	if err := write(c.out, out.Bytes(), 0o600); err != nil {
		return fmt.Errorf("the audit file names this export, but writing it failed: %w", err)
	}
	fmt.Fprintf(note, "Wrote %s: the openings of %d entries, %d bytes, SHA-256 %x.\n", c.out, len(a.Entries), a.Size, a.SHA256)
	return nil
}

func (c *vaultCommand) audit(context.Context) error {
	v, err := vault.OpenReadOnly(c.config())
	if err != nil {
		return err
	}
	lines, err := v.Audit()
	for _, a := range lines {
		b, berr := a.Bytes()
		if berr != nil {
			return berr
		}
		c.stdout.Write(b)
	}
	return err
}

// size returns the size of the published log.
func (c *vaultCommand) size(ctx context.Context) (uint64, error) {
	name := filepath.Join(c.state, "checkpoint")
	read := client.Dir(c.state).ReadCheckpoint
	if c.shared != nil {
		name, read = "the published checkpoint", c.shared.Published
	}
	b, err := read(ctx)
	if err == nil && b == nil {
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("the log has published no checkpoint yet (%w)", err)
	} else if err != nil {
		return 0, err
	}
	cp, err := tlog.ParseCheckpoint(b)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return cp.Size, nil
}

func (c *vaultCommand) entry(ctx context.Context, i, size uint64) (*event.Envelope, error) {
	if i >= size {
		return nil, fmt.Errorf("there is no entry %d: the published log has %d", i, size)
	}
	entries, err := tiles.ReadBundle(ctx, client.Dir(c.tree), i/tlog.TileWidth, size)
	if err != nil {
		return nil, err
	}
	env, err := event.ParseEnvelope(entries[i%tlog.TileWidth])
	if err != nil {
		return nil, fmt.Errorf("entry %d: %w", i, err)
	}
	return env, nil
}

// indices returns the entries of events. It reads the log until it has all of them.
func (c *vaultCommand) indices(ctx context.Context, events []event.Digest) (map[event.Digest]uint64, error) {
	wanted := make(map[event.Digest]bool, len(events))
	for _, h := range events {
		wanted[h] = true
	}
	out := make(map[event.Digest]uint64, len(events))
	if len(wanted) == 0 {
		return out, nil
	}
	size, err := c.size(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	} else if err != nil {
		return nil, err
	}
	for n := uint64(0); n*tlog.TileWidth < size && len(wanted) > 0; n++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		entries, err := tiles.ReadBundle(ctx, client.Dir(c.tree), n, size)
		if err != nil {
			return nil, err
		}
		for i, b := range entries {
			env, err := event.ParseEnvelope(b)
			if err != nil {
				return nil, fmt.Errorf("entry %d: %w", n*tlog.TileWidth+uint64(i), err)
			}
			if h := event.Digest(env.Hash()); wanted[h] {
				out[h] = n*tlog.TileWidth + uint64(i)
				delete(wanted, h)
			}
		}
	}
	return out, nil
}
