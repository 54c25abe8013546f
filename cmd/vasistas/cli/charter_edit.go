// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vasistas/vasistas/log/event"
	"github.com/vasistas/vasistas/log/event/eventkey"
	"github.com/vasistas/vasistas/log/tlog"
)

// apply makes the changes that the flags ask for. What is removed goes first,
// so that one amendment can replace. Whether the result is a charter, is judged
// when it is whole.
func (e *env) apply(ch *event.Charter, f *charterFlags) error {
	steps := []struct {
		flag string
		args []string
		do   func(*event.Charter, string) error
	}{
		{"remove-group", f.removeGroups, removeGroup},
		{"remove-party", f.removeParties, removeParty},
		{"remove-key", f.removeKeys, removeKey},
		{"remove-cosigner", f.removeCosigners, e.removeCosigner},
		{"remove-log-key", f.removeLogKeys, e.removeLogKey},
		{"log-key", f.logKeys, e.addLogKey},
		{"party", f.parties, addParty},
		{"above", f.above, setAbove},
		{"gate", f.gates, e.setGate},
		{"cosigner", f.cosigners, e.addCosigner},
		{"group", f.groups, setGroup},
		{"threshold", f.thresholds, setThreshold},
		{"void", f.void, addVoid},
	}
	before := slices.Clone(ch.LogKeys)
	for _, s := range steps {
		for _, arg := range s.args {
			if err := s.do(ch, arg); err != nil {
				return inFlag(s.flag+" "+arg, err)
			}
		}
	}
	for _, p := range ch.Parties {
		if len(p.Keys) == 0 {
			return fmt.Errorf("%s %s has no key left: give it another by --add-party, or drop it by --remove-party", p.Role, p.Name)
		}
	}
	if err := e.applyProfile(&ch.Profile, f); err != nil {
		return err
	}
	return e.applyPolicies(ch, f, before)
}

// inFlag says which flag an error is about, and keeps its exit code.
func inFlag(flag string, err error) error {
	var exit *exitError
	if errors.As(err, &exit) {
		return &exitError{exit.code, fmt.Errorf("--%s: %w", flag, exit.err)}
	}
	return fmt.Errorf("--%s: %w", flag, err)
}

var roles = []event.Role{event.RoleCharter, event.RoleAuthority, event.RoleDuty, event.RoleProvider, event.RoleCustodian, event.RoleAuditor}

// partyName reads ROLE:NAME[:KIND].
func partyName(s string) (role event.Role, name, kind string, err error) {
	words := strings.Split(s, ":")
	if len(words) < 2 || len(words) > 3 || slices.Contains(words, "") {
		return "", "", "", usagef("write ROLE:NAME, or authority:NAME:KIND")
	}
	role = event.Role(words[0])
	if !slices.Contains(roles, role) {
		return "", "", "", usagef("there is no role %q: it is one of %s", role, joinRoles())
	}
	if len(words) == 3 {
		kind = words[2]
	}
	return role, words[1], kind, nil
}

func joinRoles() string {
	var s []string
	for _, r := range roles {
		s = append(s, string(r))
	}
	return strings.Join(s, ", ")
}

// assignment splits LEFT=RIGHT.
func assignment(s string) (left, right string, err error) {
	left, right, ok := strings.Cut(s, "=")
	if !ok || left == "" {
		return "", "", usagef("there is no = in it")
	}
	return left, right, nil
}

func addParty(ch *event.Charter, arg string) error {
	who, file, err := assignment(arg)
	if err != nil {
		return err
	}
	role, name, kind, err := partyName(who)
	if err != nil {
		return err
	}
	key, err := eventkey.LoadPublic(file)
	if err != nil {
		return fmt.Errorf("%w; give the public half, which keygen writes to FILE%s", err, eventkey.PublicSuffix)
	}
	p := ch.Party(role, name)
	if p == nil {
		ch.Parties = append(ch.Parties, event.Party{Name: name, Role: role, Kind: kind, Keys: []*event.PublicKey{key}})
		return nil
	}
	if kind != "" && p.Kind != "" && kind != p.Kind {
		return fmt.Errorf("its kind is %s already", p.Kind)
	}
	if kind != "" {
		p.Kind = kind
	}
	p.Keys = append(p.Keys, key)
	return nil
}

