// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/vasistas/vasistas/log/tlog"
)

// Limits that are not configured.
const (
	maxHeadText   = 4096      // bytes of a note text: three lines and some extension lines
	maxKeysPerLog = 8         // keys that one origin may have
	maxSigners    = 4         // keys of the witness itself
	maxRecord     = 128 << 10 // bytes: a head with the lines of all its keys
)

// Config is the configuration of a witness, which must not change afterwards.
type Config struct {
	// Dir is the state directory. It must exist: see [Create].
	Dir string
	// Signers are the witness's own cosignature keys (types 0x04 and 0x06), at
	// least one, all of one name. An answer has a line of each, in this order.
	Signers []*tlog.Signer
	// Logs are the keys that the witness trusts. The name of a key is its log's origin,
	// and an origin may have several keys. A URL, if any, is the prefix under which the
	// log serves /checkpoint.
	Logs []tlog.PolicyLog

	// RequireLogCheck makes [Open] fail if the checkpoint of a log with a URL can't be
	// fetched. If false, Open logs a warning instead.
	RequireLogCheck bool
	// CheckTimeout bounds the fetching of all checkpoints; 0 means 30 s.
	CheckTimeout time.Duration
	// Client fetches the checkpoints; nil means a new one.
	Client *http.Client

	MaxBody        int64 // bytes of an add-checkpoint body; 0 means 64 KiB
	MaxRequests    int   // requests under way; 0 means 256
	MaxPerLog      int   // requests under way for one log; 0 means 32
	MaxConnections int   // open connections of Serve; 0 means 512

	// Logger is for the operator; nil discards its messages.
	Logger *slog.Logger
}

// Name returns the witness's key name, "" without signers.
func (c *Config) Name() string {
	if len(c.Signers) == 0 {
		return ""
	}
	return c.Signers[0].Verifier().Name
}

// withDefaults checks c and replaces zero values by the defaults.
func (c Config) withDefaults() (*Config, error) {
	if c.Dir == "" {
		return nil, errors.New("witness: no state directory is configured")
	}
	if err := checkSigners(c.Signers); err != nil {
		return nil, err
	}
	if min(c.MaxRequests, c.MaxPerLog, c.MaxConnections) < 0 {
		return nil, errors.New("witness: a limit is negative")
	}
	c.MaxRequests = cmp.Or(c.MaxRequests, 256)
	c.MaxPerLog = cmp.Or(c.MaxPerLog, 32)
	c.MaxConnections = cmp.Or(c.MaxConnections, 512)
	if c.MaxBody < 0 || c.MaxBody > tlog.MaxAddCheckpointSize {
		return nil, fmt.Errorf("witness: the body limit is %d; it must be 0 to %d", c.MaxBody, tlog.MaxAddCheckpointSize)
	}
	c.MaxBody = cmp.Or(c.MaxBody, 64<<10)
	c.CheckTimeout = cmp.Or(c.CheckTimeout, 30*time.Second)
	c.Client = cmp.Or(c.Client, &http.Client{Timeout: 10 * time.Second})
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return &c, nil
}

func checkSigners(signers []*tlog.Signer) error {
	if len(signers) == 0 || len(signers) > maxSigners {
		return fmt.Errorf("witness: %d signing keys; it needs 1 to %d", len(signers), maxSigners)
	}
	seen := make(map[string]bool)
	for _, s := range signers {
		k := s.Verifier()
		switch {
		case k.Algorithm != tlog.CosignatureEd25519 && k.Algorithm != tlog.CosignatureMLDSA44:
			return fmt.Errorf("witness: the key %s+%08x is of type %v; a witness needs a cosignature key", k.Name, k.ID, k.Algorithm)
		case k.Name != signers[0].Verifier().Name:
			return fmt.Errorf("witness: its keys have two names, %s and %s", signers[0].Verifier().Name, k.Name)
		case seen[string(k.Key)]:
			return fmt.Errorf("witness: the key %s+%08x is given twice", k.Name, k.ID)
		}
		seen[string(k.Key)] = true
	}
	return nil
}

type trusted struct {
	keys []*tlog.VerifierKey
	urls []string // each once
}

// groupLogs collects the keys of each origin. It refuses a public key that is given twice,
// under any name, or is one of this witness's.
func groupLogs(c *Config, logs []tlog.PolicyLog) (map[string]*trusted, error) {
	used := make(map[string]string)
	for _, s := range c.Signers {
		used[string(s.Verifier().Key)] = "this witness"
	}
	byOrigin := make(map[string]*trusted)
	for _, l := range logs {
		k := l.Key
		if k.Algorithm == tlog.CosignatureEd25519 {
			return nil, fmt.Errorf("witness: the key %s+%08x is of type %v, which is not a log's", k.Name, k.ID, k.Algorithm)
		}
		if who, ok := used[string(k.Key)]; ok {
			return nil, fmt.Errorf("witness: the public key of log %s is already that of %s", k.Name, who)
		}
		used[string(k.Key)] = "log " + k.Name
		t := byOrigin[k.Name]
		if t == nil {
			t = &trusted{}
			byOrigin[k.Name] = t
		}
		for _, other := range t.keys {
			if other.ID == k.ID {
				return nil, fmt.Errorf("witness: two keys of log %s have the key ID %08x", k.Name, k.ID)
			}
		}
		if len(t.keys) == maxKeysPerLog {
			return nil, fmt.Errorf("witness: log %s has more than %d keys", k.Name, maxKeysPerLog)
		}
		t.keys = append(t.keys, k)
		if l.URL != "" && !slices.Contains(t.urls, l.URL) {
			t.urls = append(t.urls, l.URL)
		}
	}
	return byOrigin, nil
}
