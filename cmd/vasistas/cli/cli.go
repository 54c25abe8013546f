// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli is the command vasistas, as a function that tests call in process. Most commands
// are in the file of their name. keygen is in sign.go, append and prove in log.go, scan and due
// in audit.go, and mirror in follow.go.
//
// Exit codes: 0 success, 1 failure, 2 wrong usage. verify, audit, due, scan, mirror and open
// status differ: 0 proven, clean, nothing overdue, nothing found, copied, or enough gates; 1
// disproven, rules broken, something overdue, a notice found, a fork, or too few gates; 2
// undecided. If output can't be written, the code is that of a failure, or undecided.
//
// The command keeps no state but the files that its flags name. It trusts its operator's
// files, and of all other input only what the operator's policy accepts (C2SP tlog-policy).
// It writes private keys and openings with mode 0600, never overwrites them, and needs no
// secret as an argument.
package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/log/vault/vaultcmd"
)

const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2

	exitUndecided = 2 // of verify, audit, due, scan, mirror and open status
)

type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer // of text: see command.Clean
}

type exitError struct {
	code int
	err  error // nil: it was printed
	use  bool  // err is about wrong usage, and help may end it
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...), true}
}

// Run runs the command with args, which do not include its name, and returns the exit code.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{stdin, command.Clean(stdout), command.Clean(stderr)}
	stdout, stderr = e.stdout, e.stderr
	root := newRoot(e)
	root.SetArgs(longFlags(root, args))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	exit, ok := errors.AsType[*exitError](err)
	switch failed := command.Failed(stdout); {
	case failed != nil && !ok:
		exit = &exitError{code: failure(cmd), err: failed}
	case err == nil:
		return exitOK
	case !ok:
		exit = &exitError{exitUsage, plainly(err), true} // of cobra's parsing
	}
	if exit.err != nil {
		io.WriteString(stderr, command.Message("vasistas: %v", exit.err)+command.Advice(exit.err))
		if exit.use {
			fmt.Fprintf(stderr, "See '%s --help'.\n", cmd.CommandPath())
		}
	}
	return exit.code
}

var badCount = regexp.MustCompile(`^(?:accepts|requires)( at least| at most)? (\d+) arg\(s\), (?:only )?received (\d+)$`)

// plainly says in our words which flags or arguments are missing.
func plainly(err error) error {
	if m := badCount.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("arguments besides flags: give%s %s, not %s", m[1], m[2], m[3])
	}
	if names, ok := strings.CutPrefix(err.Error(), "required flag(s) "); ok {
		names = strings.NewReplacer(`"`, "", ", ", " and --").Replace(strings.TrimSuffix(names, " not set"))
		return errors.New("give --" + names)
	}
	if names, ok := strings.CutPrefix(err.Error(), "at least one of the flags in the group ["); ok {
		names, _, _ = strings.Cut(names, "]")
		return errors.New("give --" + strings.ReplaceAll(names, " ", " or --"))
	}
	return err
}

// failure returns the exit code of a command that could not do its work. Those that judge
// have said nothing then.
func failure(c *cobra.Command) int {
	switch c.Name() {
	case "verify", "audit", "scan", "mirror", "due", "status":
		return exitUndecided
	}
	return exitFailed
}

func newRoot(e *env) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "vasistas",
		Short: "A transparency log for warrants and escrow access",
		Long: `vasistas makes keys, signs events, submits them to a log, and proves and verifies
the entries of a log.

It verifies everything on this machine, under the policy file that you give (C2SP
tlog-policy). It trusts neither the log nor the network.`,
		Version:       versionText(),
		SilenceErrors: true,
		SilenceUsage:  true,
	},
		e.keygen(), e.sign(), e.show(), e.append(), e.prove(), e.verify(),
		e.follow(), e.audit(), e.due(), e.mirror(), e.policy(), e.charter(), e.vault(), e.escrow(), e.open(), e.scan(), e.finding(), e.version())
	root.SetVersionTemplate("vasistas {{.Version}}\n")
	complete(root)
	return root
}

// group makes c a command that shows its help and has the commands sub.
func group(c *cobra.Command, sub ...*cobra.Command) *cobra.Command {
	c.Args = cobra.NoArgs
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(sub...)
	return c
}

// do adapts a command's function to cobra. An error without an exit code gets the code of a failure.
func do(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		err := f(c.Context(), args)
		if _, ok := errors.AsType[*exitError](err); err == nil || ok {
			return err
		}
		return &exitError{code: failure(c), err: err}
	}
}

func (e *env) printJSON(object any) error { return command.PrintJSON(e.stdout, object) }

func (e *env) printf(format string, args ...any) {
	fmt.Fprintf(e.stdout, format, args...)
}

func (e *env) note(format string, args ...any) {
	io.WriteString(e.stderr, command.Message(format, args...))
}

// input opens a file; - is the standard input.
func (e *env) input(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(e.stdin), nil
	}
	return os.Open(name)
}

// create writes a new file; - is the standard output. It replaces no file.
func (e *env) create(name string, data []byte, perm fs.FileMode) error {
	if name != "-" {
		return durable.CreateFile(name, data, perm)
	}
	_, err := command.Raw(e.stdout).Write(data)
	return err
}

// putProof writes a proof file. It replaces an earlier proof, and no other file.
func (e *env) putProof(name string, p *tlog.Proof) error {
	if name == "-" {
		return e.create(name, p.Bytes(), 0)
	}
	return durable.ReplaceFile(name, p.Bytes(), 0o644, func(old []byte) bool { return bytes.HasPrefix(old, []byte(proofMagic)) })
}

func (e *env) read(name string, limit int) ([]byte, error) {
	in, err := e.input(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("reading %s: it has more than %d bytes", name, limit)
	}
	return b, nil
}

