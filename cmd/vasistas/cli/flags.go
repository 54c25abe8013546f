// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/profile"
)

// longFlags returns args with a second dash on each -flag that is a long flag of the command:
// the daemons take both spellings, so vasistas does. A shorthand such as -i or -oFILE, the
// value of a flag, and all after "--" stay as they are. An unknown flag gets the second dash for
// the sake of its error message.
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
		case len(name) > 1 && (f != nil || cmd.Flags().ShorthandLookup(name[:1]) == nil):
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
var values = map[string]func(c *cobra.Command, word string) []string{
	"alg":       fixed("ed25519", "cosignature", "mldsa"),
	"kem":       fixed(string(event.KEMMLKEMX25519), string(event.KEMX25519)),
	"party":     fixed(roles()...),
	"profile":   fixed(profile.Names()...),
	"public":    sealedNames(event.ClassPublic),
	"set":       bodyMembers,
	"subject":   sealedNames(event.ClassSubject),
	"threshold": fixed("amend=", "recover="),
	"type": func(c *cobra.Command, _ string) (out []string) {
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

func fixed(list ...string) func(*cobra.Command, string) []string {
	return func(*cobra.Command, string) []string { return list }
}

// roles begin the value of --party.
func roles() (out []string) {
	for _, r := range []event.Role{event.RoleAuditor, event.RoleAuthority, event.RoleCharter, event.RoleCustodian, event.RoleDuty, event.RoleProvider} {
		out = append(out, string(r)+":")
	}
	return out
}

// sealedNames begin the value of --public or --subject: the names that the type of --type
// seals. After "grounds=" or "reasons=", they are the codes of --charter or, without it, of all
// shipped profiles.
func sealedNames(class event.Class) func(*cobra.Command, string) []string {
	return func(c *cobra.Command, word string) (out []string) {
		if name, _, ok := strings.Cut(word, "="); ok {
			for _, p := range profiles(c) {
				for _, code := range map[string][]string{"grounds": p.Grounds, "reasons": p.Reasons}[name] {
					out = append(out, name+"="+code)
				}
			}
			slices.Sort(out)
			return slices.Compact(out)
		}
		for _, n := range event.Names(event.Type(c.Flag("type").Value.String())) {
			if n.Class == class {
				out = append(out, n.Name+"=")
			}
		}
		return out
	}
}

// bodyMembers begin the value of --set: the names of the body's members. After "decision=" and other
// names, they are what stands in the event's type or, as for sealedNames, in the profile.
func bodyMembers(c *cobra.Command, word string) (out []string) {
	t := event.Type(c.Flag("type").Value.String())
	name, _, ok := strings.Cut(word, "=")
	var list []string
	for _, m := range event.Members(t) {
		if !ok {
			out = append(out, m.Name+"=")
		} else if values, is := strings.CutPrefix(m.Kind, "one of: "); is && m.Name == name {
			list = strings.Split(values, ", ")
		}
	}
	for _, p := range profiles(c) {
		switch {
		case name == "offence":
			list = append(list, p.Offences...)
		case name == "reason":
			list = append(list, p.Reasons...)
		case name == "ground" && t == event.TypeResponse:
			list = append(list, p.NonExecution...)
		case name == "ground":
			list = append(list, p.Grounds...)
		case name == "instrument":
			for _, in := range p.Instruments {
				list = append(list, in.Code)
			}
		}
	}
	for _, value := range list {
		out = append(out, name+"="+value)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func profiles(c *cobra.Command) (out []event.Profile) {
	if name := c.Flag("charter").Value.String(); name != "" {
		if b, err := durable.ReadFile(name, event.MaxCharterFile); err == nil {
			if f, err := parseCharter(b); err == nil {
				return []event.Profile{f.charter.Profile}
			}
		}
	}
	for _, name := range profile.Names() {
		if p, err := profile.Load(name); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// complete adds values to the flags of all commands.
func complete(c *cobra.Command) {
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if of := values[f.Name]; of != nil {
			// It fails for an unknown flag only.
			_ = c.RegisterFlagCompletionFunc(f.Name, func(c *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
				list, directive := of(c, word), cobra.ShellCompDirectiveDefault
				if len(list) > 0 && strings.HasSuffix(list[0], "=") || f.Name == "party" {
					directive |= cobra.ShellCompDirectiveNoSpace // the value goes on
				}
				if f.Name != "profile" { // which may be a file
					directive |= cobra.ShellCompDirectiveNoFileComp
				}
				return list, directive
			})
		}
	})
	for _, sub := range c.Commands() {
		complete(sub)
	}
}