func removeParty(ch *event.Charter, arg string) error {
	role, name, _, err := partyName(arg)
	if err != nil {
		return err
	}
	n := len(ch.Parties)
	ch.Parties = slices.DeleteFunc(ch.Parties, func(p event.Party) bool { return p.Role == role && p.Name == name })
	if len(ch.Parties) == n {
		return fmt.Errorf("the charter has no %s %s", role, name)
	}
	// Nobody may stay above an authority that is gone.
	if role == event.RoleAuthority {
		for i := range ch.Parties {
			ch.Parties[i].Above = slices.DeleteFunc(ch.Parties[i].Above, func(s string) bool { return s == name })
		}
	}
	return nil
}

// keyID takes a key id, or the name of a public key file.
func keyID(s string) (string, error) {
	if len(s) == 64 && strings.Trim(s, "0123456789abcdef") == "" {
		return s, nil
	}
	k, err := eventkey.LoadPublic(s)
	if err != nil {
		return "", fmt.Errorf("it is no key id (64 hex digits), and no public key file: %w", err)
	}
	return k.KeyID(), nil
}

func removeKey(ch *event.Charter, arg string) error {
	id, err := keyID(arg)
	if err != nil {
		return err
	}
	p := ch.Holder(id)
	if p == nil {
		return fmt.Errorf("nobody in the charter holds the key %s", id)
	}
	p.Keys = slices.DeleteFunc(p.Keys, func(k *event.PublicKey) bool { return k.KeyID() == id })
	return nil
}

func addVoid(ch *event.Charter, arg string) error {
	i := strings.LastIndexByte(arg, ':')
	if i < 0 {
		return usagef("write KEY:INDEX")
	}
	id, err := keyID(arg[:i])
	if err != nil {
		return err
	}
	from, err := strconv.ParseUint(arg[i+1:], 10, 53)
	if err != nil {
		return usagef("%q is no index", arg[i+1:])
	}
	ch.Void = append(ch.Void, event.Void{From: from, Key: id})
	return nil
}

