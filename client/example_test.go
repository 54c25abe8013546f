// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/tlog"
)

// A client follows a log to its head, and yields what is proven to be in its tree.
func ExampleClient_Follow() {
	server, policy := serve()
	defer server.Close()

	c, err := client.New(client.Config{URL: server.URL, Policy: policy})
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range c.Follow(context.Background(), client.FollowOptions{UntilHead: true}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("entry %d: %s\n", e.Index, e.Bytes)
		fmt.Println("leaf", e.Leaf)
	}
	// Output:
	// entry 0: hello
	// leaf iipcm3aIJ95alVLDigRMZpWcaPbS8htSYK9U0vh9uCc=
}

// serve serves the files of a log with one entry, as any web server can.
func serve() (*httptest.Server, *tlog.Policy) {
	must := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	key, err := tlog.GenerateSigner("log.example/2026", tlog.Ed25519)
	must(err)
	entry := []byte("hello")
	leaf := tlog.Hash(sha256.Sum256(append([]byte{0}, entry...))) // RFC 6962
	c := &tlog.Checkpoint{Head: tlog.Head{Origin: "log.example/2026", Size: 1, Root: leaf}}
	line, err := key.Sign(&c.Head, 0)
	must(err)
	c.Signatures = append(c.Signatures, line)

	dir, err := os.MkdirTemp("", "log")
	must(err)
	for name, b := range map[string][]byte{
		"checkpoint":               c.Bytes(),
		tlog.Tile{Width: 1}.Path(): leaf[:],
		tlog.Tile{Level: tlog.Entries, Width: 1}.Path(): tlog.AppendEntry(nil, entry),
	} {
		must(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		must(os.WriteFile(filepath.Join(dir, name), b, 0o644))
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	server.Config.RegisterOnShutdown(func() { os.RemoveAll(dir) })
	policy, err := tlog.ParsePolicy([]byte("log " + key.Verifier().String() + "\nquorum none\n"))
	must(err)
	return server, policy
}
