// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client/escrow"
	"github.com/vasistas/vasistas/client/escrow/charters"
	"github.com/vasistas/vasistas/client/escrow/plugincmd"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
)

type escrowFlags struct {
	recipients []string
	charters   string
	identities []string
	out        string
}

func (f *escrowFlags) add(c *cobra.Command) {
	c.Flags().StringArrayVarP(&f.recipients, "recipient", "r", nil, "recipient: age1vasistas1... and, if wanted, others of age (repeatable)")
	c.Flags().StringVar(&f.charters, "charters", "", "directory of charters, which name the custodians' keys (default: $"+charters.Env+")")
	c.Flags().StringVarP(&f.out, "out", "o", "", "file to write (default: standard output)")
	c.MarkFlagRequired("recipient")
}

func (e *env) escrow() *cobra.Command {
	var f escrowFlags
	c := &cobra.Command{
		Use:   "escrow -r RECIPIENT [-o FILE] [FILE]",
		Short: "Encrypt a file, and escrow its key to custodians",
		Long: `escrow writes an age file whose key a custodian group of a log can release: each
custodian's gate a share, each only for an access in the public, witnessed log, and
not without a notice to the person concerned. A file may be of any size.

A RECIPIENT is made by 'vasistas escrow recipient'. The custodians' keys are those of
the log's charter, which lies in the directory of charters with a name ending in
.charter: whoever can write there decides to whose keys you encrypt.

The same recipients work with age itself, and age-plugin-vasistas.

What a second recipient of the same file opens, no log sees.`,
		Example: `  vasistas escrow -r age1vasistas1... -o letter.age letter.txt
  age -r age1vasistas1... -o letter.age letter.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: do(func(_ context.Context, args []string) error { return e.runEscrow(&f, args) }),
	}
	f.add(c)
	c.AddCommand(e.escrowSeed(), e.escrowKey(), e.escrowRecipient(), e.escrowShow(), e.escrowRewrap())
	return c
}

// stream writes to out what f makes of the input file or of standard input. The file
// appears only once it is complete; nothing is overwritten, and a failure leaves
// nothing behind.
func (e *env) stream(args []string, out string, f func(w io.Writer, in io.Reader) error) error {
	in, err := e.input(append(args, "-")[0])
	if err != nil {
		return err
	}
	defer in.Close()
	if out == "" || out == "-" {
		return f(e.stdout, in)
	}
	return durable.CreateStream(out, 0o600, func(w io.Writer) error { return f(w, in) })
}

// runEscrow encrypts a file: one in clear, or, with identities, the content of an age
// file.
func (e *env) runEscrow(f *escrowFlags, args []string) error {
	to, err := f.parse()
	if err != nil {
		return err
	}
	var ids []age.Identity
	for _, name := range f.identities {
		b, err := os.Open(name)
		if err != nil {
			return err
		}
		list, err := age.ParseIdentities(b)
		b.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		ids = append(ids, list...)
	}
	return e.stream(args, f.out, func(out io.Writer, in io.Reader) (err error) {
		if len(ids) > 0 {
			if in, err = age.Decrypt(in, ids...); err != nil {
				return err
			}
		}
		w, err := age.Encrypt(out, to...)
		if err != nil {
			return err
		}
		if _, err := io.Copy(w, in); err != nil {
			return err
		}
		return w.Close()
	})
}

// parse returns the recipients, among which is a custodian group.
func (f *escrowFlags) parse() ([]age.Recipient, error) {
	dir := f.charters
	var err error
	if dir == "" {
		if dir, err = charters.Dir(); err != nil {
			return nil, err
		}
	}
	var out []age.Recipient
	escrowed := false
	for _, s := range f.recipients {
		if strings.HasPrefix(s, "age1vasistas1") {
			r, err := plugincmd.ParseRecipient(s, dir)
			if err != nil {
				return nil, err
			}
			out, escrowed = append(out, r), true
			continue
		}
		list, err := age.ParseRecipients(strings.NewReader(s))
		if err != nil {
			return nil, fmt.Errorf("recipient %q: %w", s, err)
		}
		out = append(out, list...)
	}
	if !escrowed {
		return nil, usagef("no recipient is a custodian group (age1vasistas1...): nothing would be escrowed")
	}
	return out, nil
}

func (e *env) escrowRewrap() *cobra.Command {
	var f escrowFlags
	c := &cobra.Command{
		Use:   "rewrap -i IDENTITY -r RECIPIENT -o FILE FILE",
		Short: "Encrypt a file anew, to custodians that have changed",
		Long: `rewrap opens an age file with an identity of yours, and encrypts its content with a
new key to the recipients given: all of them, since age does not say who they were.

Use it when a group's custodians have changed. The old custodians can't open the new
file; the old file they can, so delete it.`,
		Example: `  vasistas escrow rewrap -i key.txt -r age1vasistas1... -r age1pq1... -o new.age old.age`,
		Args:    cobra.ExactArgs(1),
		RunE:    do(func(_ context.Context, args []string) error { return e.runEscrow(&f, args) }),
	}
	f.add(c)
	c.Flags().StringArrayVarP(&f.identities, "identity", "i", nil, "file with age identities that open the file (repeatable)")
	c.MarkFlagRequired("identity")
	return c
}

func (e *env) escrowSeed() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "seed --out FILE",
		Short: "Make the seed of your notice keys",
		Long: `seed makes what all your notice keys come of, one for each log and month. Keep it:
with it 'vasistas scan' finds what was opened about you. Whoever else has it can
read that too.`,
		Example: `  vasistas escrow seed --out me.key`,
		Args:    cobra.NoArgs,
		RunE: do(func(context.Context, []string) error {
			return durable.CreateFile(out, escrow.NewSeed(time.Now()).Bytes(), 0o600)
		}),
	}
	c.Flags().StringVar(&out, "out", "", "file of the seed (mode 0600)")
	c.MarkFlagRequired("out")
	return c
}

type noticeKeyFlags struct{ seed, origin, period, kem string }

func (f *noticeKeyFlags) add(c *cobra.Command, kems string) {
	fl := c.Flags()
	fl.StringVar(&f.seed, "seed", "", "file of your seed")
	fl.StringVar(&f.origin, "origin", "", "origin of the log")
	fl.StringVar(&f.period, "period", "", "month of the notice key, as 2026-01 (default: this month)")
	fl.StringVar(&f.kem, "kem", string(event.KEMMLKEMX25519), kems+"mlkem768-x25519 (post-quantum) or x25519")
	c.MarkFlagRequired("seed")
	c.MarkFlagRequired("origin")
}

func (e *env) escrowKey() *cobra.Command {
	var f noticeKeyFlags
	c := &cobra.Command{
		Use:   "key --seed FILE --origin LOG",
		Short: "Print your notice key of a month",
		Long: `key prints the public key to which notices about you are encrypted, for one log and
one month, in canonical JSON: for a program that makes escrow packages by itself.
It is derived from your seed, and says nothing about any other key of it.`,
		Example: `  vasistas escrow key --seed me.key --origin example.com/log --period 2026-11`,
		Args:    cobra.NoArgs,
		RunE: do(func(context.Context, []string) error {
			k, err := e.noticeKey(&f)
			if err != nil {
				return err
			}
			b, err := k.Public().Bytes()
			if err != nil {
				return err
			}
			e.printf("%s\n", b)
			return nil
		}),
	}
	f.add(c, "")
	return c
}

type recipientFlags struct {
	noticeKeyFlags
	group, account string
}

func (e *env) escrowRecipient() *cobra.Command {
	var f recipientFlags
	c := &cobra.Command{
		Use:   "recipient --seed FILE --origin LOG --group GROUP --account ACCOUNT",
		Short: "Make the recipient string of this month",
		Long: `recipient prints the string to encrypt to: it names the log, the custodian group,
your account in the form that the service uses, and your notice key of the month.
Make a new one each month, since two files under one notice key can be told to be
one person's by the gates that open them.`,
		Example: `  vasistas escrow recipient --seed me.key --origin example.com/log --group main --account ada@example.org`,
		Args:    cobra.NoArgs,
		RunE:    do(func(context.Context, []string) error { return e.runRecipient(&f) }),
	}
	f.add(c, "of all keys: ")
	fl := c.Flags()
	fl.StringVar(&f.group, "group", "", "id of the custodian group in the log's charter")
	fl.StringVar(&f.account, "account", "", "your account, in the one form that the service uses")
	c.MarkFlagRequired("group")
	c.MarkFlagRequired("account")
	return c
}

