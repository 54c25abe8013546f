// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/internal/durable"
)

// Config says where a vault is.
type Config struct {
	// Dir is the vault's directory. Nothing else may be in it.
	Dir string
	// Identity is the file with the vault's age identity, as age-keygen -pq writes
	// it. It may have more than one: the first that is in recipients.txt is the
	// vault's own, and all serve to decrypt.
	Identity string
	// Storage, if not nil, has the files instead of Dir.
	Storage Storage
	// Spare is for how long after it was put [Vault.Retain] leaves a record,
	// whatever it is told, since another writer may yet log the event. 0: not at
	// all, for the one writer of a directory.
	Spare time.Duration
	// MaxFileSize bounds what Compact merges into one file, in bytes.
	// 0 means 16 MiB; 1 GiB is the most.
	MaxFileSize int
}

const (
	recipientsFile  = "recipients.txt"
	maxKeyFile      = 64 << 10
	defaultFileSize = 16 << 20
	maxFileSize     = 1 << 30 // offsets have 32 bits
)

func (c Config) storage() Storage {
	if c.Storage != nil {
		return c.Storage
	}
	return &dir{c.Dir}
}

func (c Config) maxFileSize() int {
	if c.MaxFileSize > 0 {
		return min(c.MaxFileSize, maxFileSize)
	}
	return defaultFileSize
}

// Create makes an empty vault in cfg.Dir. If cfg.Identity is missing, it makes a
// new post-quantum key there, with mode 0600; an existing file is used and never
// overwritten. recovery are age recipients ("age1pq1...") that can decrypt
// everything too; their identities are best held offline, by somebody else. If the
// directory has a vault already, it fails with [fs.ErrExist].
func Create(cfg Config, recovery ...string) error {
	identities, err := readIdentities(cfg.Identity)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createIdentity(cfg); err != nil {
			return err
		}
		identities, err = readIdentities(cfg.Identity)
	}
	if err != nil {
		return err
	}
	own, err := recipientOf(identities[0])
	if err != nil {
		return err
	}
	text := []byte(strings.Join(append([]string{own}, recovery...), "\n") + "\n")
	if _, err := parseRecipients(text); err != nil {
		return err
	}
	return cfg.storage().CreateRecipients(text)
}

func createIdentity(cfg Config) error {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return fmt.Errorf("vault: making a key: %w", err)
	}
	if err := durable.MkdirAll(filepath.Dir(cfg.Identity), 0o700); err != nil {
		return fmt.Errorf("vault: %w", err)
	}
	text := fmt.Sprintf("# public key: %s\n%s\n", id.Recipient(), id)
	if err := durable.CreateFile(cfg.Identity, []byte(text), 0o600); err != nil {
		return fmt.Errorf("vault: writing a new key: %w", err)
	}
	return nil
}

// readIdentities never puts anything of the file into an error.
func readIdentities(name string) ([]age.Identity, error) {
	b, err := durable.ReadFile(name, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the identity file %s; without it, or a recovery key, nothing can be disclosed: bring it back from a backup", ErrMissing, name)
	}
	if err != nil {
		return nil, fmt.Errorf("vault: reading the identity file: %w", err)
	}
	if info, err := os.Stat(name); err == nil && info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("vault: identity file %s can be read by other users of this machine: chmod 600 it", name)
	}
	ids, err := age.ParseIdentities(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("vault: identity file %s is not what age-keygen writes: %w", name, err)
	}
	return ids, nil
}

// recipientOf returns the recipient of an identity, as text.
func recipientOf(id age.Identity) (string, error) {
	switch id := id.(type) {
	case *age.HybridIdentity:
		return id.Recipient().String(), nil
	case *age.X25519Identity:
		return id.Recipient().String(), nil
	}
	return "", fmt.Errorf("vault: identities of type %T are not supported", id)
}

// parseRecipients reads recipients.txt, and lets age say whether they can be mixed.
func parseRecipients(b []byte) ([]age.Recipient, error) {
	recipients, err := age.ParseRecipients(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("vault: recipients: %w", err)
	}
	if len(recipients) > maxRecipients {
		return nil, fmt.Errorf("vault: recipients: %d, at most %d", len(recipients), maxRecipients)
	}
	w, err := age.Encrypt(io.Discard, recipients...)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("vault: recipients: %w; make recovery keys with age-keygen -pq", err)
	}
	return recipients, nil
}

const maxRecipients = 16

// readKeys reads both key files, and checks that what will be written can be read.
func readKeys(cfg Config) ([]age.Identity, []age.Recipient, error) {
	b, err := cfg.storage().Recipients()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: there is no vault in %s (no %s); bring it back from a backup, or create an empty one: the log loses nothing, but what was in it can't be disclosed", ErrMissing, cfg.storage(), recipientsFile)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("vault: %w", err)
	}
	recipients, err := parseRecipients(b)
	if err != nil {
		return nil, nil, err
	}
	identities, err := readIdentities(cfg.Identity)
	if err != nil {
		return nil, nil, err
	}
	var have []string
	for _, id := range identities {
		own, err := recipientOf(id)
		if err != nil {
			return nil, nil, err
		}
		for _, r := range recipients {
			if fmt.Sprint(r) == own {
				return identities, recipients, nil
			}
		}
		have = append(have, shorten(own))
	}
	return nil, nil, fmt.Errorf("%w: %s has the key of %s, and %s in %s wants that of %s", ErrWrongKey,
		cfg.Identity, strings.Join(have, ", "), recipientsFile, cfg.storage(), shorten(fmt.Sprint(recipients[0])))
}

// shorten keeps a recipient recognisable: post-quantum ones have 2,000 characters.
func shorten(recipient string) string {
	if len(recipient) > 40 {
		return recipient[:32] + "..." + recipient[len(recipient)-6:]
	}
	return recipient
}
