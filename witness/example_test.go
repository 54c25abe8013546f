// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/vasistas/vasistas/log/tlog"
	"github.com/vasistas/vasistas/witness"
)

// A witness runs as a library, and a log has its first head cosigned.
func Example() {
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	logKey, err := tlog.GenerateSigner("log.example/2026", tlog.Ed25519)
	must(err)
	key, err := tlog.GenerateSigner("witness.example", tlog.CosignatureEd25519)
	must(err)
	dir, err := os.MkdirTemp("", "witness")
	must(err)
	defer os.RemoveAll(dir)

	config := witness.Config{
		Dir:     filepath.Join(dir, "state"),
		Signers: []*tlog.Signer{key},
		Logs:    []tlog.PolicyLog{{Key: logKey.Verifier()}},
	}
	must(witness.Create(config.Dir, config))
	w, err := witness.Open(context.Background(), config)
	must(err)
	defer w.Close()
	server := httptest.NewServer(w.Handler())
	defer server.Close()

	c := &tlog.Checkpoint{Head: tlog.Head{Origin: "log.example/2026", Size: 7}}
	line, err := logKey.Sign(&c.Head, 0)
	must(err)
	c.Signatures = append(c.Signatures, line)
	request := (&tlog.AddCheckpoint{Checkpoint: c}).Bytes()
	resp, err := http.Post(server.URL+"/add-checkpoint", "", bytes.NewReader(request))
	must(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must(err)
	lines, err := tlog.ParseSignatureLines(answer)
	must(err)
	_, err = key.Verifier().Verify(&c.Head, &lines[0])
	fmt.Println(resp.Status, lines[0].Name, err)
	// Output:
	// 200 OK witness.example <nil>
}
