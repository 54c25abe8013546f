// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/tlog"
)

type policyOfFlags struct {
	audit    bool
	url, out string
}

func (e *env) policyOf() *cobra.Command {
	var f policyOfFlags
	c := &cobra.Command{
		Use:   "of URL | CHARTER",
		Short: "Write the policy file that a charter implies",
		Long: `of writes the policy (C2SP tlog-policy) of a charter: the log's keys, and the
witnesses that must cosign, each key whole. With --audit it writes the policy of the
auditors. CHARTER is a charter file, an event or a proof file.

From a URL it takes the charter that the log says is in force. Nothing proves that
yet: compare the event hash in the first line with the founders'.`,
		Example: `  vasistas policy of charter.event --url https://log.example --out policy.txt
  vasistas policy of --audit https://log.example > auditors.txt`,
		Args: cobra.ExactArgs(1),
		RunE: do(func(ctx context.Context, args []string) error { return e.runPolicyOf(ctx, &f, args[0]) }),
	}
	c.Flags().BoolVar(&f.audit, "audit", false, "write the audit policy, in place of the witness policy")
	c.Flags().StringVar(&f.url, "url", "", "URL of the log, for the policy's log lines (default: the URL that you ask)")
	c.Flags().StringVar(&f.out, "out", "", "new policy file (default: standard output)")
	return c
}

func (e *env) runPolicyOf(ctx context.Context, f *policyOfFlags, from string) error {
	file, err := e.charterOf(ctx, from)
	if err != nil {
		return err
	}
	if isURL(from) && f.url == "" {
		f.url = from
	}
	ch, which := file.charter, file.charter.WitnessPolicy
	if f.audit {
		which = ch.AuditPolicy
	}
	text := fmt.Sprintf("# The log %s by version %d of its charter, ", file.event.Log, ch.Version)
	if file.envelope != nil {
		text += fmt.Sprintf("event hash %x\n", file.envelope.Hash())
	} else {
		text += "not signed yet\n"
	}
	for line := range strings.Lines(ch.PolicyFile(which)) {
		if words := strings.Fields(line); words[0] == "log" && len(words) == 2 && f.url != "" {
			line = fmt.Sprintf("log %s %s\n", words[1], f.url)
		}
		text += line
	}
	p, err := tlog.ParsePolicy([]byte(text))
	switch {
	case err != nil:
		return fmt.Errorf("the charter's policy with the URL %q: %w", f.url, err)
	case f.audit && !p.NeedsWitnesses():
		e.note("note: the charter asks for no auditors")
	}
	if isURL(from) {
		e.note("note: this is what the log says. Compare the event hash %x with the founders'.", file.envelope.Hash())
	}
	if f.out != "" && f.out != "-" {
		return durable.CreateFile(f.out, []byte(text), 0o644)
	}
	e.printf("%s", text)
	return nil
}

// charterOf returns the charter of a file, or the one that a log says is in force.
func (e *env) charterOf(ctx context.Context, from string) (*charterFile, error) {
	if !isURL(from) {
		return e.readCharter(from)
	}
	c, err := client.New(client.Config{URL: from, UserAgent: "vasistas/" + command.Version()})
	if err != nil {
		return nil, err
	}
	env, err := c.CharterEvent(ctx)
	if err != nil {
		return nil, err
	}
	return &charterFile{name: from, event: env.Event, charter: env.Event.Body.(*event.Charter), payload: env.Payload, envelope: env}, nil
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }
