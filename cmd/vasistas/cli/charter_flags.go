// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/pflag"
)

// charterFlags say what a charter has, or what an amendment changes in it.
type charterFlags struct {
	parties, above, groups, gates, cosigners, logKeys       []string
	thresholds                                              []string
	witnessPolicy, auditPolicy                              string
	profile                                                 string
	offences, grounds, instruments, reasons, emergencyGrnds []string
	rules                                                   uint64

	// Amendments only.
	removeParties, removeKeys, removeGroups, removeCosigners, removeLogKeys, void []string

	keys []string // to sign with at once
	out  string
	json bool
}

// addCommon adds the flags that a first charter and an amendment share.
func (f *charterFlags) addCommon(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.above, "above", nil, "UPPER=LOWER,...: authorities whose warrants the upper one may revoke and defer (repeatable)")
	fl.StringArrayVar(&f.groups, "group", nil, "ID:T=CUSTODIAN,...: custodians in the order of their shares, T of which open a key (repeatable)")
	fl.StringArrayVar(&f.gates, "gate", nil, "CUSTODIAN=FILE: its gate's public key, as JSON {\"kem\":...,\"public\":...} (repeatable)")
	fl.StringArrayVar(&f.cosigners, "cosigner", nil, "AUDITOR=VKEY: a key that cosigns for it, or a file with one (repeatable)")
	fl.StringArrayVar(&f.thresholds, "threshold", nil, "amend=N or recover=N: how many founders sign an amendment, or a recovery")
	fl.StringVar(&f.witnessPolicy, "witness-policy", "", "policy file: which witnesses must cosign; or none")
	fl.StringVar(&f.auditPolicy, "audit-policy", "", "policy file: which auditors must cosign; or none, while there are no auditors")
	fl.StringVar(&f.profile, "profile", "", "profile: the name of a shipped one (see docs/profiles.md), or a file")
	fl.StringArrayVar(&f.offences, "offence", nil, "add an offence class to the profile (repeatable)")
	fl.StringArrayVar(&f.grounds, "ground", nil, "add a ground of warrants and deferrals to the profile (repeatable)")
	fl.StringArrayVar(&f.emergencyGrnds, "emergency-ground", nil, "add a ground of emergencies to the profile (repeatable)")
	fl.StringArrayVar(&f.instruments, "instrument", nil, "add an instrument, with the profile's own limits (repeatable)")
	fl.StringArrayVar(&f.reasons, "reason", nil, "add a reason to the profile (repeatable)")
	fl.Uint64Var(&f.rules, "rules", 1, "version of the rules")
	fl.StringArrayVar(&f.keys, "key", nil, "sign at once with this private key file, or NAME://KEY of a KMS (repeatable)")
	fl.StringVar(&f.out, "out", "", "file of the charter")
	fl.BoolVar(&f.json, "json", false, "print JSON")
}

// addEdits adds the flags of an amendment.
func (f *charterFlags) addEdits(fl *pflag.FlagSet) {
	f.addCommon(fl)
	fl.StringArrayVar(&f.parties, "add-party", nil, "ROLE:NAME[:KIND]=PUBLICKEY: a new party, or one more key of one (repeatable)")
	fl.StringArrayVar(&f.removeParties, "remove-party", nil, "ROLE:NAME (repeatable)")
	fl.StringArrayVar(&f.removeKeys, "remove-key", nil, "key id, or public key file: revoke this event key; what it signed before stays valid (repeatable)")
	fl.StringArrayVar(&f.void, "void", nil, "KEY:INDEX: what this key signed has no effect from this index on (repeatable)")
	fl.StringArrayVar(&f.removeGroups, "remove-group", nil, "ID (repeatable)")
	fl.StringArrayVar(&f.removeCosigners, "remove-cosigner", nil, "VKEY, or a file with one (repeatable)")
	fl.StringArrayVar(&f.logKeys, "add-log-key", nil, "VKEY, or a file with one; after those that stay (repeatable)")
	fl.StringArrayVar(&f.removeLogKeys, "remove-log-key", nil, "VKEY, or a file with one (repeatable)")
}

// edits says whether any flag would change a charter.
func (f *charterFlags) edits(fl *pflag.FlagSet) bool {
	changed := false
	fl.Visit(func(fl *pflag.Flag) {
		switch fl.Name {
		case "from", "from-index", "key", "out", "json":
		default:
			changed = true
		}
	})
	return changed
}
