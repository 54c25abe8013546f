// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package plugincmd is the command age-plugin-vasistas (C2SP age-plugin), and its
// recipient and identity strings.
//
// A recipient string is an [escrow.Address]: the command escrows a file to its custodian
// group, with the keys of the charter in the directory of package charters. An identity
// string is the path of an agency's case file: the command asks the case's gates for their
// shares, and opens the file. age shows errors, and the outcome of each gate as a message.
// The command trusts its directory of charters and the case file.
package plugincmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/agency"
	"github.com/vasistas/vasistas/client/escrow/charters"
	"github.com/vasistas/vasistas/internal/command"
)

const name = "vasistas"

// maxLine is the longest line that age reads from a recipients file.
const maxLine = 8192

// Recipient returns the string for an address.
func Recipient(a *escrow.Address) (string, error) {
	b, err := a.Bytes()
	if err != nil {
		return "", err
	}
	s := plugin.EncodeRecipient(name, b)
	if s == "" || len(s) > maxLine {
		return "", fmt.Errorf("a recipient of %d characters; age reads at most %d", len(s), maxLine)
	}
	return s, nil
}

// ParseRecipient parses exactly what Recipient returns, and takes the group's keys from a
// directory of charters.
func ParseRecipient(s, dir string) (*escrow.Recipient, error) {
	n, b, err := plugin.ParseRecipient(s)
	if err != nil {
		return nil, err
	}
	if n != name {
		return nil, fmt.Errorf("a recipient of the plug-in %q, and not of %q", n, name)
	}
	return recipient(b, dir)
}

func recipient(b []byte, dir string) (*escrow.Recipient, error) {
	a, err := escrow.ParseAddress(b)
	if err != nil {
		return nil, err
	}
	g, err := charters.Group(dir, a.Origin, a.Group)
	if err != nil {
		return nil, err
	}
	return a.Recipient(g)
}

// identityVersion begins the content of an identity string; the path follows.
const identityVersion = "case1:"

// Identity returns the string for a case file. It has the file's path, and no secret.
func Identity(file string) (string, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	if s := plugin.EncodeIdentity(name, []byte(identityVersion+path)); s != "" {
		return s, nil
	}
	return "", fmt.Errorf("%s: this path does not fit into an identity", path)
}

func identity(ctx context.Context, b []byte, p *plugin.Plugin) (age.Identity, error) {
	path, ok := strings.CutPrefix(string(b), identityVersion)
	if !ok || !filepath.IsAbs(path) {
		return nil, errors.New("the identity has no path of a case file")
	}
	c, err := LoadCase(path)
	if err != nil {
		return nil, err
	}
	return c.Identity(ctx, agency.Options{UserAgent: "age-plugin-vasistas", Progress: func(r agency.Result) {
		if r.Err != nil {
			// The error has the outcome as well, so a failure to show it is harmless.
			_ = p.DisplayMessage(r.String())
		}
	}}), nil
}

// LoadCase reads a case file. It refuses one that other users may read.
func LoadCase(path string) (*agency.Case, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has a private key, and other users may read it: change its mode from %#o to 0600", path, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, agency.MaxCaseSize+1))
	if err != nil {
		return nil, err
	}
	c, err := agency.ParseCase(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// Run runs the command and returns its exit code: 2 for a misuse.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("age-plugin-vasistas", flag.ContinueOnError)
	fs.SetOutput(stderr)
	machine := fs.String("age-plugin", "", "the state machine that age asks for")
	fs.Usage = func() {
		fmt.Fprint(stderr, "age runs this program for recipients age1vasistas1..., which 'vasistas escrow\nrecipient' makes, and for identities AGE-PLUGIN-VASISTAS-1..., which 'vasistas open\nrequest' makes. It reads charters from the directory $"+charters.Env+", by default\nvasistas/charters in your configuration directory.\n")
	}
	version := fs.Bool("version", false, "print the version")
	err := fs.Parse(args)
	if err == nil && *version {
		if _, err = fmt.Fprintln(stdout, "age-plugin-vasistas", command.Version()); err != nil {
			fmt.Fprintf(stderr, "age-plugin-vasistas: %v\n", err)
			return 1
		}
		return 0
	}
	if err != nil || fs.NArg() > 0 || *machine == "" {
		if err == nil {
			fs.Usage()
		}
		return 2
	}
	p, err := plugin.New(name)
	if err != nil {
		fmt.Fprintf(stderr, "age-plugin-vasistas: %v\n", err)
		return 1
	}
	p.SetIO(stdin, stdout, stderr)
	p.HandleRecipient(func(b []byte) (age.Recipient, error) {
		dir, err := charters.Dir()
		if err != nil {
			return nil, err
		}
		return recipient(b, dir)
	})
	p.HandleIdentity(func(b []byte) (age.Identity, error) { return identity(ctx, b, p) })
	switch *machine {
	case "recipient-v1":
		return p.RecipientV1()
	case "identity-v1":
		return p.IdentityV1()
	}
	fmt.Fprintf(stderr, "age-plugin-vasistas: unknown state machine %q\n", *machine)
	return 2
}
