// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witnesscmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

// algorithms are those of keygen, with the names of the key files.
var algorithms = []struct {
	short     string
	algorithm tlog.Algorithm
}{{"ed25519", tlog.CosignatureEd25519}, {"mldsa44", tlog.CosignatureMLDSA44}}

func keygen(_ context.Context, c *call) error {
	name := c.flags.String("name", "", "`name` of the witness: a URL without scheme, like witness.example/w1")
	out := c.flags.String("out", "", "`directory` for the keys; it is created if it is missing")
	url := c.flags.String("url", "", "submission `prefix` for the policy lines, like https://witness.example/w1")
	if err := c.parse("name", "out"); err != nil {
		return err
	}
	var signers []*tlog.Signer
	for _, a := range algorithms {
		s, err := tlog.GenerateSigner(*name, a.algorithm)
		if err != nil {
			return err
		}
		signers = append(signers, s)
	}
	lines := policyLines(signers, *url)
	if _, err := tlog.ParsePolicy([]byte(lines + "quorum " + *name + "\n")); err != nil {
		return fmt.Errorf("a policy can't have this name or URL: %w", err)
	}
	if err := durable.MkdirAll(*out, 0o700); err != nil {
		return err
	}
	for i, a := range algorithms {
		file := filepath.Join(*out, a.short+".key")
		err := durable.CreateFile(file, []byte(signers[i].Secret()+"\n"), 0o600)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists; keys are never overwritten, so choose another directory: %w", file, err)
		}
		if err != nil {
			return err
		}
	}
	return printKeys(c.stdout, signers, *url)
}

func vkey(_ context.Context, c *call) error {
	keys := command.List(c.flags, "key", "`file` of a key; may be repeated")
	url := c.flags.String("url", "", "submission `prefix` for the policy lines")
	if err := c.parse("key"); err != nil {
		return err
	}
	signers, err := readSigners(*keys)
	if err != nil {
		return err
	}
	return printKeys(c.stdout, signers, *url)
}

func printKeys(w io.Writer, signers []*tlog.Signer, url string) error {
	var b strings.Builder
	b.WriteString("# verifier keys\n")
	for _, s := range signers {
		fmt.Fprintf(&b, "# %s\n", s.Verifier())
	}
	b.WriteString("# lines for a policy\n")
	b.WriteString(policyLines(signers, url))
	_, err := io.WriteString(w, b.String())
	return err
}

// policyLines puts the keys of one operator into one group, which counts once.
func policyLines(signers []*tlog.Signer, url string) string {
	var b strings.Builder
	name := signers[0].Verifier().Name
	group := "group " + name + " any"
	for _, s := range signers {
		k := s.Verifier()
		short := fmt.Sprintf("%s-%08x", name, k.ID)
		for _, a := range algorithms {
			if a.algorithm == k.Algorithm && len(signers) <= len(algorithms) {
				short = name + "-" + a.short
			}
		}
		b.WriteString(strings.TrimSuffix(fmt.Sprintf("witness %s %s %s", short, k, url), " ") + "\n")
		group += " " + short
	}
	return b.String() + group + "\n"
}

// readSigners reads key files: one key each, and a line feed.
func readSigners(files []string) ([]*tlog.Signer, error) {
	var signers []*tlog.Signer
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if info.Mode().Perm()&0o007 != 0 {
			return nil, fmt.Errorf("%s: every user of this machine may read this key; change its mode to 0600", name)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s, err := tlog.ParseSigner(strings.TrimSuffix(string(b), "\n"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		signers = append(signers, s)
	}
	return signers, nil
}