// noticeKey returns the key of a seed's file for a log and a month, this one if it is
// not given.
func (e *env) noticeKey(f *noticeKeyFlags) (*escrow.SecretKey, error) {
	seed, err := e.readSeed(f.seed)
	if err != nil {
		return nil, err
	}
	period := escrow.PeriodOf(time.Now())
	if f.period != "" {
		if period, err = escrow.ParsePeriod(f.period); err != nil {
			return nil, usagef("--period: %w", err)
		}
	}
	if period < seed.First {
		return nil, usagef("--period %s: the seed is of %s, and no notice would be looked for before that", period, seed.First)
	}
	return seed.Key(f.origin, period, event.KEM(f.kem))
}

func (e *env) runRecipient(f *recipientFlags) error {
	k, err := e.noticeKey(&f.noticeKeyFlags)
	if err != nil {
		return err
	}
	s, err := plugincmd.Recipient(&escrow.Address{
		Origin: f.origin, Group: f.group, KEM: event.KEM(f.kem), Notice: k.Public(), Account: f.account,
	})
	if err != nil {
		return err
	}
	e.printf("%s\n", s)
	return nil
}

// packageReport is the line that escrow show --json prints for a package.
type packageReport struct {
	File      string   `json:"file"`
	Package   string   `json:"package"`
	Group     string   `json:"group"` // digest
	Threshold int      `json:"threshold"`
	Shares    int      `json:"shares"`
	Account   string   `json:"account"` // digest
	Keys      []string `json:"keys"`    // hashes of the gates' keys
}

