// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
)

// longFlags returns args with a second dash on each -flag that is a long flag of the command:
// the daemons take both spellings, so vasistas does. A shorthand such as -i or -oFILE, the
// value of a flag, and all after "--" stay as they are.
func longFlags(root *cobra.Command, args []string) []string {
	args = slices.Clone(args)
	cmd, _, err := root.Find(args)
	if err != nil || cmd.DisableFlagParsing {
		return args
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		if len(args[i]) < 2 || args[i][0] != '-' {
			continue
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		f := cmd.Flags().Lookup(name)
		switch {
		case f != nil && len(name) > 1:
			args[i] = "--" + strings.TrimLeft(args[i], "-")
		case len(name) == 1:
			f = cmd.Flags().ShorthandLookup(name)
		}
		if f != nil && !hasValue && f.NoOptDefVal == "" {
			i++ // the value
		}
	}
	return args
}

// values are what flags of these names may have, for completion by a shell.
var values = map[string]func(*cobra.Command) []string{
	"alg":       fixed("ed25519", "cosignature", "mldsa"),
	"kem":       fixed(string(event.KEMMLKEMX25519), string(event.KEMX25519)),
	"party":     fixed(roles()...),
	"profile":   func(*cobra.Command) []string { return profile.Names() },
	"public":    sealedNames(event.ClassPublic),
	"subject":   sealedNames(event.ClassSubject),
	"threshold": fixed("amend=", "recover="),
	"type": func(c *cobra.Command) (out []string) {
		if c.Name() == "keygen" {
			return []string{"ed25519", "p256"}
		}
		for _, t := range event.Types() {
			out = append(out, string(t))
		}
		return out
	},
	"wait": fixed("cosigned", "sequenced"),
}

func fixed(list ...string) func(*cobra.Command) []string {
	return func(*cobra.Command) []string { return list }
}

// roles begin the value of --party.
func roles() (out []string) {
	for _, r := range []event.Role{event.RoleAuditor, event.RoleAuthority, event.RoleCharter, event.RoleCustodian, event.RoleDuty, event.RoleProvider} {
		out = append(out, string(r)+":")
	}
	return out
}

// sealedNames begin the value of --public or --subject: the names that the type of --type
// seals and, once a name stands there, the codes of the charter or profile.
func sealedNames(class event.Class) func(*cobra.Command) []string {
	return func(c *cobra.Command) (out []string) {
		for _, n := range event.Names(event.Type(c.Flag("type").Value.String())) {
			if n.Class == class {
				out = append(out, n.Name+"=")
			}
		}
		return out
	}
}

// complete adds values to the flags of all commands.
func complete(c *cobra.Command) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if of := values[f.Name]; of != nil {
			// It fails for an unknown flag only.
			_ = c.RegisterFlagCompletionFunc(f.Name, func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
				return of(c), cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
			})
		}
	})
	for _, sub := range c.Commands() {
		complete(sub)
	}
}
