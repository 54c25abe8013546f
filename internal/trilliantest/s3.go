// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package trilliantest

import (
	"errors"
	"fmt"
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
		if s.p != nil && s.p.running() {
			s.p.end(t, syscall.SIGKILL)
		}
	})
	eventually(t, "starting the S3 server", func() (err error) {
		if s.p == nil || !s.p.running() {
			// Another process may have taken the port meanwhile. Without --sidecar
			// the server needs extended attributes, which some file systems lack.
			if s.p, err = start(exec.Command(bin, "--port", s.addr, "--access", S3Key, "--secret", S3Secret,
				"posix", "--sidecar", attributes, objects), syscall.SIGKILL); err != nil {
				return fatalError{err}
			}
		}
		resp, err := http.Get("http://" + s.addr + "/")
		if err != nil {
			return fmt.Errorf("%w\nit said: %s", err, s.p.output)
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
