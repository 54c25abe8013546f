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
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/vasistas/vasistas/internal/durable"
)

// Config describes a vault.
type Config struct {
	// Dir is the vault's directory, which holds nothing else.
	Dir string
	// Identity is the file with the vault's age identity, as age-keygen -pq writes
	// it. A file may have several identities: the first one in recipients.txt is the
	// vault's own, and all serve to decrypt.
	Identity string
	// Storage, if not nil, holds the files instead of Dir.
	Storage Storage
	// Spare protects young records from [Vault.Retain], since another writer may yet
	// log their events. 0: no protection, for a directory with one writer.
	Spare time.Duration
	// MaxFileSize bounds what Compact merges into one file, in bytes.
	// 0 means 16 MiB; 1 GiB is the most.
	MaxFileSize int
}

const (
	recipientsFile  = "recipients.txt"
	maxRecipients   = 16
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
// new post-quantum key there, with mode 0600; it uses an existing file and never
// overwrites one. recovery are further age recipients ("age1pq1...") that can decrypt
// everything; another person should hold their identities offline. Create fails with
// [fs.ErrExist] if the directory already has a vault.
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

// readIdentities reads the identity file. Its errors never quote the file.
func readIdentities(name string) ([]age.Identity, error) {
	b, err := durable.ReadFile(name, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the vault's identity file %s is %w; restore it from a backup: nothing can be disclosed without it or a recovery key", name, ErrMissing)
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

// recipientOf returns the text of an identity's recipient.
func recipientOf(id age.Identity) (string, error) {
	switch id := id.(type) {
	case *age.HybridIdentity:
		return id.Recipient().String(), nil
	case *age.X25519Identity:
		return id.Recipient().String(), nil
	}
	return "", fmt.Errorf("vault: identities of type %T are not supported", id)
}

// parseRecipients reads recipients.txt and checks that age can mix the recipients.
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

// readKeys reads both key files and checks that an identity decrypts what the vault
// writes.
func readKeys(cfg Config) ([]age.Identity, []age.Recipient, error) {
	b, err := cfg.storage().Recipients()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("the vault in %s is %w (it has no %s); make the log with \"vasistas-log init\" if it is new; else restore the vault from a backup, or create an empty one: the log loses no entry, but what the lost vault held can't be disclosed", cfg.storage(), ErrMissing, recipientsFile)
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
		if slices.ContainsFunc(recipients, func(r age.Recipient) bool { return fmt.Sprint(r) == own }) {
			return identities, recipients, nil
		}
		have = append(have, shorten(own))
	}
	return nil, nil, fmt.Errorf("%w: %s has the key of %s, and %s in %s names %s", ErrWrongKey,
		cfg.Identity, strings.Join(have, ", "), recipientsFile, cfg.storage(), shorten(fmt.Sprint(recipients[0])))
}

// shorten shortens a recipient for messages: a post-quantum one has 2,000 characters.
func shorten(recipient string) string {
	if len(recipient) > 40 {
		return recipient[:32] + "..." + recipient[len(recipient)-6:]
	}
	return recipient
}
