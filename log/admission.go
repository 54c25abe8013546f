// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/event"
)

// Reasons why an event is refused, besides those of package event.
var (
	// ErrOrigin: the event names another log.
	ErrOrigin = errors.New("the event is for another log")
	// ErrRole: a key signed what its role may not sign, or a signature that
	// the event needs is missing.
	ErrRole = errors.New("the signatures are not those that this event needs")
)

// admission decides which entries may enter the log.
type admission struct {
	origin string
	roles  map[string]event.Role // by key id
	keys   map[string]*event.PublicKey
}

// admitted is an entry that may enter the log.
type admitted struct {
	kind  event.Type
	entry []byte
	hash  [32]byte // of the event
	leaf  [32]byte
}

func newAdmission(set settings) (*admission, error) {
	a := &admission{origin: set.Origin, roles: make(map[string]event.Role), keys: make(map[string]*event.PublicKey)}
	for _, s := range set.Signers {
		key, err := event.ParsePublicKeyPEM([]byte(s.PEM))
		if err != nil {
			return nil, fmt.Errorf("signer in the role %q: %w", s.Role, err)
		}
		role := event.Role(s.Role)
		if !slices.Contains(Roles(), role) {
			return nil, fmt.Errorf("signer %s: there is no role %q; there are %v", key.KeyID(), s.Role, Roles())
		}
		if other, ok := a.roles[key.KeyID()]; ok {
			return nil, fmt.Errorf("signer %s has two roles, %s and %s; a key has one", key.KeyID(), other, role)
		}
		a.roles[key.KeyID()], a.keys[key.KeyID()] = role, key
	}
	return a, nil
}

// Roles returns the roles that sign some event, sorted.
func Roles() []event.Role {
	var roles []event.Role
	for _, t := range event.Types() {
		roles = append(roles, t.Signers()...)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// admit judges one entry, given as its exact bytes. The error wraps
// event.ErrMalformed, event.ErrTooLarge, [ErrOrigin], event.ErrUnknownSigner,
// [ErrRole] or event.ErrBadSignature.
func (a *admission) admit(entry []byte) (*admitted, error) {
	env, err := event.ParseEnvelope(entry)
	if err != nil {
		return nil, err
	}
	if env.Event.Log != a.origin {
		return nil, fmt.Errorf("%w: it names %q, and this is %q", ErrOrigin, env.Event.Log, a.origin)
	}
	if err := a.checkRoles(env); err != nil {
		return nil, err
	}
	if err := env.Verify(func(id string) *event.PublicKey { return a.keys[id] }); err != nil {
		return nil, err
	}
	return &admitted{kind: env.Event.Type, entry: entry, hash: env.Hash(), leaf: tiles.LeafHash(entry)}, nil
}

func (a *admission) checkRoles(env *event.Envelope) error {
	may := env.Event.Type.Signers()
	var signed []event.Role
	for _, s := range env.Signatures {
		role, ok := a.roles[s.KeyID]
		if !ok {
			return fmt.Errorf("%w: %s", event.ErrUnknownSigner, s.KeyID)
		}
		if !slices.Contains(may, role) {
			return fmt.Errorf("%w: key %s has the role %s, and a %s is signed by %v", ErrRole, s.KeyID, role, env.Event.Type, may)
		}
		signed = append(signed, role)
	}
	for _, one := range env.Event.RequiredSigners() {
		if !slices.ContainsFunc(signed, func(r event.Role) bool { return slices.Contains(one, r) }) {
			return fmt.Errorf("%w: a signature of %v is missing", ErrRole, one)
		}
	}
	return nil
}