func (e *env) escrowShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show FILE...",
		Short: "Show the escrow packages of age files",
		Long: `show reads the headers of age files and prints the digest of each escrow package:
what an access names.`,
		Example: `  vasistas escrow show letter.age`,
		Args:    cobra.MinimumNArgs(1),
		RunE:    do(func(_ context.Context, args []string) error { return e.runEscrowShow(asJSON, args) }),
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one line of JSON for each package")
	return c
}

func (e *env) runEscrowShow(asJSON bool, files []string) error {
	for _, name := range files {
		list, err := e.readPackages(name)
		if err != nil {
			return err
		}
		for _, p := range list {
			r := packageReport{File: name, Package: p.Digest().String(), Group: p.Group().String(),
				Threshold: p.Threshold(), Shares: p.Custodians(), Account: p.Account().String()}
			for i := range p.Custodians() {
				r.Keys = append(r.Keys, p.Key(i+1).String())
			}
			if asJSON {
				if err := e.printJSON(r); err != nil {
					return err
				}
				continue
			}
			e.printf("%s: package %s, %d of %d shares open it\n", name, r.Package, r.Threshold, r.Shares)
		}
	}
	return nil
}

// readPackages reads the packages of a file, of which there must be one at least.
func (e *env) readPackages(name string) ([]*escrow.Package, error) {
	in, err := e.input(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	list, err := escrow.ReadPackages(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: it has no escrow package", name)
	}
	return list, nil
}