func names(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func setAbove(ch *event.Charter, arg string) error {
	upper, lower, err := assignment(arg)
	if err != nil {
		return err
	}
	p := ch.Party(event.RoleAuthority, upper)
	if p == nil {
		return fmt.Errorf("the charter has no authority %s", upper)
	}
	p.Above = names(lower)
	return nil
}

func setGroup(ch *event.Charter, arg string) error {
	head, members, err := assignment(arg)
	if err != nil {
		return err
	}
	id, t, ok := strings.Cut(head, ":")
	n, err := strconv.ParseUint(t, 10, 32)
	if !ok || err != nil || members == "" {
		return usagef("write ID:T=CUSTODIAN,..., such as main:2=a,b,c")
	}
	removeGroup(ch, id) // the same group, made anew
	ch.Groups = append(ch.Groups, event.Group{ID: id, Threshold: n, Members: names(members)})
	return nil
}

func removeGroup(ch *event.Charter, id string) error {
	n := len(ch.Groups)
	ch.Groups = slices.DeleteFunc(ch.Groups, func(g event.Group) bool { return g.ID == id })
	if len(ch.Groups) == n {
		return fmt.Errorf("the charter has no such group")
	}
	return nil
}

func setThreshold(ch *event.Charter, arg string) error {
	name, value, err := assignment(arg)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil || n == 0 {
		return usagef("%q is no number of founders", value)
	}
	switch name {
	case "amend":
		ch.Thresholds.Amend = n
	case "recover":
		ch.Thresholds.Recover = n
	default:
		return usagef("there is no threshold %q: it is amend or recover", name)
	}
	return nil
}

// setGate gives a custodian a gate key, in place of one of the same KEM.
func (e *env) setGate(ch *event.Charter, arg string) error {
	name, file, err := assignment(arg)
	if err != nil {
		return err
	}
	p := ch.Party(event.RoleCustodian, name)
	if p == nil {
		return fmt.Errorf("the charter has no custodian %s", name)
	}
	key, err := e.readGateKey(file)
	if err != nil {
		return err
	}
	p.Gates = slices.DeleteFunc(p.Gates, func(g event.HPKEKey) bool { return g.KEM == key.KEM })
	p.Gates = append(p.Gates, key)
	return nil
}

// readGateKey reads a gate's public key as it stands in a charter.
func (e *env) readGateKey(file string) (event.HPKEKey, error) {
	b, err := e.read(file, 4096)
	if err != nil {
		return event.HPKEKey{}, err
	}
	b = bytes.TrimSuffix(b, []byte("\n"))
	var text struct{ KEM, Public string }
	if err := json.Unmarshal(b, &text); err != nil {
		return event.HPKEKey{}, fmt.Errorf("%s is no gate key: %w", file, err)
	}
	public, err := base64.RawURLEncoding.DecodeString(text.Public)
	if err != nil {
		return event.HPKEKey{}, fmt.Errorf("%s is no gate key: %w", file, err)
	}
	key := event.HPKEKey{KEM: event.KEM(text.KEM), Public: public}
	again, err := key.Bytes()
	if err != nil {
		return event.HPKEKey{}, fmt.Errorf("%s is no gate key: %w", file, err)
	}
	if !bytes.Equal(again, b) {
		return event.HPKEKey{}, fmt.Errorf("%s is no gate key in its one spelling, %s", file, again)
	}
	return key, nil
}

// vkey takes a verifier key, or the name of a file with one.
func (e *env) vkey(s string) (string, error) {
	if !strings.Contains(s, "+") {
		b, err := e.read(s, 4096)
		if err != nil {
			return "", fmt.Errorf("it is no verifier key, and no file with one: %w", err)
		}
		s = strings.TrimSuffix(string(b), "\n")
	}
	if strings.HasPrefix(s, "PRIVATE+KEY+") {
		return "", fmt.Errorf("this is the private half: give the public one")
	}
	k, err := tlog.ParseVerifierKey(s)
	if err != nil {
		return "", err
	}
	return k.String(), nil
}

func (e *env) addLogKey(ch *event.Charter, arg string) error {
	k, err := e.vkey(arg)
	if err == nil {
		ch.LogKeys = append(ch.LogKeys, k)
	}
	return err
}

func (e *env) removeLogKey(ch *event.Charter, arg string) error {
	return e.removeVKey(&ch.LogKeys, arg)
}

func (e *env) removeVKey(list *[]string, arg string) error {
	k, err := e.vkey(arg)
	if err != nil {
		return err
	}
	i := slices.Index(*list, k)
	if i < 0 {
		return fmt.Errorf("the charter does not have this key there")
	}
	*list = slices.Delete(*list, i, i+1)
	return nil
}

func (e *env) addCosigner(ch *event.Charter, arg string) error {
	name, key, err := assignment(arg)
	if err != nil {
		return err
	}
	p := ch.Party(event.RoleAuditor, name)
	if p == nil {
		return fmt.Errorf("the charter has no auditor %s", name)
	}
	k, err := e.vkey(key)
	if err == nil {
		p.Cosigners = append(p.Cosigners, k)
	}
	return err
}

func (e *env) removeCosigner(ch *event.Charter, arg string) error {
	for i := range ch.Parties {
		if e.removeVKey(&ch.Parties[i].Cosigners, arg) == nil {
			return nil
		}
	}
	return e.removeVKey(new([]string), arg)
}
