// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
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
	"github.com/vasistas/vasistas/internal/command"
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
	c.Flags().StringArrayVarP(&f.recipients, "recipient", "r", nil, "recipient: age1vasistas1..., and others of age if you want (repeatable)")
	c.Flags().StringVar(&f.charters, "charters", "", "directory of charters, which name the custodians' keys (default: $"+charters.Env+", or vasistas/charters in your configuration directory)")
	c.Flags().StringVarP(&f.out, "out", "o", "", "file to write (default: standard output)")
	c.MarkFlagRequired("recipient")
}

func (e *env) escrow() *cobra.Command {
	var f escrowFlags
	c := &cobra.Command{
		Use:   "escrow -r RECIPIENT [-o FILE] [FILE]",
		Short: "Encrypt a file, and escrow its key to custodians",
		Long: `escrow writes an age file whose key a custodian group of a log can release. Each
custodian's gate has a share, and releases it only for an access in the public,
witnessed log, and with a notice to the person concerned. The file may have any
size.

'vasistas escrow recipient' makes a RECIPIENT. The custodians' keys are those of the
log's charter, in a file of the directory of charters whose name ends in .charter.
Protect that directory: who can write to it decides to whose keys you encrypt.

The same recipients work with age and age-plugin-vasistas.

If you add a second recipient, it can open the file without the log.`,
		Example: `  vasistas escrow -r age1vasistas1... -o letter.age letter.txt
  age -r age1vasistas1... -o letter.age letter.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: do(func(_ context.Context, args []string) error { return e.runEscrow(&f, args) }),
	}
	f.add(c)
	c.AddCommand(e.escrowSeed(), e.escrowKey(), e.escrowRecipient(), e.escrowShow(), e.escrowRewrap())
	return c
}

// stream calls f with the input file or standard input, and writes the result to out. The
// file exists only once it is complete, and replaces no other.
func (e *env) stream(args []string, out string, f func(w io.Writer, in io.Reader) error) error {
	in, err := e.input(append(args, "-")[0])
	if err != nil {
		return err
	}
	defer in.Close()
	if out == "" || out == "-" {
		return f(command.Raw(e.stdout), in)
	}
	var failed error
	err = durable.CreateStream(out, 0o600, func(w io.Writer) error {
		failed = f(w, in)
		return failed
	})
	return cmp.Or(failed, err)
}

// runEscrow encrypts a file or, with identities, the content of an age file.
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
			if in, err = age.Decrypt(escrow.Dearmor(in), ids...); err != nil {
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

// parse returns the recipients, which include a custodian group.
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
		return nil, usagef("no recipient is a custodian group (age1vasistas1...), so nothing would be escrowed")
	}
	return out, nil
}

func (e *env) escrowRewrap() *cobra.Command {
	var f escrowFlags
	c := &cobra.Command{
		Use:   "rewrap -i IDENTITY -r RECIPIENT -o FILE FILE",
		Short: "Encrypt a file again, after a change of custodians",
		Long: `rewrap opens an age file with an identity of yours, and encrypts its content with a
new key. Give all recipients, since an age file does not name the old ones.

Use it when a group's custodians have changed. The old custodians can't open the new
file, but they can still open the old one: delete it.`,
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
		Long: `seed makes the secret from which all your notice keys derive, one for each log and
month. Keep it: 'vasistas scan' needs it to find the notices to you. Keep it secret:
it opens all of them.`,
		Example: `  vasistas escrow seed --out me.key`,
		Args:    cobra.NoArgs,
		RunE: do(func(context.Context, []string) error {
			return e.create(out, escrow.NewSeed(time.Now()).Bytes(), 0o600)
		}),
	}
	c.Flags().StringVar(&out, "out", "", "new file for the seed (mode 0600)")
	c.MarkFlagRequired("out")
	return c
}

type noticeKeyFlags struct{ seed, origin, period, kem string }

func (f *noticeKeyFlags) add(c *cobra.Command, kems string) {
	fl := c.Flags()
	fl.StringVar(&f.seed, "seed", "", "file of your seed")
	fl.StringVar(&f.origin, "origin", "", "origin of the log")
	fl.StringVar(&f.period, "period", "", "month of the notice key, like 2026-01 (default: this month)")
	fl.StringVar(&f.kem, "kem", string(event.KEMMLKEMX25519), kems+"mlkem768-x25519 (post-quantum) or x25519")
	c.MarkFlagRequired("seed")
	c.MarkFlagRequired("origin")
}

func (e *env) escrowKey() *cobra.Command {
	var f noticeKeyFlags
	c := &cobra.Command{
		Use:   "key --seed FILE --origin LOG",
		Short: "Print your notice key of a month",
		Long: `key prints your public notice key for one log and one month, in canonical JSON, for
a program that makes escrow packages. Notices to you are encrypted to this key. It
reveals no other key of your seed.`,
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
		Long: `recipient prints the recipient string for 'vasistas escrow' and age. It names the
log, the custodian group, your account in the form that the service uses, and your
notice key of the month. Make a new one each month: a gate that opens two files with
one notice key knows that they are one person's.`,
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

// noticeKey returns a seed's key for a log and a month, by default the present one.
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
		return nil, usagef("--period %s: the seed starts at %s, and a scan tries no earlier keys; give that month or a later one", period, seed.First)
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
		Long: `show reads the headers of age files and prints the digest of each escrow package, by
which an access names it.`,
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
