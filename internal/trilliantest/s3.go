// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trilliantest

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// S3 is an S3 server with one bucket.
type S3 struct {
	addr string
	p    *process
}

// The bucket and the credentials of [StartS3].
const (
	S3Bucket = "tiles"
	S3Key    = "vasistas"
	S3Secret = "a secret of tests"
)

// StartS3 starts an S3 server.
func StartS3(t testing.TB) *S3 {
	t.Helper()
	dir, err := moduleDir("s3server")
	if err != nil {
		t.Fatal(err)
	}
	bin, err := goIn(dir, "", "tool", "-n", "versitygw")
	if err != nil {
		t.Fatalf("building the S3 server: %v", err)
	}
	root := t.TempDir()
	objects, attributes := filepath.Join(root, "objects"), filepath.Join(root, "attributes")
	if err := errors.Join(os.MkdirAll(filepath.Join(objects, S3Bucket), 0o700), os.MkdirAll(attributes, 0o700)); err != nil {
		t.Fatal(err)
	}
	s := &S3{addr: freeAddr(t)}
	t.Cleanup(func() {
		if s.p.running() {
			s.p.end(t, syscall.SIGKILL)
		}
	})
	serve(t, "the S3 server", &s.p, syscall.SIGKILL, func() *exec.Cmd {
		// Without --sidecar the server needs extended attributes, which some file systems lack.
		return exec.Command(bin, "--port", s.addr, "--access", S3Key, "--secret", S3Secret, "posix", "--sidecar", attributes, objects)
	}, func() error {
		resp, err := http.Get("http://" + s.addr + "/")
		if err != nil {
			return err
		}
		return resp.Body.Close()
	})
	return s
}

// URL returns the s3store URL of a prefix of the bucket.
func (s *S3) URL(prefix string) string {
	q := url.Values{"endpoint": {"http://" + s.addr}, "region": {"us-east-1"}}
	return "s3://" + S3Bucket + "/" + prefix + "?" + q.Encode()
}
