// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witnesscmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/daemon/admin"
	"github.com/vasistas/vasistas/witness"
)

// maxStatus bounds the answer in bytes: 1,024 logs of at most some hundred bytes each.
const maxStatus = 4 << 20

func status(ctx context.Context, c *call) error {
	url := c.flags.String("witness", "", "`URL` of a running witness: that of -admin-listen, if it has one")
	asJSON := c.flags.Bool("json", false, "print JSON")
	if err := c.parse("witness"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var s witness.Status
	err := admin.FetchStatus(ctx, "witness", *url, maxStatus, &s)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; if the witness has an -admin-listen, give that address", err)
	} else if err != nil {
		return err
	}
	if *asJSON {
		err = command.PrintJSON(c.stdout, &s)
	} else {
		printStatus(c.stdout, &s)
	}
	if err == nil && s.Unready != "" {
		err = errors.New("the witness cosigns nothing")
	}
	return err
}

func printStatus(out io.Writer, s *witness.Status) {
	line := command.Lines(out)
	line("witness    %s", s.Name)
	for _, k := range s.Keys {
		line("key        %s", k)
	}
	if s.Unready == "" {
		line("cosigns    yes")
	} else {
		line("cosigns    no: %s", s.Unready)
	}
	for i := range s.Logs {
		if l := &s.Logs[i]; l.Cosigned == nil {
			line("log        %s: nothing cosigned yet", l.Origin)
		} else {
			line("log        %s: size %d, last cosigned at %s; %d answers since the start", l.Origin, l.Size, l.Cosigned.Format(time.RFC3339), l.Answers)
		}
	}
}