// readAs reads and parses an input. Its errors name the file.
func readAs[T any](e *env, name string, limit int, parse func([]byte) (T, error)) (v T, err error) {
	b, err := e.read(name, limit)
	if err != nil {
		return v, err
	}
	if v, err = parse(b); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return v, err
}

// line makes a parser ignore a line feed at the end, which editors add.
func line[T any](parse func([]byte) (T, error)) func([]byte) (T, error) {
	return func(b []byte) (T, error) { return parse(bytes.TrimSuffix(b, []byte("\n"))) }
}

const proofMagic = "c2sp.org/tlog-proof"

// unwrap returns entry and index of a proof file, or any other file without a line feed at
// its end.
func unwrap(b []byte) (entry []byte, index *uint64, err error) {
	if !bytes.HasPrefix(b, []byte(proofMagic)) {
		return bytes.TrimSuffix(b, []byte("\n")), nil, nil
	}
	proof, err := tlog.ParseProof(b)
	if err == nil && len(proof.Extra) == 0 {
		err = errors.New("the proof does not carry its entry")
	}
	if err != nil {
		return nil, nil, err
	}
	return proof.Extra, &proof.Index, nil
}

type logFlags struct {
	log, policy, origin string
}

func (f *logFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.log, "log", "", "URL of the log, or a directory with its tiles (default: the URL in the policy)")
	f.addPolicy(c)
}

func (f *logFlags) addPolicy(c *cobra.Command) {
	c.Flags().StringVar(&f.policy, "policy", "", "policy file with the log and the witnesses that you trust")
	c.Flags().StringVar(&f.origin, "origin", "", "origin of the log (default: the name of its key in the policy)")
	c.MarkFlagFilename("policy")
}

// durationVar adds a flag for a duration, as the daemons have it: 10d works.
func durationVar(c *cobra.Command, p *time.Duration, name string, value time.Duration, usage string) {
	*p = value
	c.Flags().Var((*command.Duration)(p), name, usage)
}

func (e *env) readPolicy(name string) (*tlog.Policy, error) {
	return readAs(e, name, tlog.MaxPolicySize, tlog.ParsePolicy)
}

// connect returns a client for commands that state no time. It has no policy if none was given
// and none is needed.
func (e *env) connect(f *logFlags, needPolicy bool) (*client.Client, error) {
	config, err := e.clientConfig(f, needPolicy, "give --log URL: the policy has no URL of the log, or several")
	if err != nil {
		return nil, err
	}
	if config.Policy != nil {
		config.Policy = config.Policy.WithSpread(tlog.NoSpread) // only the log's charter says which counts
	}
	return client.New(config)
}

// clientConfig returns the configuration for connect. Without a URL it returns the error
// noURL.
func (e *env) clientConfig(f *logFlags, needPolicy bool, noURL string) (client.Config, error) {
	config := client.Config{URL: f.log, Origin: f.origin, UserAgent: "vasistas/" + command.Version()}
	if f.policy == "" && needPolicy {
		return config, usagef("give --policy FILE: the log can't be verified without a policy")
	}
	if f.policy != "" {
		var err error
		if config.Policy, err = e.readPolicy(f.policy); err != nil {
			return config, err
		}
		if config.URL == "" {
			config.URL = policyURL(config.Policy, f.origin)
		}
	}
	if config.URL == "" {
		return config, usagef("%s", noURL)
	}
	return config, nil
}

func policyURL(p *tlog.Policy, origin string) string {
	url := ""
	for _, l := range p.Logs {
		if l.URL == "" || origin != "" && l.Key.Name != origin {
			continue
		}
		if url != "" && url != l.URL {
			return ""
		}
		url = l.URL
	}
	return url
}

// progress draws a bar, on a terminal only.
type progress struct {
	w    io.Writer // nil: no terminal
	what string
	last time.Time
	drew bool
}

func (e *env) progress(what string) *progress {
	p := &progress{what: what}
	if f := command.File(e.stderr); f != nil && term.IsTerminal(int(f.Fd())) {
		p.w = f
	}
	return p
}

const barWidth = 30

// set draws done of total; a total of 0 is unknown.
func (p *progress) set(done, total uint64) {
	if p.w == nil || time.Since(p.last) < 100*time.Millisecond && done != total {
		return
	}
	p.last, p.drew = time.Now(), true
	if total == 0 {
		fmt.Fprintf(p.w, "\r\x1b[K%d %s", done, p.what)
		return
	}
	full := int(float64(done) / float64(total) * barWidth)
	fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %d of %d %s",
		strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), done, total, p.what)
}

func (p *progress) clear() {
	if p.drew {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.drew = false
	}
}

func (e *env) vault() *cobra.Command {
	return &cobra.Command{
		Use:     "vault (init|ls|check|export|audit) --dir DIR ...",
		Short:   "Show and export the vault of a log on this machine",
		Long:    vaultcmd.Usage,
		Example: "  vasistas vault export --dir /srv/log --entry 17 --to age1... --by clerk-7 --out 17.age",
		// The flags are those of vasistas-log vault, which parses them itself.
		DisableFlagParsing: true,
		RunE: do(func(ctx context.Context, args []string) error {
			err := vaultcmd.Run(ctx, args, e.stdout, e.stderr, nil)
			switch {
			case errors.Is(err, flag.ErrHelp):
				return nil
			case command.IsWrongUse(err):
				return &exitError{exitUsage, err, true}
			}
			return err
		}),
	}
}

func (e *env) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  vasistas version",
		Args:    cobra.NoArgs,
		RunE: do(func(context.Context, []string) error {
			e.printf("vasistas %s\n", versionText())
			return nil
		}),
	}
}

func versionText() string {
	return fmt.Sprintf("%s %s %s/%s", command.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
