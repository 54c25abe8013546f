// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/log/tlog"
)

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

func (e *env) readPolicy(name string) (*tlog.Policy, error) {
	return readAs(e, name, tlog.MaxPolicySize, tlog.ParsePolicy)
}

// connect returns a client. It has no policy if none was given and none is needed.
func (e *env) connect(f *logFlags, needPolicy bool) (*client.Client, error) {
	config, err := e.clientConfig(f, needPolicy, "give --log URL: the policy has no URL of the log, or several")
	if err != nil {
		return nil, err
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
