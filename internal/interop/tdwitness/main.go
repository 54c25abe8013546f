// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Command tdwitness serves the witness of github.com/transparency-dev/witness,
// with its SQLite persistence, for tests and for measurements against our witness. It
// is a separate module, so that its dependencies stay out of the main one.
//
//	tdwitness -key FILE... -db FILE [-log VKEY]... [-logs FILE]
//
// A key file holds a signer key of type 0x04 or 0x06, as vasistas-witness keygen
// writes it. The file of logs has a vkey of type 0x01 on each line, with the origin as
// name. The command listens on a free port of 127.0.0.1, prints the address on a line,
// and stops when its standard input ends.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/witness/config"
	"github.com/transparency-dev/witness/persistence/sqlite"
	"github.com/transparency-dev/witness/witness"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "tdwitness: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("tdwitness", flag.ContinueOnError)
	db := flags.String("db", "", "`file` of the SQLite database")
	list := flags.String("logs", "", "`file` of log vkeys, one a line")
	var vkeys, keyFiles []string
	flags.Func("key", "`file` of a signer key; may be repeated", func(s string) error {
		keyFiles = append(keyFiles, s)
		return nil
	})
	flags.Func("log", "`vkey` of a log; may be repeated", func(s string) error {
		vkeys = append(vkeys, s)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *list != "" {
		b, err := os.ReadFile(*list)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			vkeys = append(vkeys, strings.TrimSpace(line))
		}
	}
	var signers []note.Signer
	for _, name := range keyFiles {
		secret, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		s, err := fnote.NewSignerForCosignatureV1(strings.TrimSpace(string(secret)))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		signers = append(signers, s)
	}
	store, closeStore, err := sqlite.New(ctx, sqlite.Opts{Path: *db})
	if err != nil {
		return err
	}
	err = serve(ctx, store, signers, vkeys, stdin, stdout)
	return errors.Join(err, closeStore())
}

// addLogs names each log by its key, whose name is the origin.
func addLogs(ctx context.Context, store *sqlite.Persistence, vkeys []string) error {
	var logs []config.Log
	for _, vkey := range vkeys {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return fmt.Errorf("log %q: %w", vkey, err)
		}
		logs = append(logs, config.Log{VKey: vkey, Verifier: v, Origin: v.Name()})
	}
	return store.AddLogs(ctx, logs)
}

func serve(ctx context.Context, store *sqlite.Persistence, signers []note.Signer, vkeys []string, stdin io.Reader, stdout io.Writer) error {
	if err := addLogs(ctx, store, vkeys); err != nil {
		return err
	}
	w, err := witness.New(ctx, witness.Opts{
		Persistence: store,
		Signers:     signers,
		VerifierForLog: func(ctx context.Context, origin string) (note.Verifier, bool, error) {
			c, ok, err := store.Log(ctx, origin)
			if err != nil || !ok {
				return nil, false, err
			}
			return c.Verifier, true, nil
		},
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", witness.NewHTTPHandler(w).AddCheckpoint)
	srv := &http.Server{Handler: mux}
	go func() {
		bufio.NewReader(stdin).WriteTo(io.Discard)
		srv.Close()
	}()
	fmt.Fprintf(stdout, "%s\n", l.Addr())
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
